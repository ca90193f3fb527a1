// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/packets"
	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// tlsVersions are those that a broker may speak.
var tlsVersions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// A secureBroker is a broker that speaks TLS and wants to see the certificate of its client.
type secureBroker struct {
	*broker
	config *tls.Config
}

// startSecureBroker starts a broker with a certificate for 127.0.0.1 that believes the CA of the tests. version 0 is any.
func startSecureBroker(t testing.TB, version uint16) secureBroker {
	t.Helper()
	return secureBroker{startBroker(t), &tls.Config{
		Certificates: []tls.Certificate{testPKI().server.TLS()},
		ClientCAs:    testPKI().ca.Pool(),
		ClientAuth:   tls.RequireAndVerifyClientCert,
		MinVersion:   version, MaxVersion: version,
	}}
}

// accept is the next connection from the gate, with TLS on it.
func (b secureBroker) accept() *tls.Conn { return tls.Server(b.broker.accept(), b.config) }

// greet is that of a broker, over TLS.
func (b secureBroker) greet(connect, reply []byte) *tls.Conn {
	b.t.Helper()
	c := b.accept()
	wantBytes(b.t, c, connect)
	write(b.t, c, reply)
	return c
}

// speakTLS makes a gate speak TLS to brokers, as pair's; nil shows no certificate.
func speakTLS(pair *certtest.Cert, all ...*broker) func(*proxy.Config) {
	config := &tls.Config{RootCAs: testPKI().ca.Pool(), ServerName: "127.0.0.1", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	if pair != nil {
		certificate := pair.TLS()
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
	}
	return func(c *proxy.Config) {
		brokers(all...)(c)
		c.BackendTLS = func(string) *tls.Config { return config }
	}
}

// secureSession establishes a session through a gate to a broker that speaks TLS.
func secureSession(g *gate, b secureBroker) (client, backend *tls.Conn) {
	g.t.Helper()
	client = g.device(connect311)
	backend = b.greet(connect311Owned, connack311)
	wantBytes(g.t, client, connack311)
	return client, backend
}

// exchange sends packets of up to more than any buffer through a session, in both directions at once.
func exchange(t *testing.T, client, backend io.ReadWriter) {
	t.Helper()
	for _, n := range []int{64, 20_000, 2_000_000} {
		packet := publish(n)
		written := make(chan error, 2)
		for _, side := range []io.Writer{client, backend} {
			go func() { _, err := side.Write(packet); written <- err }()
		}
		read := make(chan []byte, 2)
		for _, side := range []io.Reader{client, backend} {
			go func() {
				got := make([]byte, len(packet))
				_, _ = io.ReadFull(side, got)
				read <- got
			}()
		}
		for range 2 {
			if err := <-written; err != nil {
				t.Fatal(err)
			}
			if got := <-read; !bytes.Equal(got, packet) {
				t.Fatalf("a packet of %d bytes did not come through", n)
			}
		}
	}
}

func TestBrokerOverTLS(t *testing.T) {
	t.Parallel()
	for name, version := range tlsVersions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startSecureBroker(t, version)
			g := startGate(t, speakTLS(testPKI().device, b.broker))
			client, backend := secureSession(g, b)
			if got := backend.ConnectionState().PeerCertificates[0]; !got.Equal(testPKI().device.Leaf) {
				t.Errorf("the broker was shown %v", got.Subject)
			}
			exchange(t, client, backend)
			_ = client.Close()
			wantEOF(t, backend) // with close_notify: crypto/tls says so otherwise
			_ = backend.Close()
			g.wantEnd(proxy.ClientClosed)
		})
	}
}

// What a client sends in one go with its CONNECT is not lost behind the broker's handshake, nor is what a broker sends with
// its CONNACK.
func TestWhatComesEarlyReachesABrokerOverTLS(t *testing.T) {
	t.Parallel()
	b := startSecureBroker(t, 0)
	g := startGate(t, speakTLS(testPKI().device, b.broker))
	early := publish(30_000)
	client := g.device(append(bytes.Clone(connect311), early...))
	backend := b.greet(connect311Owned, append(bytes.Clone(connack311), early...))
	wantBytes(t, backend, early)
	wantBytes(t, client, append(bytes.Clone(connack311), early...))
}

func TestEndOfABrokerOverTLSEndsTheSession(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*tls.Conn) error{
		"with close_notify": (*tls.Conn).Close,
		"without":           func(c *tls.Conn) error { return c.NetConn().Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startSecureBroker(t, 0)
			g := startGate(t, speakTLS(testPKI().device, b.broker))
			client, backend := secureSession(g, b)
			last := publish(100)
			write(t, backend, last)
			if err := end(backend); err != nil {
				t.Fatal(err)
			}
			wantBytes(t, client, last)
			wantEOF(t, client)
			g.wantEnd(proxy.BackendClosed)
		})
	}
}

// A session that is ended by us says goodbye to both sides.
func TestForcedEndSaysCloseNotifyToABrokerOverTLS(t *testing.T) {
	t.Parallel()
	b := startSecureBroker(t, 0)
	g := startGate(t, speakTLS(testPKI().device, b.broker))
	client, backend := secureSession(g, b)
	if n := g.Kick(proxy.Filter{Owner: "admin:dev1"}, nil); n != 1 {
		t.Fatalf("%d sessions were ended, want 1", n)
	}
	wantEOF(t, backend)
	_ = backend.Close()
	wantEOF(t, client)
	g.wantEnd(proxy.AdminKick)
}

// The PROXY header stands in front of TLS, as HAProxy puts it there.
func TestProxyHeaderComesBeforeTLS(t *testing.T) {
	t.Parallel()
	b := startSecureBroker(t, 0)
	g := startGate(t, func(c *proxy.Config) {
		speakTLS(testPKI().device, b.broker)(c)
		c.BackendProxyProtocol = 1
	})
	client := g.device(connect311)
	raw := b.broker.accept()
	_, port, _ := net.SplitHostPort(client.LocalAddr().String())
	line := make([]byte, len("PROXY TCP4 127.0.0.1 127.0.0.1 "))
	if _, err := io.ReadFull(raw, line); err != nil || string(line) != "PROXY TCP4 127.0.0.1 127.0.0.1 " {
		t.Fatalf("got %q and %v, want a PROXY header", line, err)
	}
	for end := byte(0); end != '\n'; {
		next := make([]byte, 1)
		if _, err := io.ReadFull(raw, next); err != nil {
			t.Fatal(err)
		}
		line, end = append(line, next...), next[0]
	}
	if !strings.Contains(string(line), " "+port+" ") {
		t.Errorf("got header %q, want the client's port %s in it", line, port)
	}
	backend := tls.Server(raw, b.config)
	wantBytes(t, backend, connect311Owned)
	write(t, backend, connack311)
	wantBytes(t, client, connack311)
}

// Whichever side does not trust the other: the client gets another broker, and the pool is told why.
func TestBrokerThatFailsTheHandshakeIsPassedOver(t *testing.T) {
	t.Parallel()
	stranger := certtest.NewCA("somebody else")
	for name, test := range map[string]struct {
		pair    *certtest.Cert
		version uint16
		change  func(*tls.Config)
	}{
		"its CA is not ours":            {testPKI().device, 0, func(c *tls.Config) { c.Certificates[0] = stranger.Issue("b", certtest.Server("127.0.0.1")).TLS() }},
		"its name is another":           {testPKI().device, 0, func(c *tls.Config) { c.Certificates[0] = testPKI().ca.Issue("b", certtest.Server("192.0.2.1")).TLS() }},
		"ours is not its CA, 1.2":       {stranger.Issue("gate"), tls.VersionTLS12, func(*tls.Config) {}},
		"ours is not its CA, 1.3":       {stranger.Issue("gate"), tls.VersionTLS13, func(*tls.Config) {}},
		"we have no certificate, 1.3":   {nil, tls.VersionTLS13, func(*tls.Config) {}},
		"there is no version in common": {testPKI().device, 0, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11; c.MinVersion = tls.VersionTLS10 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failing, b := startSecureBroker(t, test.version), startSecureBroker(t, 0)
			test.change(failing.config)
			b.config.ClientAuth = tls.NoClientCert
			turns := newTurns(failing.addr(), b.addr())
			g := startGate(t, func(c *proxy.Config) {
				speakTLS(test.pair)(c)
				c.Lease = turns.lease
			})
			client := g.device(connect311)
			refused := failing.accept()
			if err := refused.Handshake(); err == nil {
				t.Error("the broker is content")
			}
			_ = refused.NetConn().Close()
			b.greet(connect311Owned, connack311)
			wantBytes(t, client, connack311)
			turns.wantTold(t, "handshake failed", failing.addr(), "succeeded", b.addr())
		})
	}
}

// A listener without TLS, with a PROXY header to wait for, or without one, says nothing that is TLS, or hangs up.
func TestBrokerWithoutTLSIsNamed(t *testing.T) {
	t.Parallel()
	for version, want := range map[byte]string{0: "it may expect a PROXY header", 2: "it may not expect the PROXY header"} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			plain := startBroker(t)
			g := startGate(t, func(c *proxy.Config) {
				speakTLS(nil, plain)(c)
				c.BackendProxyProtocol = version
			})
			client := g.device(connect311)
			backend := plain.accept()
			_, _ = backend.Read(make([]byte, 1000))
			_ = backend.Close()
			wantBytes(t, client, versions["3.1.1"].unavailable)
			got := g.wantEnd(proxy.BackendUnavailable)["err"].(string)
			for _, want := range []string{"TLS handshake with broker " + plain.addr(), "it may not speak TLS", want} {
				if !strings.Contains(got, want) {
					t.Errorf("got err %q, want it to say %q", got, want)
				}
			}
		})
	}
}

// A broker that is silent in the handshake is one that cannot be reached in time.
func TestHandshakeWithABrokerHasATimeout(t *testing.T) {
	t.Parallel()
	silent := startBroker(t)
	turns := newTurns(silent.addr())
	g := startGate(t, func(c *proxy.Config) {
		speakTLS(nil)(c)
		c.Lease = turns.lease
		c.DialTimeout = 2 * time.Second
	})
	client := g.device(connect311)
	wantBytes(t, client, versions["3.1.1"].unavailable)
	g.wantEnd(proxy.BackendUnavailable)
	turns.wantTold(t, "handshake failed", silent.addr())
}

// TLS sessions with brokers are resumed, so that a storm of clients costs no signatures on either side.
func TestTLSWithABrokerIsResumed(t *testing.T) {
	t.Parallel()
	for name, version := range tlsVersions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startSecureBroker(t, version)
			g := startGate(t, speakTLS(testPKI().device, b.broker))
			for i := range 3 {
				client, backend := secureSession(g, b)
				write(t, client, pingreq)
				wantBytes(t, backend, pingreq)
				if got, want := backend.ConnectionState().DidResume, i > 0; got != want {
					t.Errorf("session %d: resumed is %v, want %v", i+1, got, want)
				}
			}
		})
	}
}

// Thousands of bytes in one direction, a stop in the other: back-pressure reaches through two TLS connections.
func TestSlowBrokerOverTLSSlowsItsClientDown(t *testing.T) {
	t.Parallel()
	b := startSecureBroker(t, 0)
	g := startGate(t, speakTLS(testPKI().device, b.broker))
	client, backend := secureSession(g, b)
	packet := publish(1 << 20)
	sent := 0
	_ = client.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	for {
		n, err := client.Write(packet)
		sent += n
		if err != nil {
			if ne := net.Error(nil); !errors.As(err, &ne) || !ne.Timeout() {
				t.Fatal(err)
			}
			break
		}
		if sent > 256<<20 {
			t.Fatal("nothing slows the client down")
		}
	}
	got := make([]byte, sent)
	if n, err := io.ReadFull(backend, got); err != nil {
		t.Errorf("got %d of %d bytes, %v", n, sent, err)
	}
}

func TestTryBrokerOverTLS(t *testing.T) {
	t.Parallel()
	b := startSecureBroker(t, 0)
	var cfg proxy.Config
	speakTLS(testPKI().device, b.broker)(&cfg)
	done := make(chan error, 1)
	go func() {
		c := b.accept()
		if _, err := packets.ReadConnect(c, 1<<10); err != nil {
			done <- err
			return
		}
		_, _ = c.Write(connack311)
		rest, err := io.ReadAll(c)
		if err == nil && !bytes.Equal(rest, disconnect) {
			err = errors.New("no DISCONNECT")
		}
		done <- err
	}()
	if code, err := proxy.TryBroker(t.Context(), cfg, b.addr(), 0); code != 0 || err != nil {
		t.Errorf("got %v and %v", code, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
