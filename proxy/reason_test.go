// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore/certtest"
)

func TestReasonsAreComplete(t *testing.T) {
	t.Parallel()
	slug := regexp.MustCompile(`^[a-z0-9_]+$`)
	seen := map[string]bool{}
	for _, r := range proxy.Reasons() {
		if !slug.MatchString(r.String()) || seen[r.String()] {
			t.Errorf("got slug %q, want a name of its own in snake case", r)
		}
		seen[r.String()] = true
		if r.Meaning() == "" {
			t.Errorf("%v has no meaning", r)
		}
		if r.Level() > slog.LevelWarn {
			t.Errorf("%v: got level %v, but neither a client nor a broker is a fault of this program", r, r.Level())
		}
	}
}

// refusals are the ways to end without a session, each with what the client is told. The broker must not see
// a byte of any of them.
var refusals = []struct {
	name    string
	reason  proxy.Reason
	role    proxy.Role
	change  func(*proxy.Config)
	send    []byte
	receive string // before the end of the stream
}{
	{"unknown 3.1", proxy.IdentityUnknown, proxy.Devices, nobody, connect31, "\x20\x02\x00\x05"},
	{"unknown 3.1.1", proxy.IdentityUnknown, proxy.Devices, nobody, connect311, "\x20\x02\x00\x05"},
	{"unknown 5.0", proxy.IdentityUnknown, proxy.Devices, nobody, connect5, "\x20\x03\x00\x87\x00"},
	{"unavailable 3.1.1", proxy.IdentityUnavailable, proxy.Devices, cannotTell, connect311, "\x20\x02\x00\x03"},
	{"unavailable 5.0", proxy.IdentityUnavailable, proxy.Devices, cannotTell, connect5, "\x20\x03\x00\x88\x00"},
	{"revoked, not by a CRL 3.1.1", proxy.TLSRevoked, proxy.Devices, revokedElsewhere, connect311, "\x20\x02\x00\x05"},
	{"revoked, not by a CRL 5.0", proxy.TLSRevoked, proxy.Devices, revokedElsewhere, connect5, "\x20\x03\x00\x87\x00"},
	{"status unknown 3.1.1", proxy.CertStatusUnknown, proxy.Devices, statusUnknown, connect311, "\x20\x02\x00\x03"},
	{"status unknown 5.0", proxy.CertStatusUnknown, proxy.Devices, statusUnknown, connect5, "\x20\x03\x00\x88\x00"},
	{"invalid 3.1.1", proxy.IdentityInvalid, proxy.Devices, ownedBy("+"), connect311, "\x20\x02\x00\x05"},
	{"invalid 5.0", proxy.IdentityInvalid, proxy.Devices, ownedBy("a:b/c"), connect5, "\x20\x03\x00\x87\x00"},
	{"device on the service listener 3.1.1", proxy.IdentityNotAllowed, proxy.Services, nil, connect311, "\x20\x02\x00\x05"},
	{"device on the service listener 5.0", proxy.IdentityNotAllowed, proxy.Services, nil, connect5, "\x20\x03\x00\x87\x00"},

	{"malformed 3.1.1", proxy.ConnectMalformed, proxy.Devices, nil, []byte("\x10\x0e\x00\x04MQTT\x04\x03\x00\x3c\x00\x02c1"), ""},
	{"malformed 5.0", proxy.ConnectMalformed, proxy.Devices, nil, []byte("\x10\x0f\x00\x04MQTT\x05\x03\x00\x3c\x00\x00\x02c1"), "\x20\x03\x00\x81\x00"},
	{"not MQTT", proxy.ConnectMalformed, proxy.Devices, nil, []byte("GET / HTTP/1.1\r\n\r\n"), ""},
	{"version 6", proxy.ConnectVersion, proxy.Devices, nil, []byte("\x10\x0f\x00\x04MQTT\x06\x02\x00\x3c\x00\x00\x02c1"), "\x20\x03\x00\x84\x00"},
	{"version 2", proxy.ConnectVersion, proxy.Devices, nil, []byte("\x10\x0e\x00\x04MQTT\x02\x02\x00\x3c\x00\x02c1"), "\x20\x02\x00\x01"},
	{"too large 3.1.1", proxy.ConnectTooLarge, proxy.Devices, nil, []byte("\x10\xff\xff\xff\x7f\x00\x04MQTT\x04\x02\x00\x3c"), ""},
	{"too large 5.0", proxy.ConnectTooLarge, proxy.Devices, nil, []byte("\x10\xff\xff\xff\x7f\x00\x04MQTT\x05\x02\x00\x3c"), "\x20\x03\x00\x95\x00"},
	{"no client id in a lasting session", proxy.ClientIDNotAllowed, proxy.Devices, nil, []byte("\x10\x0c\x00\x04MQTT\x04\x00\x00\x3c\x00\x00"), "\x20\x02\x00\x02"},
}

func nobody(c *proxy.Config) {
	c.Owner = func(context.Context, proxy.Peer) (string, bool, error) { return "", false, nil }
}

func cannotTell(c *proxy.Config) {
	c.Owner = func(context.Context, proxy.Peer) (string, bool, error) {
		return "", false, errors.New("certificate-acl is down")
	}
}

func revokedElsewhere(c *proxy.Config) {
	c.Authorize = func(context.Context, proxy.Peer) (time.Time, error) { return time.Time{}, pki.ErrRevoked }
}

func statusUnknown(c *proxy.Config) {
	c.Authorize = func(context.Context, proxy.Peer) (time.Time, error) { return time.Time{}, pki.ErrRevocationUnknown }
}

func ownedBy(owner string) func(*proxy.Config) {
	return func(c *proxy.Config) { c.Owner = owned(owner) }
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, test := range refusals {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startGateFor(t, test.role, func(c *proxy.Config) {
				brokers(b)(c)
				if test.change != nil {
					test.change(c)
				}
			})
			// What a client pipelines behind its CONNECT must not cost it the CONNACK.
			client := g.device(append(test.send, pingreq...))
			wantBytes(t, client, []byte(test.receive))
			wantEOF(t, client)
			line := g.wantEnd(test.reason)
			if line["fingerprint"] != fingerprint(testPKI().device) {
				t.Errorf("got fingerprint %v, want %v", line["fingerprint"], fingerprint(testPKI().device))
			}
			if n := b.count.Load(); n != 0 {
				t.Errorf("the broker got %d connections, want none", n)
			}
		})
	}
}

func TestEveryReasonWithACodeIsExercised(t *testing.T) {
	t.Parallel()
	elsewhere := map[proxy.Reason]string{
		proxy.BackendUnavailable: "TestNoBackendIsUnavailable",
		proxy.BackendSilent:      "TestSilentBackendEndsInTime",
		proxy.LimitOwner:         "TestConnectionsOfAnOwnerAreLimited",
		proxy.LimitConnections:   "TestConnectionsAreLimited",
		proxy.Shutdown:           "TestShutdownBeforeTheConnack",
		proxy.ConnectAgain:       "TestBrokenProtocolEndsTheSession",
		proxy.PacketMalformed:    "TestBrokenProtocolEndsTheSession",
		proxy.CertRevoked:        "TestWithdrawnTrustEndsSessions",
		proxy.CertExpired:        "TestExpiryEndsSessions",
		proxy.OwnerChanged:       "TestChangedOwnerEndsSessions",
		proxy.MaxLifetime:        "TestLifetimeEndsSessions",
		proxy.AdminKick:          "TestKickEndsSessions",
	}
	tested := map[proxy.Reason]bool{}
	for _, test := range refusals {
		tested[test.reason] = true
	}
	for _, r := range proxy.Reasons() {
		if (r.ReturnCode() != 0 || r.ReasonCode() != 0 || r.DisconnectCode() != 0) && !tested[r] && elsewhere[r] == "" {
			t.Errorf("no test sees what a client is told for %v", r)
		}
	}
}

func TestOwnersThatCannotBeUsernames(t *testing.T) {
	t.Parallel()
	for name, owner := range map[string]string{
		"empty":     "",
		"plus":      "admin:+",
		"hash":      "#",
		"slash":     "admin:dev/1",
		"NUL":       "admin:\x00",
		"control":   "admin:\x1b[2J",
		"C1":        "admin:\u0085",
		"not UTF-8": "admin:\xff",
		"surrogate": "admin:\xed\xa0\x80",
		"too long":  strings.Repeat("a", 65536),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startGate(t, func(c *proxy.Config) { brokers(b)(c); c.Owner = owned(owner) })
			client := g.device(connect311)
			wantBytes(t, client, []byte("\x20\x02\x00\x05"))
			g.wantEnd(proxy.IdentityInvalid)
			if n := b.count.Load(); n != 0 {
				t.Errorf("the broker got %d connections, want none", n)
			}
		})
	}
}

// What a TLS client is refused for, with the alert that tells it, in the versions whose clients differ.
func TestHandshakeRefusals(t *testing.T) {
	t.Parallel()
	yesterday := time.Now().Add(-24 * time.Hour)
	expired := testPKI().ca.Issue("admin:old", certtest.NotBefore(yesterday.Add(-time.Hour)), certtest.NotAfter(yesterday))
	stranger := certtest.NewCA("devices").Issue("admin:dev1")
	revoked := testPKI().ca.Issue("admin:lost")
	server := testPKI().ca.Issue("not-a-client", certtest.Server("example.org"))
	for _, test := range []struct {
		name           string
		reason         proxy.Reason
		cert           *certtest.Cert
		trust          *trust
		alert12, alert string
	}{
		{"none", proxy.TLSNoCert, nil, newTrust(), "tls: handshake failure", "tls: certificate required"},
		{"untrusted", proxy.TLSUntrusted, stranger, newTrust(), "tls: unknown certificate authority", "tls: unknown certificate authority"},
		{"no client usage", proxy.TLSUntrusted, server, newTrust(), "tls: bad certificate", "tls: bad certificate"},
		{"expired", proxy.TLSExpired, expired, newTrust(), "tls: expired certificate", "tls: expired certificate"},
		{"revoked", proxy.TLSRevoked, revoked, newTrust(revoked.Leaf), "tls: bad certificate", "tls: bad certificate"},
		{"no CRL", proxy.TLSCRL, testPKI().device, &trust{certs: newTrust().certs, pool: newTrust().pool, err: pki.ErrRevocationUnknown}, "tls: bad certificate", "tls: bad certificate"},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(test.name+" "+tls.VersionName(version), func(t *testing.T) {
				t.Parallel()
				b := startBroker(t)
				g := startGate(t, brokers(b))
				g.trust.Store(test.trust)

				config := clientConfig(test.cert)
				config.MinVersion, config.MaxVersion = version, version
				want := test.alert
				if version == tls.VersionTLS12 {
					want = test.alert12
				}
				if got := alert(firstError(t, g.addr, config)); got != want {
					t.Errorf("got alert %q, want %q", got, want)
				}
				line := g.wantEnd(test.reason)
				if test.cert != nil && line["fingerprint"] != fingerprint(test.cert) {
					t.Errorf("got fingerprint %v, want that of the refused certificate, %v", line["fingerprint"], fingerprint(test.cert))
				}
				if n := b.count.Load(); n != 0 {
					t.Errorf("the broker got %d connections, want none", n)
				}
			})
		}
	}
}

// Certificates that OpenSSL takes and crypto/x509 does not parse, as the client's own and behind a good one that does not
// need them.
func TestCertificatesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/unparsable/*.crt")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no such certificates", err)
	}
	good := testPKI().device.TLS()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		for name, chain := range map[string][][]byte{"own": {block.Bytes}, "unneeded": {good.Certificate[0], block.Bytes}} {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				t.Run(filepath.Base(file)+" "+name+" "+tls.VersionName(version), func(t *testing.T) {
					t.Parallel()
					g := startGate(t, nil)
					config := clientConfig(nil)
					config.MinVersion, config.MaxVersion = version, version
					config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
						return &tls.Certificate{Certificate: chain, PrivateKey: good.PrivateKey}, nil
					}
					if got := alert(firstError(t, g.addr, config)); got != "tls: error decoding message" {
						t.Errorf("got alert %q", got)
					}
					if line := g.wantEnd(proxy.TLSBadCertificate); line["err"] == "" {
						t.Error("the log does not say what is wrong with it")
					}
				})
			}
		}
	}
}

// firstError does what an eager client does, a CONNECT right behind the handshake, until it fails. In TLS 1.3
// the client is done before the server has looked at its certificate.
func firstError(t *testing.T, addr string, config *tls.Config) error {
	t.Helper()
	c, err := tls.Dial("tcp", addr, config)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(connect311); err != nil {
		return err
	}
	_, err = io.ReadAll(c)
	return err
}

func TestBytesThatAreNotTLS(t *testing.T) {
	t.Parallel()
	g := startGate(t, nil)
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	write(t, c, connect311)
	_ = c.SetDeadline(time.Now().Add(patience))
	_, _ = io.ReadAll(c)
	g.wantEnd(proxy.TLSHandshake)
}

// A load balancer's health check is no event.
func TestConnectionWithoutAByteIsLoggedForDebugging(t *testing.T) {
	t.Parallel()
	g := startGate(t, nil)
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if line := g.wantEnd(proxy.ClientClosed); line["level"] != "DEBUG" {
		t.Errorf("got level %v, want DEBUG", line["level"])
	}
}

// What a client has left undone is said in words.
func TestClientThatLeavesEarly(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		leave  func(g *gate)
		reason proxy.Reason
		detail string
	}{
		"in the ClientHello": {func(g *gate) {
			c, err := net.Dial("tcp", g.addr)
			if err != nil {
				t.Fatal(err)
			}
			write(t, c, []byte("\x16\x03\x01\x02\x00\x01")) // a record of 512 bytes, of which one comes
			_ = c.Close()
		}, proxy.TLSHandshake, "the client closed in the middle of it"},
		"before its CONNECT":   {func(g *gate) { _ = g.dial(testPKI().device).Close() }, proxy.ClientClosed, "closed before its CONNECT"},
		"in the CONNECT":       {func(g *gate) { _ = g.device(connect311[:9]).Close() }, proxy.ClientClosed, "closed in the middle of its CONNECT"},
		"without close_notify": {func(g *gate) { _ = g.device(connect311[:9]).NetConn().Close() }, proxy.ClientClosed, "closed in the middle of its CONNECT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startGate(t, nil)
			test.leave(g)
			g.wantDetail(test.reason, test.detail)
		})
	}
}

func fingerprint(c *certtest.Cert) string { return pki.FingerprintOf(c.Leaf).String() }
