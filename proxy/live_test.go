// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"iter"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// revoking is what a trust store says when certificates have been put on a CRL.
func revoking(certs ...*x509.Certificate) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, c := range certs {
			if !yield(pki.CanonicalName(c.RawIssuer), c.SerialNumber.Bytes()) {
				return
			}
		}
	}
}

// wantStopped wants the end of both sides of a 5.0 session: the client is told with a DISCONNECT, the broker sees
// the stream end without one, as it publishes the will then.
func wantStopped(t *testing.T, client *tls.Conn, backend net.Conn, code byte) {
	t.Helper()
	wantBytes(t, client, []byte{0xe0, 1, code})
	wantEOF(t, client)
	wantEOF(t, backend)
	_ = backend.Close()
}

func TestWithdrawnTrustEndsSessions(t *testing.T) {
	t.Parallel()
	plant := testPKI().ca.Intermediate("plant 7")
	sub := plant.Issue("admin:dev1")
	other := certtest.NewCA("others")
	foreign := other.Issue("admin:dev1")
	both := newTrust()
	both.pool.AddCert(other.Cert)

	for name, test := range map[string]struct {
		device *certtest.Cert // who falls
		now    *trust
		w      proxy.Withdrawal
	}{
		"revoked": {testPKI().device, newTrust(testPKI().device.Leaf), proxy.Withdrawal{Revoked: revoking(testPKI().device.Leaf)}},
		"intermediate revoked": {
			sub, &trust{certs: both.certs, pool: both.pool, revoked: []*x509.Certificate{sub.Leaf}},
			proxy.Withdrawal{Revoked: revoking(plant.Cert)},
		},
		"CA removed": {foreign, newTrust(), proxy.Withdrawal{CAs: []*x509.Certificate{other.Cert}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startGate(t, brokers(b))
			g.trust.Store(both)
			stayer, stayersEnd := session5(g, b, testPKI().ca.Issue("admin:dev1"))
			client, backend := session5(g, b, test.device)
			v3 := g.dial(test.device)
			write(t, v3, connect311)
			v3backend := b.greet(connect311Owned, connack311)
			wantBytes(t, v3, connack311)

			g.trust.Store(test.now)
			g.Withdraw(t.Context(), test.w)
			wantStopped(t, client, backend, 0x87)
			wantEOF(t, v3)
			wantEOF(t, v3backend)
			line := g.logs.await(t, func(l map[string]any) bool { return l["reason"] == "cert_revoked" })
			if line["fingerprint"] != fingerprint(test.device) {
				t.Errorf("got fingerprint %v, want %v", line["fingerprint"], fingerprint(test.device))
			}

			write(t, stayer, pingreq)
			wantBytes(t, stayersEnd, pingreq)
			write(t, stayersEnd, pingresp)
			wantBytes(t, stayer, pingresp)
		})
	}
}

// What is named is only looked at: a certificate that is still trusted, by another CA of the same name say, stays.
func TestNamedButTrustedSessionStays(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	client, backend := session5(g, b, testPKI().device)
	g.Withdraw(t.Context(), proxy.Withdrawal{Revoked: revoking(testPKI().device.Leaf), CAs: []*x509.Certificate{testPKI().ca.Cert}})
	write(t, client, pingreq)
	wantBytes(t, backend, pingreq)
}

// The trust changes after the handshake and before the broker has answered: nobody may fall in between.
func TestTrustWithdrawnWhileConnecting(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	client := g.device(connect5)
	backend := b.accept()
	wantBytes(t, backend, connect5Owned)
	g.trust.Store(newTrust(testPKI().device.Leaf))
	g.Withdraw(t.Context(), proxy.Withdrawal{Revoked: revoking(testPKI().device.Leaf)})
	write(t, backend, connack5)
	wantBytes(t, client, connack5)
	wantStopped(t, client, backend, 0x87)
	g.wantEnd(proxy.CertRevoked)
}

// sessionThatExpires establishes a session whose certificate expires soon, and not before the session is there, which takes
// long on a busy machine.
func sessionThatExpires(g *gate, b *broker) (device *certtest.Cert, client *tls.Conn, backend net.Conn) {
	g.t.Helper()
	for life := 2 * time.Second; ; life *= 2 {
		begin := time.Now()
		_, _ = session5(g, b, testPKI().ca.Issue("admin:dev1")) // as long as this takes, or less
		if took := time.Since(begin); life > patience || took < life/4 {
			device = testPKI().ca.Issue("admin:dev1", certtest.NotAfter(time.Now().Add(life)))
			client, backend = session5(g, b, device)
			return device, client, backend
		}
	}
}

func TestExpiryEndsSessions(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	device, client, backend := sessionThatExpires(g, b)
	wantStopped(t, client, backend, 0x87)
	if late := time.Since(device.Leaf.NotAfter); late < 0 || late > patience/2 {
		t.Errorf("ended %v after the certificate expired, want at once", late)
	}
	g.wantEnd(proxy.CertExpired)
}

func TestLifetimeEndsSessions(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, func(c *proxy.Config) { brokers(b)(c); c.MaxLifetime = 200 * time.Millisecond })
	began := time.Now()
	client, backend := session5(g, b, testPKI().device)
	wantStopped(t, client, backend, 0xa0)
	if lived := time.Since(began); lived < 180*time.Millisecond {
		t.Errorf("the session lived for %v, want at least 180ms", lived)
	}
	g.wantEnd(proxy.MaxLifetime)
}

// Services have no lifetime: only devices were ever kicked.
func TestLifetimeIsForDevices(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, func(c *proxy.Config) {
		brokers(b)(c)
		c.Owner = owned("v2k-bridge")
		c.MaxLifetime = time.Millisecond
	})
	client := g.device(connect311)
	backend := b.greet([]byte("\x10\x1a\x00\x04MQTT\x04\x82\x00\x3c\x00\x02c1\x00\x0av2k-bridge"), connack311)
	wantBytes(t, client, connack311)
	wantNothing(t, client)
	write(t, client, pingreq)
	wantBytes(t, backend, pingreq)
}

// An ownerBook answers like certificate-acl, and can be changed and counts.
type ownerBook struct {
	answer atomic.Pointer[answer]
	asked  atomic.Int32
}

type answer struct {
	owner string
	ok    bool
	err   error
}

func (o *ownerBook) lookup(context.Context, proxy.Peer) (string, bool, error) {
	o.asked.Add(1)
	a := o.answer.Load()
	return a.owner, a.ok, a.err
}

func TestChangedOwnerEndsSessions(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]answer{
		"somebody else": {"admin:dev2", true, nil},
		"nobody":        {"", false, nil},
		"no username":   {"+", true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			book := &ownerBook{}
			book.answer.Store(&answer{"admin:dev1", true, nil})
			b := startBroker(t)
			g := startGate(t, func(c *proxy.Config) {
				brokers(b)(c)
				c.Owner = book.lookup
				c.Recheck = 50 * time.Millisecond
			})
			client, backend := session5(g, b, testPKI().device)
			asked := book.asked.Load()
			await(t, "two rechecks that change nothing", func() bool { return book.asked.Load() >= asked+2 })
			book.answer.Store(&change)
			wantStopped(t, client, backend, 0x87)
			g.wantEnd(proxy.OwnerChanged)
		})
	}
}

func TestUnknownAnswerEndsNothing(t *testing.T) {
	t.Parallel()
	book := &ownerBook{}
	book.answer.Store(&answer{"admin:dev1", true, nil})
	b := startBroker(t)
	g := startGate(t, func(c *proxy.Config) { brokers(b)(c); c.Owner = book.lookup; c.Recheck = 20 * time.Millisecond })
	client, backend := session5(g, b, testPKI().device)
	book.answer.Store(&answer{"", false, errors.New("certificate-acl is down")})
	asked := book.asked.Load()
	await(t, "three rechecks without an answer", func() bool { return book.asked.Load() >= asked+3 })
	write(t, client, pingreq)
	wantBytes(t, backend, pingreq)
}

// However many sessions a certificate has, its owner is asked for once an interval.
func TestOneRecheckForAllSessionsOfACertificate(t *testing.T) {
	t.Parallel()
	book := &ownerBook{}
	book.answer.Store(&answer{"admin:dev1", true, nil})
	b := startBroker(t)
	g := startGate(t, func(c *proxy.Config) { brokers(b)(c); c.Owner = book.lookup; c.Recheck = time.Second })
	const sessions = 20
	began := time.Now()
	var client net.Conn
	for range sessions {
		client, _ = session5(g, b, testPKI().device)
	}
	await(t, "a recheck", func() bool { return book.asked.Load() > sessions })
	wantNothing(t, client)
	rechecks, intervals := book.asked.Load()-sessions, int32(time.Since(began)/time.Second)
	if rechecks > intervals+1 {
		t.Errorf("got %d rechecks in %d intervals, want one for all sessions in each", rechecks, intervals)
	}
}

// A client that breaks the protocol takes nothing of it to the broker, and learns why.
func TestBrokenProtocolEndsTheSession(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		send   []byte
		code   byte
		reason proxy.Reason
	}{
		"second CONNECT":         {append(bytes.Clone(pingreq), connect5...), 0x82, proxy.ConnectAgain},
		"second CONNECT, flags":  {append(bytes.Clone(pingreq), 0x1f, 0x00), 0x82, proxy.ConnectAgain},
		"length of five bytes":   {append(bytes.Clone(pingreq), "\x30\xff\xff\xff\xff\x01"...), 0x81, proxy.PacketMalformed},
		"CONNECT byte by itself": {append(bytes.Clone(pingreq), 0x10), 0x82, proxy.ConnectAgain},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startGate(t, brokers(b))
			client, backend := session5(g, b, testPKI().device)
			write(t, client, test.send)
			wantBytes(t, client, []byte{0xe0, 1, test.code})
			wantEOF(t, client)
			got, err := io.ReadAll(backend)
			if err != nil || !bytes.HasPrefix(got, pingreq) || bytes.Contains(got, connect5) {
				t.Errorf("the broker got % x and %v, want what came before", got, err)
			}
			_ = backend.Close()
			g.wantEnd(test.reason)
		})
	}
}

// CONNECT's first byte inside a PUBLISH is a payload like any other.
func TestPayloadThatLooksLikeAConnect(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	client, backend := session5(g, b, testPKI().device)
	publish := append([]byte("\x30\x12\x00\x01t\x00"), connect311[:14]...)
	for i := range publish { // each byte a record of its own
		write(t, client, publish[i:i+1])
	}
	wantBytes(t, backend, publish)
}

// What a broker sends together with its CONNACK may end inside a packet, which then goes on.
func TestPacketThatBeginsBehindTheConnack(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	publish := []byte("\x30\x08\x00\x01t\x00\xff\xff\xff\xff")
	client := g.dial(testPKI().device)
	write(t, client, connect5)
	backend := b.greet(connect5Owned, append(bytes.Clone(connack5), publish[:6]...))
	wantBytes(t, client, append(bytes.Clone(connack5), publish[:6]...))
	write(t, backend, publish[6:])
	wantBytes(t, client, publish[6:])

	write(t, backend, publish[:6])
	wantBytes(t, client, publish[:6])
	g.Kick(proxy.Filter{Owner: "admin:dev1"}, nil)
	write(t, backend, publish[6:])
	wantBytes(t, client, publish[6:]) // before the DISCONNECT
	wantStopped(t, client, backend, 0x98)
}

// Packets of many sizes run at full speed both ways when the session ends: the DISCONNECT stands between two of
// them, whatever the moment.
func TestDisconnectStandsBetweenPackets(t *testing.T) {
	t.Parallel()
	for range 10 {
		b := startBroker(t)
		g := startGate(t, brokers(b))
		client, backend := session5(g, b, testPKI().device)
		flood := func(w io.Writer) {
			for size := 1; ; size = size*7%100_003 + 1 {
				packet := append([]byte{0x30, byte(size) | 0x80, byte(size>>7) | 0x80, byte(size >> 14)}, make([]byte, size)...)
				if _, err := w.Write(packet); err != nil {
					return
				}
			}
		}
		go flood(backend)
		go flood(client)
		go func() { _, _ = io.Copy(io.Discard, backend) }()
		wantPackets(t, client, 50)
		g.trust.Store(newTrust(testPKI().device.Leaf))
		g.Withdraw(t.Context(), proxy.Withdrawal{Revoked: revoking(testPKI().device.Leaf)})
		if last := wantPackets(t, client, 1<<30); !bytes.Equal(last, []byte{0xe0, 1, 0x87}) {
			t.Fatalf("got % x as the last packet, want a DISCONNECT", last[:min(len(last), 10)])
		}
		_ = backend.Close()
	}
}

// wantPackets reads n whole packets, or all until the stream ends in an orderly way, and returns the last.
func wantPackets(t *testing.T, r io.Reader, n int) (last []byte) {
	t.Helper()
	for range n {
		header := make([]byte, 1, 5)
		if _, err := io.ReadFull(r, header); err == io.EOF {
			return last
		} else if err != nil {
			t.Fatalf("between packets: %v", err)
		}
		size := 0
		for shift := 0; ; shift += 7 {
			digit := make([]byte, 1)
			if _, err := io.ReadFull(r, digit); err != nil {
				t.Fatalf("in a header: %v", err)
			}
			header = append(header, digit[0])
			if size |= int(digit[0]&0x7f) << shift; digit[0] < 0x80 {
				break
			}
		}
		last = append(header, make([]byte, size)...)
		if _, err := io.ReadFull(r, last[len(header):]); err != nil {
			t.Fatalf("in a packet of %d bytes: %v", size, err)
		}
	}
	return last
}

// A client that takes nothing any more is gone in a second all the same when it is revoked.
func TestRevokedClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	_, backend := session5(g, b, testPKI().device)
	_ = backend.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	_, _ = io.Copy(backend, zeros{})
	g.trust.Store(newTrust(testPKI().device.Leaf))
	began := time.Now()
	g.Withdraw(t.Context(), proxy.Withdrawal{Revoked: revoking(testPKI().device.Leaf)})
	_, _ = io.Copy(io.Discard, backend)
	if took := time.Since(began); took > patience/2 {
		t.Errorf("the broker's side ended after %v, want about a second", took)
	}
	g.wantEnd(proxy.CertRevoked)
}

// zeros is an endless stream of small packets: type 3, of 0 bytes.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	n := len(p) &^ 1
	for i := 0; i < n; i += 2 {
		p[i], p[i+1] = 0x30, 0
	}
	return n, nil
}

func TestKickEndsSessions(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	client, backend := session5(g, b, testPKI().device)
	if n := g.Kick(proxy.Filter{Owner: "admin:dev2"}, nil); n != 0 {
		t.Errorf("got %d sessions of another owner, want none", n)
	}
	if n := g.Kick(proxy.Filter{Owner: "admin:dev1"}, nil); n != 1 {
		t.Errorf("got %d sessions, want 1", n)
	}
	wantStopped(t, client, backend, 0x98)
	g.wantEnd(proxy.AdminKick)
}

// An operator ends sessions by what is known of them, and their certificates are forgotten before.
func TestKickByClientIDAndAddress(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		filter proxy.Filter
		want   int
	}{
		"client id":               {proxy.Filter{ClientID: "c1"}, 1},
		"another client id":       {proxy.Filter{ClientID: "c"}, 0},
		"address":                 {proxy.Filter{Address: netip.MustParsePrefix("127.0.0.1/32")}, 1},
		"prefix":                  {proxy.Filter{Address: netip.MustParsePrefix("127.0.0.0/8")}, 1},
		"another prefix":          {proxy.Filter{Address: netip.MustParsePrefix("192.0.2.0/24")}, 0},
		"client id and address":   {proxy.Filter{ClientID: "c1", Address: netip.MustParsePrefix("192.0.2.0/24")}, 0},
		"owner and its client id": {proxy.Filter{Owner: "admin:dev1", ClientID: "c1"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startGate(t, brokers(b))
			client, backend := session5(g, b, testPKI().device)
			var forgotten []pki.Fingerprint
			if n := g.Kick(test.filter, func(fp pki.Fingerprint) { forgotten = append(forgotten, fp) }); n != test.want {
				t.Errorf("got %d sessions, want %d", n, test.want)
			}
			var want []pki.Fingerprint
			if test.want > 0 {
				want = append(want, pki.FingerprintOf(testPKI().device.Leaf))
				wantStopped(t, client, backend, 0x98)
			}
			if !slices.Equal(forgotten, want) {
				t.Errorf("forgot %v, want %v", forgotten, want)
			}
		})
	}
}
