// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// newTicketKey is what "openssl rand -hex 32" prints.
func newTicketKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return hex.EncodeToString(key) + "\n"
}

// roamer is how a device connects that keeps its TLS session wherever it goes.
func (s *fixture) roamer(device *certtest.Cert) *tls.Config {
	config := s.clientTLS(device, 0)
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	config.ServerName = "localhost" // sessions are remembered by this
	return config
}

// visit lets a device in for a moment and reports whether its TLS session was resumed.
func (s *fixture) visit(t *testing.T, config *tls.Config) (resumed bool) {
	t.Helper()
	w := dialWire(t, stack.Through(s.Devices, config))
	defer w.Close()
	if err := w.Send(connectPacket{version: stack.V311, clientID: unique()}.bytes()); err != nil {
		t.Fatal(err)
	}
	must(w.ReadN(4))(t)
	return w.Conn.(*tls.Conn).ConnectionState().DidResume
}

// TestTicketsCountAtOtherReplicas has a device go back and forth between two
// replicas with one TLS session, while the key of its tickets is rotated as the
// docs/operations.md says, until the device is revoked.
func TestTicketsCountAtOtherReplicas(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ticket.keys")
	write := func(keys ...string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(strings.Join(keys, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first, second, third := newTicketKey(), newTicketKey(), newTicketKey()
	write(first)
	one := newFixture(t, broker, "VERNEGATE_TICKET_KEYS", path)
	two := &fixture{pki: one.pki, folder: one.folder, acl: one.acl}
	two.startBefore(t, broker, "VERNEGATE_TICKET_KEYS", path)
	lamp := one.device("acme:lamp")
	config := one.roamer(lamp)

	if one.visit(t, config) {
		t.Fatal("the first handshake was no full one")
	}
	for step, keys := range [][]string{{first, second}, {second, first}, {second}} {
		if !two.visit(t, config) || !one.visit(t, config) {
			t.Errorf("step %d: a ticket was not taken", step)
		}
		write(keys...)
		for _, s := range []*fixture{one, two} {
			s.inUse(within(t, stepTime), t, step+2)
		}
	}
	if !two.visit(t, config) {
		t.Error("the last ticket was not taken")
	}

	write(third[:20]) // keeps the last good ones
	eventually(t, stepTime, "the mistake is reported", func() bool {
		return strings.Contains(two.Output.String(), "ticket key file "+path+": line 1: not 32 bytes")
	})
	if !one.visit(t, config) || !two.visit(t, config) {
		t.Error("a mistake in the file has made tickets useless")
	}
	write(second)

	one.pki.Revoke(lamp.Leaf)
	if err := one.folder.Rename(one.pki.Set()); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*fixture{one, two} {
		s.inUse(within(t, stepTime), t, 5)
		if err := tryConnect(t.Context(), stack.Through(s.Devices, config)); stack.AlertOf(err) != stack.AlertBadCertificate {
			t.Errorf("got %v from a ticket of a revoked device, want the alert bad_certificate", err)
		}
	}
}
