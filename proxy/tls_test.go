// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// resuming dials again and again with the same session cache, as a device does that reconnects.
func resuming(g *gate, version uint16) (dial func() (*tls.Conn, error)) {
	config := clientConfig(testPKI().device)
	config.MinVersion, config.MaxVersion = version, version
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	return func() (*tls.Conn, error) {
		c, err := tls.Dial("tcp", g.addr, config)
		if err == nil {
			g.t.Cleanup(func() { _ = c.Close() })
			_ = c.SetDeadline(time.Now().Add(patience))
		}
		return c, err
	}
}

var bothVersions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

func TestSessionsResume(t *testing.T) {
	t.Parallel()
	for _, version := range bothVersions {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startGate(t, brokers(b))
			dial := resuming(g, version)
			for i := range 3 {
				c, err := dial()
				if err != nil {
					t.Fatal(err)
				}
				write(t, c, connect311)
				b.greet(connect311Owned, connack311)
				wantBytes(t, c, connack311)
				if got, want := c.ConnectionState().DidResume, i > 0; got != want {
					t.Errorf("connection %d: got resumed %v, want %v", i, got, want)
				}
			}
		})
	}
}

// A ticket is no way around what the trust says now.
func TestResumedSessionIsVerifiedAnew(t *testing.T) {
	t.Parallel()
	otherCA := newTrust()
	otherCA.pool = certtest.NewCA("another").Pool()
	for name, test := range map[string]struct {
		now    *trust
		reason proxy.Reason
	}{
		"revoked":    {newTrust(testPKI().device.Leaf), proxy.TLSRevoked},
		"CA removed": {otherCA, proxy.TLSUntrusted},
	} {
		for _, version := range bothVersions {
			t.Run(name+" "+tls.VersionName(version), func(t *testing.T) {
				t.Parallel()
				b := startBroker(t)
				g := startGate(t, brokers(b))
				dial := resuming(g, version)
				c, err := dial()
				if err != nil {
					t.Fatal(err)
				}
				write(t, c, connect311)
				backend := b.greet(connect311Owned, connack311)
				wantBytes(t, c, connack311)
				_ = backend.Close()
				wantEOF(t, c)
				g.wantEnd(proxy.BackendClosed)

				g.trust.Store(test.now)
				if c, err = dial(); err == nil {
					_, err = c.Read(make([]byte, 1))
				}
				if alert(err) == "" {
					t.Errorf("got error %v, want an alert", err)
				}
				g.logs.await(t, func(l map[string]any) bool { return l["reason"] == test.reason.String() })
				if n := b.count.Load(); n != 1 {
					t.Errorf("the broker got %d connections, want only the first", n)
				}
			})
		}
	}
}

// Clients are verified as well when they are not told whose certificates are welcome.
func TestNamesOfCAsMayBeLeftOut(t *testing.T) {
	t.Parallel()
	stranger, expired := certtest.NewCA("stranger").Issue("x"), testPKI().ca.Issue("x", certtest.NotAfter(time.Now().Add(-time.Minute)))
	gone := testPKI().ca.Issue("gone")
	for _, nameless := range []bool{false, true} {
		for _, version := range bothVersions {
			t.Run(fmt.Sprintf("told %v %s", !nameless, tls.VersionName(version)), func(t *testing.T) {
				t.Parallel()
				trust := newTrust(gone.Leaf)
				trust.nameless = nameless
				for reason, device := range map[proxy.Reason]*certtest.Cert{
					proxy.TLSUntrusted: stranger, proxy.TLSExpired: expired, proxy.TLSRevoked: gone, proxy.TLSNoCert: nil,
				} {
					g := startGate(t, nil)
					g.trust.Store(trust)
					config := clientConfig(testPKI().device)
					config.MinVersion, config.MaxVersion = version, version
					config.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
						if got := len(info.AcceptableCAs); got == 0 != nameless {
							t.Errorf("told %d names, want none %v", got, nameless)
						}
						if device == nil {
							return new(tls.Certificate), nil
						}
						cert := device.TLS()
						return &cert, nil
					}
					if got := alert(firstError(t, g.addr, config)); got == "" {
						t.Errorf("%v: got no alert, want a refusal", reason)
					}
					g.wantEnd(reason)
				}
				g := startGate(t, nil)
				g.trust.Store(trust)
				dial := resuming(g, version)
				for i := range 2 {
					c, err := dial()
					if err != nil {
						t.Fatalf("good device: %v", err)
					}
					if version == tls.VersionTLS12 && c.ConnectionState().DidResume != (i > 0) {
						t.Errorf("connection %d: got resumed %v", i, c.ConnectionState().DidResume)
					}
				}
			})
		}
	}
}

// The verdict is that of the trust at the end of the handshake, not at its beginning.
func TestTrustThatChangesDuringTheHandshake(t *testing.T) {
	t.Parallel()
	g := startGate(t, nil)
	config := clientConfig(testPKI().device)
	config.VerifyConnection = func(tls.ConnectionState) error {
		g.trust.Store(newTrust(testPKI().device.Leaf))
		return nil
	}
	if got := alert(firstError(t, g.addr, config)); got == "" {
		t.Error("got no alert, want a refusal")
	}
	g.wantEnd(proxy.TLSRevoked)
}

func TestNewServerCertificateCountsFromTheNextHandshake(t *testing.T) {
	t.Parallel()
	g := startGate(t, nil)
	renewed := testPKI().ca.Issue("localhost", certtest.Server("localhost"))
	for _, want := range []*certtest.Cert{testPKI().server, renewed} {
		next := newTrust()
		next.certs = []tls.Certificate{want.TLS()}
		g.trust.Store(next)
		if got := g.dial(testPKI().device).ConnectionState().PeerCertificates[0]; !got.Equal(want.Leaf) {
			t.Errorf("got serial %x, want %x", got.SerialNumber, want.Leaf.SerialNumber)
		}
	}
}

func TestServerPairIsChosenByNameAndByKey(t *testing.T) {
	t.Parallel()
	g := startGate(t, nil)
	one := testPKI().ca.Issue("one.example", certtest.Server("one.example"))
	two := testPKI().ca.Issue("two.example", certtest.Server("two.example"))
	twoRSA := testPKI().ca.Issue("two.example", certtest.Server("two.example"), certtest.RSA())
	all := newTrust()
	all.certs = []tls.Certificate{one.TLS(), two.TLS(), twoRSA.TLS()}
	g.trust.Store(all)

	rsaOnly := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	for name, test := range map[string]struct {
		sni    string
		suites []uint16
		want   *certtest.Cert
	}{
		"by name":          {"two.example", nil, two},
		"by key":           {"two.example", rsaOnly, twoRSA},
		"first if unknown": {"three.example", nil, one},
		"first if unnamed": {"", nil, one},
		"RSA if unknown":   {"three.example", rsaOnly, twoRSA},
		"RSA if unnamed":   {"", rsaOnly, twoRSA},
		"RSA for another":  {"one.example", rsaOnly, twoRSA}, // which its client may take or not
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := clientConfig(testPKI().device)
			config.ServerName, config.CipherSuites, config.InsecureSkipVerify = test.sni, test.suites, true
			config.MaxVersion = tls.VersionTLS12
			c, err := tls.Dial("tcp", g.addr, config)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if got := c.ConnectionState().PeerCertificates[0]; !got.Equal(test.want.Leaf) {
				t.Errorf("got the certificate of %v (%v), want %v", got.Subject, got.PublicKeyAlgorithm, test.want.Leaf.Subject)
			}
		})
	}
}

// Whatever the order of the files, RSA is for clients that know nothing else.
func TestEllipticPairGoesBeforeRSA(t *testing.T) {
	t.Parallel()
	rsa := testPKI().ca.Issue("one", certtest.Server("one.example", "127.0.0.1"), certtest.RSA())
	elliptic := testPKI().ca.Issue("one", certtest.Server("one.example", "two.example", "127.0.0.1"))
	other := testPKI().ca.Issue("other", certtest.Server("other.example"))
	onlyRSA := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	for name, test := range map[string]struct {
		pairs   []*certtest.Cert
		sni     string
		version uint16
		suites  []uint16
		want    *certtest.Cert
	}{
		"TLS 1.3":                       {[]*certtest.Cert{rsa, elliptic}, "one.example", tls.VersionTLS13, nil, elliptic},
		"TLS 1.2":                       {[]*certtest.Cert{rsa, elliptic}, "one.example", tls.VersionTLS12, nil, elliptic},
		"client that only knows RSA":    {[]*certtest.Cert{rsa, elliptic}, "one.example", tls.VersionTLS12, onlyRSA, rsa},
		"in this order already":         {[]*certtest.Cert{elliptic, rsa}, "one.example", tls.VersionTLS13, nil, elliptic},
		"another between them":          {[]*certtest.Cert{rsa, other, elliptic}, "one.example", tls.VersionTLS13, nil, elliptic},
		"no other name becomes default": {[]*certtest.Cert{rsa, other}, "unknown.example", tls.VersionTLS13, nil, rsa},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trust := newTrust()
			trust.certs = nil
			for _, cert := range test.pairs {
				trust.certs = append(trust.certs, cert.TLS())
			}
			g := startGate(t, func(c *proxy.Config) { c.Trust = func() proxy.Trust { return trust } })
			config := clientConfig(testPKI().device)
			config.ServerName, config.InsecureSkipVerify = test.sni, true
			config.MinVersion, config.MaxVersion, config.CipherSuites = test.version, test.version, test.suites
			c, err := tls.Dial("tcp", g.addr, config)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if got := c.ConnectionState().PeerCertificates[0]; !got.Equal(test.want.Leaf) {
				t.Errorf("got the certificate of %v (%v), want %v (%v)", got.Subject, got.PublicKeyAlgorithm,
					test.want.Leaf.Subject, test.want.Leaf.PublicKeyAlgorithm)
			}
		})
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	t.Run("post-quantum key exchange is on", func(t *testing.T) {
		t.Parallel()
		g := startGate(t, nil)
		if got := g.dial(testPKI().device).ConnectionState().CurveID; got != tls.X25519MLKEM768 {
			t.Errorf("got %v, want %v", got, tls.X25519MLKEM768)
		}
	})
	t.Run("TLS 1.1 is off", func(t *testing.T) {
		t.Parallel()
		g := startGate(t, nil)
		config := clientConfig(testPKI().device)
		config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		if got := alert(firstError(t, g.addr, config)); got != "tls: protocol version not supported" {
			t.Errorf("got alert %q, want that the version is not supported", got)
		}
		g.wantEnd(proxy.TLSHandshake)
	})
	t.Run("what is configured is negotiated", func(t *testing.T) {
		t.Parallel()
		policy := proxy.TLSPolicy{
			MinVersion:       tls.VersionTLS11,
			CipherSuites:     []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
			CurvePreferences: []tls.CurveID{tls.CurveP384},
		}
		g := startGate(t, func(c *proxy.Config) { c.TLS = policy })
		config := clientConfig(testPKI().device)
		config.MaxVersion = tls.VersionTLS12
		c, err := tls.Dial("tcp", g.addr, config)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if state := c.ConnectionState(); state.CipherSuite != policy.CipherSuites[0] || state.CurveID != tls.CurveP384 {
			t.Errorf("got %s with %v, want what the policy says", tls.CipherSuiteName(state.CipherSuite), state.CurveID)
		}
	})
}

func TestDeviceBehindAnIntermediate(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	device := testPKI().ca.Intermediate("plant 7").Issue("admin:dev1", certtest.RSA())
	if len(device.Chain()) != 2 {
		t.Fatalf("got a chain of %d certificates, want 2", len(device.Chain()))
	}
	client := g.dial(device)
	write(t, client, connect311)
	b.greet(connect311Owned, connack311)
	wantBytes(t, client, connack311)
}

// How many segments a client gets up to its CONNACK: in TLS 1.3, the ticket is not one of its own.
func TestTicketTravelsWithConnack(t *testing.T) {
	t.Parallel()
	for version, want := range map[uint16]int32{
		tls.VersionTLS13: 2, // ServerHello to Finished; ticket and CONNACK
		tls.VersionTLS12: 3, // ServerHello to ServerHelloDone; ticket and Finished; CONNACK
	} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			counting := &countingListener{Listener: l}
			b := startBroker(t)
			g := serveGate(t, counting, proxy.Devices, brokers(b))
			dial := resuming(g, version)
			c, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			write(t, c, connect311)
			b.greet(connect311Owned, connack311)
			wantBytes(t, c, connack311)
			if got := counting.writes.Load(); got != want {
				t.Errorf("got %d writes to the client, want %d", got, want)
			}
			if c, err = dial(); err != nil {
				t.Fatal(err)
			}
			if !c.ConnectionState().DidResume {
				t.Error("got a full handshake the second time, want that the ticket has arrived")
			}
		})
	}
}

// A countingListener counts the writes to all that it has accepted.
type countingListener struct {
	net.Listener
	writes atomic.Int32
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &countingConn{c, &l.writes}, err
}

type countingConn struct {
	net.Conn
	writes *atomic.Int32
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}
