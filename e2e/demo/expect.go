// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// A client is what a device connects with.
type client struct {
	cert     *certtest.Cert
	version  stack.Version
	username string // "" = none
}

// String describes what can be seen of it.
func (v client) String() string {
	says := "no username"
	if v.username != "" {
		says = "username " + v.username
	}
	return fmt.Sprintf("certificate CN=%s, MQTT %v, %s", v.cert.Leaf.Subject.CommonName, v.version, says)
}

// connect connects the client, and disconnects it again. It returns the client id.
func (s *environment) connect(ctx context.Context, v client) (clientID string, err error) {
	clientID = "demo-" + rand.Text()[:8]
	dial := stack.Through(s.gate.Devices, s.pki.ClientTLS(v.cert))
	client, err := stack.Connect(ctx, dial, stack.Options{Version: v.version, ClientID: clientID, Username: v.username})
	if err != nil {
		return clientID, err
	}
	client.Disconnect()
	return clientID, nil
}

// expectOwner has the client come in, with the owner as its username.
func (s *environment) expectOwner(ctx context.Context, n *printer, v client, owner string) error {
	n.fact("device", "%v", v)
	clientID, err := s.connect(ctx, v)
	if err != nil {
		return fmt.Errorf("it was not let in: %w", err)
	}
	username, _ := s.broker.hook.username(clientID)
	if username != owner {
		return fmt.Errorf("the broker saw username %q, not %q", username, owner)
	}
	n.fact("broker", "saw username %s", username)
	return nil
}

// publishCreate publishes that a device has been given its certificate, and waits until vernegate has read it: the topic
// of a new tenant takes it some seconds to find.
func (s *environment) publishCreate(ctx context.Context, n *printer, cert *certtest.Cert) error {
	tenant, device, _ := strings.Cut(cert.Leaf.Subject.CommonName, ":")
	if err := s.kafka.Own(ctx, "create", cert.Leaf, tenant, device); err != nil {
		return err
	}
	n.fact("Kafka", "ownership.create of its fingerprint, for %s:%s", tenant, device)
	for ctx.Err() == nil {
		if m, err := s.gate.Metrics(ctx); err == nil && m.Sum("vernegate_ownership_events_total") > 0 {
			n.fact("vernegate", "has found the tenant's topic, and read the event")
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return ctx.Err()
}

// stayConnected connects a client of MQTT 5.0, and leaves it connected.
func (s *environment) stayConnected(ctx context.Context, n *printer, v client) (*stack.Wire, error) {
	n.fact("device", "%v", v)
	wire, err := stack.DialWire(ctx, stack.Through(s.gate.Devices, s.pki.ClientTLS(v.cert)))
	if err != nil {
		return nil, err
	}
	connect := "\x10\x16\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x09demo-live" // MQTT 5.0, 3.1: clean start, no properties
	if err := wire.Send([]byte(connect)); err != nil {
		return wire, err
	}
	head, err := wire.ReadN(2)
	if err == nil {
		_, err = wire.ReadN(int(head[1]))
	}
	if err != nil || head[0] != 0x20 {
		return wire, fmt.Errorf("it got % X and %v, not a CONNACK", head, err)
	}
	n.fact("device", "is connected")
	return wire, nil
}

// expectConnack has the client be refused by a CONNACK with that code.
func (s *environment) expectConnack(ctx context.Context, n *printer, v client, code byte) error {
	n.fact("device", "%v", v)
	clientID, err := s.connect(ctx, v)
	var refusal *stack.RefusedError
	if !errors.As(err, &refusal) || refusal.Code != code {
		return fmt.Errorf("it got %v, not CONNACK 0x%02X", outcome(err), code)
	}
	n.fact("device", "got CONNACK %s: not authorized", connackCode(v.version, code))
	return s.expectUnseen(n, clientID)
}

// expectAlert has the client be refused by a TLS alert.
func (s *environment) expectAlert(ctx context.Context, n *printer, v client, alert stack.Alert) error {
	n.fact("device", "%v", v)
	clientID, err := s.connect(ctx, v)
	if stack.AlertOf(err) != alert {
		return fmt.Errorf("it got %v, not the TLS alert %v", outcome(err), alert)
	}
	n.fact("device", "got TLS alert %d: %v", uint8(alert), alert)
	return s.expectUnseen(n, clientID)
}

// expectUnseen has the broker know nothing of the client.
func (s *environment) expectUnseen(n *printer, clientID string) error {
	if _, seen := s.broker.hook.username(clientID); seen {
		return errors.New("it was refused and the broker heard of it")
	}
	n.fact("broker", "heard nothing of it")
	return nil
}

// renew writes the files as they should be now, in place as cert-sidecar does, and
// waits until vernegate says that they are in use.
func (s *environment) renew(ctx context.Context, n *printer, what string) error {
	before := len(s.gate.Records(inUse))
	if err := s.folder.Rewrite(s.pki.Set(), nil); err != nil {
		return err
	}
	written := time.Now()
	n.fact("operator", "%s, in place", what)
	for len(s.gate.Records(inUse)) == before {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("waiting for the files to be used: %w", ctx.Err())
		}
	}
	n.fact("vernegate", "uses it %d ms later", time.Since(written).Milliseconds())
	return nil
}

// inUse is the line that vernegate logs for every generation of files.
func inUse(r stack.Record) bool { return r["generation"] != nil && r.Has("msg", "trust files in use") }

// outcome is what a connect came to, as part of a sentence.
func outcome(err error) string {
	if err == nil {
		return "a connection"
	}
	return strconv.Quote(err.Error())
}

// connackCode is a code as its version's specification writes it.
func connackCode(v stack.Version, code byte) string {
	if v == stack.V5 {
		return fmt.Sprintf("0x%02X", code)
	}
	return strconv.Itoa(int(code))
}
