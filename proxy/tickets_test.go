// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"crypto/tls"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vernegate/vernegate/proxy"
)

// A ticketTrust is a trust that brings ticket keys.
type ticketTrust struct {
	*trust
	keys [][32]byte
}

func (t *ticketTrust) TicketKeys() [][32]byte { return t.keys }

// startReplica starts a gate with these ticket keys, each made of one byte.
func startReplica(t *testing.T, b *broker, now *trust, keys ...byte) *gate {
	t.Helper()
	with := &ticketTrust{trust: now}
	for _, k := range keys {
		with.keys = append(with.keys, [32]byte{k})
	}
	return startGate(t, func(c *proxy.Config) {
		brokers(b)(c)
		c.Trust = func() proxy.Trust { return with }
	})
}

// A roamer is a device that keeps its TLS session when it goes to another server.
func roamer(version uint16) *tls.Config {
	config := clientConfig(testPKI().device)
	config.MinVersion, config.MaxVersion = version, version
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	return config
}

// visit has the roamer connect and reports whether its TLS session was resumed.
func visit(t *testing.T, g *gate, b *broker, config *tls.Config) (resumed bool) {
	t.Helper()
	c, err := tls.Dial("tcp", g.addr, config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(patience))
	write(t, c, connect311)
	b.greet(connect311Owned, connack311)
	wantBytes(t, c, connack311)
	return c.ConnectionState().DidResume
}

func TestReplicasWithTheSameKeysResumeEachOthersSessions(t *testing.T) {
	t.Parallel()
	for _, version := range bothVersions {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			device := roamer(version)
			for i, step := range []struct {
				keys []byte
				want bool
			}{
				{[]byte{1}, false},
				{[]byte{1, 2}, true}, // key 2 is known everywhere before it is used
				{[]byte{2, 1}, true},
				{[]byte{2, 1}, true},
				{[]byte{2}, true}, // key 1 has sealed nothing of late
				{[]byte{3}, false},
				{nil, false},
			} {
				if got := visit(t, startReplica(t, b, newTrust(), step.keys...), b, device); got != step.want {
					t.Errorf("visit %d, keys %v: got resumed %v, want %v", i+1, step.keys, got, step.want)
				}
			}
		})
	}
}

// Whoever has made a ticket, it is no way around what this replica's trust says.
func TestTicketOfAReplicaIsVerifiedAnew(t *testing.T) {
	t.Parallel()
	for _, version := range bothVersions {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			device := roamer(version)
			visit(t, startReplica(t, b, newTrust(), 1), b, device)

			knows := startReplica(t, b, newTrust(testPKI().device.Leaf), 1)
			if got := alert(firstError(t, knows.addr, device)); got != "tls: bad certificate" {
				t.Errorf("got alert %q, want that the certificate is bad", got)
			}
			knows.wantEnd(proxy.TLSRevoked)
			if n := b.count.Load(); n != 1 {
				t.Errorf("the broker got %d connections, want only the first", n)
			}
		})
	}
}

// New keys count without a restart, for the next handshake.
func TestNewTicketKeysCountFromTheNextHandshake(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	var now atomic.Pointer[ticketTrust]
	now.Store(&ticketTrust{newTrust(), [][32]byte{{1}}})
	g := startGate(t, func(c *proxy.Config) {
		brokers(b)(c)
		c.Trust = func() proxy.Trust { return now.Load() }
	})
	device := roamer(tls.VersionTLS13)
	visit(t, g, b, device)
	now.Store(&ticketTrust{newTrust(), [][32]byte{{2}}})
	if visit(t, g, b, device) {
		t.Error("a ticket was taken whose key is gone")
	}
	if other := startReplica(t, b, newTrust(), 2); !visit(t, other, b, device) {
		t.Error("the ticket was not sealed with the new key")
	}
}
