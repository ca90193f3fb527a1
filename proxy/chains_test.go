// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"crypto/tls"
	"crypto/x509"
	"sync"
	"testing"
	"time"

	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// A chainWitness is a trust that notes the chains it has to judge.
type chainWitness struct {
	*trust
	mu   sync.Mutex
	seen [][][]*x509.Certificate
}

func (w *chainWitness) Verify(peer []*x509.Certificate, chains [][]*x509.Certificate) ([]*x509.Certificate, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, chains)
	return w.trust.Verify(peer, chains)
}

// letIn has the device connect and waits until it is let in, so that its certificate is known.
func (g *gate) letIn(t *testing.T, b *broker, config *tls.Config) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", g.addr, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	write(t, c, connect311)
	b.greet(connect311Owned, connack311)
	wantBytes(t, c, connack311)
	return c
}

// startTrusting starts a gate in front of b that goes by one trust.
func startTrusting(t *testing.T, b *broker, trust proxy.Trust) *gate {
	t.Helper()
	return startGate(t, func(c *proxy.Config) {
		brokers(b)(c)
		c.Trust = func() proxy.Trust { return trust }
	})
}

// inBothVersions runs a test for each version of TLS.
func inBothVersions(t *testing.T, test func(t *testing.T, version uint16)) {
	t.Helper()
	for _, version := range bothVersions {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			test(t, version)
		})
	}
}

// sending is a device at version that sends these certificates, the first of which is cert's.
func sending(cert *certtest.Cert, version uint16, above ...*x509.Certificate) *tls.Config {
	pair := cert.TLS()
	pair.Certificate = [][]byte{cert.Leaf.Raw}
	for _, ca := range above {
		pair.Certificate = append(pair.Certificate, ca.Raw)
	}
	config := atVersion(nil, version)
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return config
}

// atVersion is a device that speaks one version of TLS and never resumes.
func atVersion(cert *certtest.Cert, version uint16) *tls.Config {
	config := clientConfig(cert)
	config.MinVersion, config.MaxVersion = version, version
	return config
}

// crypto/tls parses anew what a client sends, so that an intermediate that is the same one in the next handshake comes
// from the chain that was verified before.
func TestChainsAreVerifiedOnce(t *testing.T) {
	t.Parallel()
	device := testPKI().ca.Intermediate("plant 7").Issue("admin:dev1")
	inBothVersions(t, func(t *testing.T, version uint16) {
		w := &chainWitness{trust: newTrust()}
		b := startBroker(t)
		g := startTrusting(t, b, w)
		config := atVersion(device, version)
		g.letIn(t, b, config)
		g.letIn(t, b, config)
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		g.letIn(t, b, config)
		if !g.letIn(t, b, config).ConnectionState().DidResume {
			t.Error("the ticket of a known certificate is no good")
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for i, chains := range w.seen {
			if len(chains) != 1 || len(chains[0]) != 3 || !chains[0][0].Equal(device.Leaf) || !chains[0][2].Equal(testPKI().ca.Cert) {
				t.Fatalf("handshake %d: got chains %v, want the one of three certificates", i, chains)
			}
		}
		if first, second := w.seen[0][0][1], w.seen[1][0][1]; (first == second) != proxy.Reconfigures {
			t.Errorf("chain known in the second handshake: got %v, want %v", first == second, proxy.Reconfigures)
		}
	})
}

// A ticketWitness is a chainWitness that brings ticket keys.
type ticketWitness struct {
	chainWitness
	keys [][32]byte
}

func (w *ticketWitness) TicketKeys() [][32]byte { return w.keys }

// What a ticket says was verified by who has made it, which is whoever has the key: it must not count for longer than the
// ticket.
func TestChainsOfTicketsAreNotRemembered(t *testing.T) {
	t.Parallel()
	device := testPKI().ca.Intermediate("plant 7").Issue("admin:dev1")
	inBothVersions(t, func(t *testing.T, version uint16) {
		b := startBroker(t)
		start := func() (*gate, *ticketWitness) {
			w := &ticketWitness{chainWitness{trust: newTrust()}, [][32]byte{{1}}}
			return startTrusting(t, b, w), w
		}
		sealer, _ := start()
		opener, w := start()
		config := atVersion(device, version)
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		sealer.letIn(t, b, config)
		if !opener.letIn(t, b, config).ConnectionState().DidResume {
			t.Fatal("the ticket is no good")
		}
		config.ClientSessionCache = nil
		opener.letIn(t, b, config)
		w.mu.Lock()
		defer w.mu.Unlock()
		if resumed, full := w.seen[0][0][1], w.seen[1][0][1]; resumed == full {
			t.Error("a full handshake went by the chain of a ticket")
		}
	})
}

func TestKnownCertificatesAreJudgedEachTime(t *testing.T) {
	t.Parallel()
	otherCA := newTrust()
	otherCA.pool = certtest.NewCA("another").Pool()
	for name, test := range map[string]struct {
		now    *trust
		alert  string
		reason proxy.Reason
	}{
		"revoked":    {newTrust(testPKI().device.Leaf), "tls: bad certificate", proxy.TLSRevoked},
		"CA removed": {otherCA, "tls: unknown certificate authority", proxy.TLSUntrusted},
	} {
		for _, version := range bothVersions {
			t.Run(name+" "+tls.VersionName(version), func(t *testing.T) {
				t.Parallel()
				b := startBroker(t)
				g := startGate(t, brokers(b))
				config := atVersion(testPKI().device, version)
				g.letIn(t, b, config)
				g.trust.Store(test.now)
				if got := alert(firstError(t, g.addr, config)); got != test.alert {
					t.Errorf("got alert %q, want %q", got, test.alert)
				}
				g.logs.await(t, func(l map[string]any) bool { return l["reason"] == test.reason.String() })
			})
		}
	}
}

// A certificate that is known as a client's is no CA, whatever it says of itself.
func TestKnownCertificatesVouchForNobody(t *testing.T) {
	t.Parallel()
	plant := testPKI().ca.Intermediate("plant 7")
	asClient := testPKI().ca.Issue("admin:dev1", certtest.Template(func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
		c.Subject, c.SubjectKeyId = plant.Cert.Subject, plant.Cert.SubjectKeyId
	}), certtest.Key(plant.Key))
	below := plant.Issue("admin:dev1")
	inBothVersions(t, func(t *testing.T, version uint16) {
		b := startBroker(t)
		g := startGate(t, brokers(b))
		g.letIn(t, b, atVersion(asClient, version))
		if got, want := alert(firstError(t, g.addr, sending(below, version))), "tls: unknown certificate authority"; got != want {
			t.Errorf("got alert %q, want %q", got, want)
		}
	})
}

// A believer is a trust that does not verify again what ends at the CA.
type believer struct{ *trust }

func (w *believer) Verify(peer []*x509.Certificate, chains [][]*x509.Certificate) ([]*x509.Certificate, error) {
	if len(chains) > 0 && chains[0][len(chains[0])-1].Equal(testPKI().ca.Cert) {
		return nil, nil
	}
	return w.trust.Verify(peer, nil)
}

// A client that does not send what leads to a CA is no better off than one that is not known: it would be let in or not
// depending on who came before, and would not stand the next look at its certificate.
func TestKnownCertificatesNeedTheirIntermediates(t *testing.T) {
	t.Parallel()
	device := testPKI().ca.Intermediate("plant 7").Issue("admin:dev1")
	inBothVersions(t, func(t *testing.T, version uint16) {
		b := startBroker(t)
		trust := &believer{newTrust()}
		g := startTrusting(t, b, trust)
		g.letIn(t, b, atVersion(device, version))
		if err := firstError(t, g.addr, sending(device, version)); err == nil {
			t.Error("it is let in")
		}
		g.logs.await(t, func(l map[string]any) bool { return l["reason"] == proxy.TLSUntrusted.String() })
	})
}

// The chain that counts is that of what the client has sent, not of what it has sent before: a CA above it that was issued
// anew can be revoked as well.
func TestChainsOfKnownCertificatesAreThoseThatAreSent(t *testing.T) {
	t.Parallel()
	plant := testPKI().ca.Intermediate("plant 7")
	device := plant.Issue("admin:dev1")
	renewed := testPKI().ca.Issue("plant 7", certtest.Template(func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, plant.Cert.KeyUsage, nil
		c.Subject, c.SubjectKeyId = plant.Cert.Subject, plant.Cert.SubjectKeyId
	}), certtest.Key(plant.Key))
	inBothVersions(t, func(t *testing.T, version uint16) {
		w := &chainWitness{trust: newTrust()}
		b := startBroker(t)
		g := startTrusting(t, b, w)
		g.letIn(t, b, atVersion(device, version))
		g.letIn(t, b, sending(device, version, renewed.Leaf))
		g.letIn(t, b, sending(device, version, renewed.Leaf))
		w.mu.Lock()
		defer w.mu.Unlock()
		if chain := w.seen[1][0]; len(chain) != 3 || !chain[1].Equal(renewed.Leaf) || !chain[2].Equal(testPKI().ca.Cert) {
			t.Errorf("got a chain of %d certificates, want that of the CA that was issued anew", len(chain))
		}
		if second, third := w.seen[1][0][1], w.seen[2][0][1]; (second == third) != proxy.Reconfigures {
			t.Errorf("new chain known the next time: got %v, want %v", second == third, proxy.Reconfigures)
		}
	})
}

// What clients are told is which CAs are welcome, and not whose certificates are known; also when they have to say hello
// twice (RFC 8446 §4.1.4).
func TestClientsAreOnlyToldOfCAs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		version uint16
		curves  []tls.CurveID // of the gate
	}{
		"TLS 1.2":                    {tls.VersionTLS12, nil},
		"TLS 1.3":                    {tls.VersionTLS13, nil},
		"TLS 1.3 with two greetings": {tls.VersionTLS13, []tls.CurveID{tls.CurveP384}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startGate(t, func(c *proxy.Config) {
				brokers(b)(c)
				c.TLS.CurvePreferences = test.curves
			})
			pair := testPKI().device.TLS()
			config := atVersion(nil, test.version)
			config.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP384}
			config.GetClientCertificate = func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if len(asked.AcceptableCAs) != 1 || string(asked.AcceptableCAs[0]) != string(testPKI().ca.Cert.RawSubject) {
					t.Errorf("got the names %q, want the CA's", asked.AcceptableCAs)
				}
				return &pair, nil
			}
			for range 3 {
				state := g.letIn(t, b, config).ConnectionState()
				if got, want := state.HelloRetryRequest, test.curves != nil; got != want {
					t.Errorf("greeted twice: got %v, want %v", got, want)
				}
			}
		})
	}
}
