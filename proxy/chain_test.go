// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// letIn has the device connect and waits until it is let in.
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

func TestCertificatesAreJudgedEachTime(t *testing.T) {
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

// Whether a client is let in does not depend on what it, or another one, has sent before.
func TestClientsHaveToSendTheirIntermediates(t *testing.T) {
	t.Parallel()
	device := testPKI().ca.Intermediate("plant 7").Issue("admin:dev1")
	inBothVersions(t, func(t *testing.T, version uint16) {
		b := startBroker(t)
		g := startGate(t, brokers(b))
		g.letIn(t, b, atVersion(device, version))
		if err := firstError(t, g.addr, sending(device, version)); err == nil {
			t.Error("it is let in")
		}
		g.logs.await(t, func(l map[string]any) bool { return l["reason"] == proxy.TLSUntrusted.String() })
	})
}

// greetings are the ways in which a handshake begins.
var greetings = map[string]struct {
	version uint16
	curves  []tls.CurveID // of the gate
}{
	"TLS 1.2":                    {tls.VersionTLS12, nil},
	"TLS 1.3":                    {tls.VersionTLS13, nil},
	"TLS 1.3 with two greetings": {tls.VersionTLS13, []tls.CurveID{tls.CurveP384}},
}

// What clients are told is which CAs are welcome, also when they have to say hello twice (RFC 8446 §4.1.4).
func TestClientsAreOnlyToldOfCAs(t *testing.T) {
	t.Parallel()
	for name, test := range greetings {
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
			for range 2 {
				state := g.letIn(t, b, config).ConnectionState()
				if got, want := state.HelloRetryRequest, test.curves != nil; got != want {
					t.Errorf("greeted twice: got %v, want %v", got, want)
				}
			}
		})
	}
}

// The chain of a live session is held for as long as it lives, and clients of an intermediate CA choose how long it is.
func TestChainsAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	device := deviceBelow(19 << 10)
	inBothVersions(t, func(t *testing.T, version uint16) {
		g := startGate(t, brokers(startBroker(t)))
		if got, want := alert(firstError(t, g.addr, atVersion(device, version))), "tls: bad certificate"; got != want {
			t.Errorf("got alert %q, want %q", got, want)
		}
		line := g.wantEnd(proxy.TLSUntrusted)
		if err := line["err"].(string); !strings.Contains(err, "certificates are too large") {
			t.Errorf("got the error %q, want that they are too large", err)
		}
	})
}

// deviceBelow returns a device with a few certificates above its own, which have size bytes of DER or a little less.
func deviceBelow(size int) *certtest.Cert {
	ca := testPKI().ca
	size -= len(ca.Cert.Raw)
	for {
		next := ca.Intermediate(fmt.Sprint("plant ", size, strings.Repeat(" of many", 50)))
		if size -= len(next.Cert.Raw); size < 0 {
			return ca.Issue("admin:dev1")
		}
		ca = next
	}
}
