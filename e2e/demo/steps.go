// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// A step is one step of the demo; run fails if anything is not as the title says.
type step struct {
	title string
	run   func(context.Context, *environment, *printer) error
}

// steps are the steps of the demo, in order.
var steps = []step{
	{"a device connects with MQTT 3.1.1 and sends no username", first},
	{"another connects with MQTT 5.0", second},
	{"a device says that it is another", impostor},
	{"certificate-acl does not know the certificate", unknown},
	{"the certificate has expired", expired},
	{"the certificate is on the CRL", revoked},
	{"a CA is added while vernegate runs", newCA},
	{"a device is revoked while vernegate runs", revokedLater},
	{"a device is taken from its owner while it is connected", takenAway},
}

func first(ctx context.Context, s *environment, n *printer) error {
	lamp := client{cert: s.device("acme:lamp"), version: stack.V311}
	return s.expectOwner(ctx, n, lamp, "acme:lamp")
}

func second(ctx context.Context, s *environment, n *printer) error {
	door := client{cert: s.device("acme:door"), version: stack.V5}
	return s.expectOwner(ctx, n, door, "acme:door")
}

func impostor(ctx context.Context, s *environment, n *printer) error {
	lamp := client{cert: s.device("acme:lamp"), version: stack.V311, username: "acme:door"}
	return s.expectOwner(ctx, n, lamp, "acme:lamp")
}

func unknown(ctx context.Context, s *environment, n *printer) error {
	stranger := s.pki.Root.Issue("stranger")
	if err := s.expectConnack(ctx, n, client{cert: stranger, version: stack.V311}, 5); err != nil {
		return err
	}
	return s.expectConnack(ctx, n, client{cert: stranger, version: stack.V5}, 0x87)
}

func expired(ctx context.Context, s *environment, n *printer) error {
	old := s.device("acme:old", certtest.NotAfter(time.Now().Add(-time.Minute)))
	return s.expectAlert(ctx, n, client{cert: old, version: stack.V311}, stack.AlertCertificateExpired)
}

func revoked(ctx context.Context, s *environment, n *printer) error {
	return s.expectAlert(ctx, n, client{cert: s.stolen, version: stack.V311}, stack.AlertBadCertificate)
}

func newCA(ctx context.Context, s *environment, n *printer) error {
	company := certtest.NewCA("acquired company")
	newcomer := client{cert: s.deviceOf(company, "acme:newcomer"), version: stack.V5}
	if err := s.expectAlert(ctx, n, newcomer, stack.AlertUnknownCA); err != nil {
		return err
	}
	s.pki.Trust(company)
	if err := s.renew(ctx, n, "its CA is written into the bundle"); err != nil {
		return err
	}
	return s.expectOwner(ctx, n, newcomer, "acme:newcomer")
}

func revokedLater(ctx context.Context, s *environment, n *printer) error {
	lost := client{cert: s.device("acme:lost"), version: stack.V311}
	if err := s.expectOwner(ctx, n, lost, "acme:lost"); err != nil {
		return err
	}
	s.pki.Revoke(lost.cert.Leaf)
	if err := s.renew(ctx, n, "its serial is written into the CRL"); err != nil {
		return err
	}
	return s.expectAlert(ctx, n, lost, stack.AlertBadCertificate)
}

// takenAway has the event come before certificate-acl has heard of it.
func takenAway(ctx context.Context, s *environment, n *printer) error {
	sold := client{cert: s.device("acme:sold"), version: stack.V5}
	if err := s.publishCreate(ctx, n, sold.cert); err != nil {
		return err
	}
	wire, err := s.stayConnected(ctx, n, sold)
	if err != nil {
		return err
	}
	defer wire.Close()
	began := time.Now()
	if err := s.kafka.Disown(ctx, sold.cert.Leaf, "acme", "sold"); err != nil {
		return err
	}
	n.fact("Kafka", "ownership.delete of its fingerprint")
	if got, err := wire.ReadToEnd(); err != nil || !bytes.Equal(got, []byte{0xE0, 1, 0x87}) {
		return fmt.Errorf("it got % X and %v, not a DISCONNECT", got, err)
	}
	n.fact("device", "got DISCONNECT 0x87 (not authorized) after %v", time.Since(began).Round(100*time.Microsecond))
	n.fact("certificate-acl", "still names acme:sold, and is not believed for a minute")
	return s.expectConnack(ctx, n, sold, 0x87)
}
