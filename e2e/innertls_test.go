// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// An innerPKI is what brokers and certificate-acl are verified against, and vernegate
// by them. Its files are in a folder of their own.
type innerPKI struct {
	t   *testing.T
	dir string
	ca  *certtest.CA
}

// newInnerPKI makes one, with a certificate for vernegate.
func newInnerPKI(t *testing.T) innerPKI {
	t.Helper()
	p := innerPKI{t, t.TempDir(), certtest.NewCA("inner")}
	p.write("ca.crt", p.ca.PEM())
	p.writePair("gate", p.ca.Issue("gate"))
	p.writePair("server", p.ca.Issue("server", certtest.Server("127.0.0.1")))
	return p
}

// write writes a file in place, and returns its path.
func (p innerPKI) write(name string, content []byte) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

func (p innerPKI) writePair(name string, pair *certtest.Cert) {
	p.t.Helper()
	p.write(name+".crt", pair.CertPEM())
	p.write(name+".key", pair.KeyPEM())
}

func (p innerPKI) path(name string) string { return filepath.Join(p.dir, name) }

// startSecureMosquitto starts a Mosquitto that speaks TLS to whoever has a certificate.
func (p innerPKI) startSecureMosquitto() *stack.Mosquitto {
	p.t.Helper()
	if mosquitto == nil {
		p.t.Skip("needs a Mosquitto with TLS; sessions over TLS are tested in proxy, too")
	}
	m := must(stack.StartMosquitto(within(p.t, 30*time.Second), p.t.TempDir(), "",
		"cafile "+p.path("ca.crt"), "certfile "+p.path("server.crt"), "keyfile "+p.path("server.key"),
		"require_certificate true", "use_identity_as_username false"))(p.t)
	p.t.Cleanup(m.Kill)
	return m
}

// backendTLS are the variables for such a broker.
func (p innerPKI) backendTLS() []string {
	return []string{
		"VERNEGATE_BACKEND_TLS", "on", "VERNEGATE_BACKEND_TLS_CA", p.path("ca.crt"),
		"VERNEGATE_BACKEND_TLS_CERT", p.path("gate.crt"), "VERNEGATE_BACKEND_TLS_KEY", p.path("gate.key"),
	}
}

func TestSessionsWithABrokerOverTLS(t *testing.T) {
	t.Parallel()
	inner := newInnerPKI(t)
	m := inner.startSecureMosquitto()
	s := newFixture(t, m.Addr, inner.backendTLS()...)
	dial := s.through(s.device("acme:lamp"), 0)
	checkVersions(t, m, dial)
}

// checkVersions has a device of acme:lamp connect with each version, be known to the broker by its owner, and say something
// large with each QoS.
func checkVersions(t *testing.T, m *stack.Mosquitto, dial stack.Dial) {
	t.Helper()
	for _, v := range versions {
		id := unique()
		c := connect(t, dial, stack.Options{Version: v, ClientID: id})
		if got := must(m.Username(within(t, stepTime), id))(t); got != "acme:lamp" {
			t.Errorf("%v: the broker has username %q", v, got)
		}
		for qos := range byte(3) {
			checkEcho(t, c, "echo/"+unique(), strings.Repeat("x", 50_000), qos)
		}
	}
}

// checkEcho subscribes to a topic and expects what it publishes there.
func checkEcho(t *testing.T, c *stack.Client, topic, payload string, qos byte) {
	t.Helper()
	if _, err := c.Subscribe(within(t, stepTime), topic, qos); err != nil {
		t.Fatal(err)
	}
	if err := c.Publish(within(t, stepTime), stack.Message{Topic: topic, Payload: payload, QoS: qos}); err != nil {
		t.Fatal(err)
	}
	got := must(c.Receive(within(t, stepTime)))(t)
	if got.Topic != topic || got.Payload != payload {
		t.Errorf("got %d bytes on %q, want %d on %q", len(got.Payload), got.Topic, len(payload), topic)
	}
}

// A pair that is replaced counts for the next session; a broken one does not, and is named.
func TestCertificateForBrokersIsReloaded(t *testing.T) {
	t.Parallel()
	inner := newInnerPKI(t)
	m := inner.startSecureMosquitto()
	s := newFixture(t, m.Addr, append(inner.backendTLS(), "VERNEGATE_TRUST_REFRESH_INTERVAL", "0")...)
	dial := s.through(s.device("acme:lamp"), 0)
	connect(t, dial, stack.Options{Version: stack.V5, ClientID: unique()})

	inner.write("gate.crt", []byte("-----BEGIN CERTIFICATE-----\nMIIB"))
	must(s.WaitRecord(within(t, stepTime), "the refusal", func(r stack.Record) bool {
		return r.Has("msg", "files are refused, the last good ones stay in use") && r.Has("for", "backend_tls")
	}))(t)
	if got := s.refusedParts(t); len(got) != 1 || got[0] != "backend_tls" {
		t.Errorf("refused parts are %q", got)
	}
	connect(t, dial, stack.Options{Version: stack.V5, ClientID: unique()})

	inner.writePair("gate", inner.ca.Issue("the next gate"))
	must(s.WaitRecord(within(t, stepTime), "the new files", func(r stack.Record) bool {
		return r.Has("msg", "files are good again") && r.Has("for", "backend_tls")
	}))(t)
	connect(t, dial, stack.Options{Version: stack.V5, ClientID: unique()})
	if got := s.refusedParts(t); len(got) != 0 {
		t.Errorf("refused parts are %q", got)
	}
}

// refusedParts are the parts that /status names.
func (s *fixture) refusedParts(t *testing.T) (parts []string) {
	t.Helper()
	resp, err := http.Get("http://" + s.Admin + "/status")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var status struct {
		Trust struct {
			Refused []struct{ Part string }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&status); err != nil {
		t.Fatal(err)
	}
	for _, p := range status.Trust.Refused {
		parts = append(parts, p.Part)
	}
	return parts
}

// A broker that is signed by somebody else gets nothing, and the operator is told why.
func TestBrokerOfAnotherCAIsEjected(t *testing.T) {
	t.Parallel()
	inner := newInnerPKI(t)
	m := inner.startSecureMosquitto()
	believed := inner.write("believed.crt", certtest.NewCA("other").PEM())
	s := newFixture(t, m.Addr, append(inner.backendTLS(), "VERNEGATE_BACKEND_TLS_CA", believed, "VERNEGATE_TRUST_REFRESH_INTERVAL", "0")...)
	device := s.device("acme:lamp")
	w := dialWire(t, s.through(device, 0))
	if _, err := w.Write(connectPacket{version: stack.V311, clientID: unique()}.bytes()); err != nil {
		t.Fatal(err)
	}
	if got := must(w.ReadN(4))(t); got[3] != 3 {
		t.Errorf("the client got % X, want CONNACK 3", got)
	}
	must(s.WaitRecord(within(t, stepTime), "the ejection", func(r stack.Record) bool {
		err, _ := r["err"].(string)
		return r.Has("msg", "backend is ejected") && r.Has("why", "tls") && strings.Contains(err, "unknown authority")
	}))(t)

	// The right CA brings it back.
	inner.write("believed.crt", inner.ca.PEM())
	s.signal(t, syscall.SIGHUP)
	must(s.WaitRecord(within(t, stepTime), "the return", func(r stack.Record) bool { return r.Has("msg", "backend is returning") }))(t)
	connect(t, s.through(device, 0), stack.Options{Version: stack.V5, ClientID: unique()})
}

// certificate-acl behind TLS, which wants a certificate and a token: both are replaced
// while vernegate runs.
func TestCertificateACLOverHTTPS(t *testing.T) {
	t.Parallel()
	inner := newInnerPKI(t)
	s := prepareFixture(t)
	target := must(url.Parse(s.acl.URL))(t)
	target.Path = ""
	behind := httputil.NewSingleHostReverseProxy(target)
	tokens := make(chan string, 1000)
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tokens <- r.Header.Get("Authorization") + " of " + r.TLS.PeerCertificates[0].Subject.CommonName
		behind.ServeHTTP(w, r)
	}))
	front.TLS = &tls.Config{
		Certificates: []tls.Certificate{inner.ca.Issue("acl", certtest.Server("127.0.0.1")).TLS()},
		ClientCAs:    inner.ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	}
	front.Config.ErrorLog = log.New(io.Discard, "", 0)
	front.StartTLS()
	t.Cleanup(front.Close)
	fake := startFakeBroker(t)
	s.startBefore(t, fake.Addr,
		"CERTIFICATE_ACL_URL", front.URL+must(url.Parse(s.acl.URL))(t).Path,
		"VERNEGATE_ACL_CA", inner.path("ca.crt"), "VERNEGATE_ACL_CERT", inner.path("gate.crt"), "VERNEGATE_ACL_KEY", inner.path("gate.key"),
		"VERNEGATE_ACL_TOKEN_FILE", inner.write("token", []byte("the-first-token\n")), "VERNEGATE_ACL_TTL", "0")

	connect(t, s.through(s.device("acme:lamp"), 0), stack.Options{Version: stack.V5, ClientID: unique()})
	if got, want := <-tokens, "Bearer the-first-token of gate"; got != want {
		t.Errorf("certificate-acl saw %q, want %q", got, want)
	}
	inner.write("token", []byte("the-second-token\n"))
	inner.writePair("gate", inner.ca.Issue("the next gate"))
	s.signal(t, syscall.SIGHUP)
	for _, part := range []string{"acl_token", "acl_tls"} {
		eventually(t, stepTime, "the new "+part, func() bool {
			return len(s.Records(func(r stack.Record) bool { return r.Has("msg", "files in use") && r.Has("for", part) })) == 2
		})
	}
	connect(t, s.through(s.device("acme:door"), 0), stack.Options{Version: stack.V5, ClientID: unique()})
	if got, want := <-tokens, "Bearer the-second-token of the next gate"; got != want {
		t.Errorf("certificate-acl saw %q, want %q", got, want)
	}
	if log := s.Output.String(); strings.Contains(log, "the-first-token") || strings.Contains(log, "the-second-token") {
		t.Error("the log has a token")
	}
}
