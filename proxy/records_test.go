// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/tlstest"
	"github.com/vernegate/vernegate/proxy"
)

// sealedSession establishes a 3.1.1 session of a client that seals its own records.
func sealedSession(g *gate, b *broker, version uint16) (*tlstest.Client, net.Conn) {
	g.t.Helper()
	raw, err := net.Dial("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = raw.Close() })
	_ = raw.SetDeadline(time.Now().Add(patience))
	client, err := tlstest.New(raw, clientConfig(testPKI().device), version)
	if err != nil {
		g.t.Fatal(err)
	}
	write(g.t, raw, client.Record(tlstest.Application, connect311))
	backend := b.greet(connect311Owned, connack311)
	wantBytes(g.t, client, connack311)
	return client, backend
}

// Records without data between others, of all sizes: the bytes arrive as they were sent.
func TestRecordsWithoutDataBetweenOthers(t *testing.T) {
	t.Parallel()
	kinds := map[string]func(*tlstest.Client) []byte{
		"empty records":   func(c *tlstest.Client) []byte { return c.Record(tlstest.Application, nil) },
		"KeyUpdates":      func(c *tlstest.Client) []byte { return c.Update(tlstest.KeyUpdate) },
		"mutual updates":  func(c *tlstest.Client) []byte { return c.Update(tlstest.MutualKeyUpdate) },
		"canceled":        func(c *tlstest.Client) []byte { return c.Record(tlstest.Alert, tlstest.UserCanceled) },
		"warnings":        func(c *tlstest.Client) []byte { return c.Record(tlstest.Alert, tlstest.NoRenegotiation) },
		"nothing between": func(*tlstest.Client) []byte { return nil },
	}
	for _, row := range []struct {
		version uint16
		kinds   []string
	}{
		{tls.VersionTLS13, []string{"empty records", "KeyUpdates", "mutual updates", "canceled", "nothing between"}},
		{tls.VersionTLS12, []string{"empty records", "warnings", "nothing between"}},
	} {
		for _, kind := range row.kinds {
			t.Run(tls.VersionName(row.version)+" "+kind, func(t *testing.T) {
				t.Parallel()
				b := startBroker(t)
				g := startGate(t, brokers(b))
				for _, size := range []int{1, 15, 16, 512, 1500, 16 << 10, 0} {
					sendInRecords(t, g, b, row.version, size, kinds[kind])
				}
			})
		}
	}
}

// sendInRecords sends a message in records of one size, 0 = of many, with what between makes behind each, and leaves.
func sendInRecords(t *testing.T, g *gate, b *broker, version uint16, size int, between func(*tlstest.Client) []byte) {
	t.Helper()
	client, backend := sealedSession(g, b, version)
	sent := publish(4_000 + 1_000*min(size, 100) + 10*size)
	random := rand.New(rand.NewPCG(uint64(size), uint64(version)))
	go func() { _, _ = io.Copy(io.Discard, client.Raw) }() // what it is answered to a KeyUpdate
	go func() {
		var wire bytes.Buffer
		for rest := sent; len(rest) > 0; {
			n := size
			if n == 0 {
				n = 1 + random.IntN(16<<10)
			}
			n = min(n, len(rest))
			_, _ = wire.Write(client.Record(tlstest.Application, rest[:n]))
			_, _ = wire.Write(between(client))
			rest = rest[n:]
		}
		_, _ = client.Raw.Write(wire.Bytes())
		_ = client.Raw.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(backend)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("records of %d bytes: got %d bytes and %v, want all %d as they were sent", size, len(got), err, len(sent))
	}
	_, _ = client.Raw.Close(), backend.Close()
}

// Clients that send a lot, with records without data in it, hold up nobody: not while they do, nor when they have left.
func TestBulkWithKeyUpdatesHoldsUpNobody(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	type pair struct {
		client *tls.Conn
		broker net.Conn
	}
	var healthy []pair
	for range 4 * runtime.GOMAXPROCS(0) {
		client, broker := session(g, b)
		healthy = append(healthy, pair{client, broker})
	}
	for range 2 * runtime.GOMAXPROCS(0) {
		client, backend := sealedSession(g, b, tls.VersionTLS13)
		go func() { _, _ = io.Copy(io.Discard, backend); _ = backend.Close() }()
		var wire bytes.Buffer
		for rest := publish(2 << 20); len(rest) > 0; {
			n := min(16<<10, len(rest))
			_, _ = wire.Write(client.Record(tlstest.Application, rest[:n]))
			_, _ = wire.Write(client.Update(tlstest.KeyUpdate))
			rest = rest[n:]
		}
		write(t, client.Raw, wire.Bytes())
		_ = client.Raw.Close()
	}
	for range 20 {
		for _, h := range healthy {
			write(t, h.client, pingreq)
			wantBytes(t, h.broker, pingreq)
			write(t, h.broker, pingresp)
			wantBytes(t, h.client, pingresp)
		}
	}
}

// Floods of records without data end in the alert with which crypto/tls limits them, and others go on.
func TestFloodsOfRecordsWithoutDataEnd(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		version uint16
		record  func(*tlstest.Client) []byte
	}{
		{"empty records in 1.3", tls.VersionTLS13, func(c *tlstest.Client) []byte { return c.Record(tlstest.Application, nil) }},
		{"KeyUpdates", tls.VersionTLS13, func(c *tlstest.Client) []byte { return c.Update(tlstest.MutualKeyUpdate) }},
		{"user_canceled", tls.VersionTLS13, func(c *tlstest.Client) []byte { return c.Record(tlstest.Alert, tlstest.UserCanceled) }},
		{"empty records in 1.2", tls.VersionTLS12, func(c *tlstest.Client) []byte { return c.Record(tlstest.Application, nil) }},
		{"warnings", tls.VersionTLS12, func(c *tlstest.Client) []byte { return c.Record(tlstest.Alert, tlstest.NoRenegotiation) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startGate(t, brokers(b))
			other, otherBackend := session(g, b)
			client, backend := sealedSession(g, b, row.version)
			go func() {
				for range 10_000 {
					if _, err := client.Raw.Write(row.record(client)); err != nil {
						return
					}
				}
			}()
			wantEOF(t, backend)
			_ = backend.Close()
			_, err := io.ReadAll(client)
			if got := alert(err); got != "tls: unexpected message" {
				t.Errorf("got alert %q (%v), want unexpected_message", got, err)
			}
			write(t, other, pingreq)
			wantBytes(t, otherBackend, pingreq)
			if line := g.logs.await(t, func(l map[string]any) bool { return l["reason"] == proxy.ClientClosed.String() }); line["err"] == nil {
				t.Error("the log does not say what the client did")
			}
		})
	}
}

// A handshake message after the handshake that comes in several records, one of them never, holds up nobody.
func TestPostHandshakeMessageInPieces(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	client, backend := sealedSession(g, b, tls.VersionTLS13)
	for i := range tlstest.KeyUpdate[1:] {
		write(t, client.Raw, client.Record(tlstest.Handshake, tlstest.KeyUpdate[:i+1]))
		write(t, client.Raw, client.Update(tlstest.KeyUpdate[i+1:]))
		write(t, client.Raw, client.Record(tlstest.Application, pingreq))
		wantBytes(t, backend, pingreq)
	}
	write(t, client.Raw, client.Record(tlstest.Handshake, tlstest.KeyUpdate[:2]))
	other, otherBackend := session(g, b)
	write(t, other, pingreq)
	wantBytes(t, otherBackend, pingreq)
}

// What comes with the end, in one segment, is both seen.
func TestRecordsWithoutDataBeforeTheEnd(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	for range 20 {
		client, backend := sealedSession(g, b, tls.VersionTLS13)
		write(t, client.Raw, slices.Concat(client.Record(tlstest.Application, pingreq), client.Update(tlstest.KeyUpdate), client.Record(tlstest.Alert, tlstest.CloseNotify)))
		wantBytes(t, backend, pingreq)
		wantEOF(t, backend)
		_ = backend.Close()
		_ = client.Raw.SetReadDeadline(time.Now().Add(patience))
		wantEOF(t, client)
	}
}
