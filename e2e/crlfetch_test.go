// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// crlRefresh is how often the vernegate of these tests asks for lists.
const crlRefresh = "1s"

// startPublisher starts the web server of a CA for one test.
func startPublisher(t *testing.T) *stack.Publisher {
	t.Helper()
	p := must(stack.StartPublisher())(t)
	t.Cleanup(func() { p.Close() })
	return p
}

// rootList is a list of the root of the fixture, in DER.
func (s *fixture) rootList(number int64, revoked ...*certtest.Cert) []byte {
	return s.pki.Root.CRL(listOptions(number, revoked...))
}

func listOptions(number int64, revoked ...*certtest.Cert) certtest.CRLOptions {
	opts := certtest.CRLOptions{Number: number}
	for _, cert := range revoked {
		opts.Revoked = append(opts.Revoked, cert.Leaf)
	}
	return opts
}

// mayConnect reports whether a device gets through the handshake.
func (s *fixture) mayConnect(t *testing.T, device *certtest.Cert) bool {
	t.Helper()
	w, err := stack.DialWire(within(t, stepTime), s.through(device, tls.VersionTLS12))
	if err == nil {
		w.Close()
	}
	return err == nil
}

// start starts a vernegate of the fixture that is not stopped at the end of the test.
func (s *fixture) startAlone(t *testing.T, brokers string, env ...string) *stack.Vernegate {
	t.Helper()
	s.Vernegate = must(stack.StartVernegate(within(t, stepTime), program, s.env(brokers, env...)))(t)
	t.Cleanup(func() { s.Kill() })
	return s.Vernegate
}

// TestPublishedRevocationEndsTheSession measures what the issue of a list over HTTP is
// about: the time from its publication to the end of the session.
func TestPublishedRevocationEndsTheSession(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s, ca := prepareFixture(t), startPublisher(t)
	ca.Publish("/ca.crl", s.rootList(1))
	s.startBefore(t, fake.Addr, "VERNEGATE_TLS_CRL", ca.URL+"/ca.crl", "VERNEGATE_CRL_REFRESH", crlRefresh)
	victim, other := s.device("acme:lamp"), s.device("acme:plug")
	w, bystander := s.openSession(t, stack.V5, victim, unique()), s.openSession(t, stack.V5, other, unique())
	eventually(t, stepTime, "the list is asked for again", func() bool { _, unchanged := ca.Requests("/ca.crl"); return unchanged > 0 })
	ca.Publish("/ca.crl", s.rootList(2, victim))
	published := time.Now()
	got, _ := w.ReadToEnd()
	took := time.Since(published)
	t.Logf("the session ended %v after the list was published, which is asked for every %s", took.Round(time.Millisecond), crlRefresh)
	if len(got) < 3 || got[0] != 0xE0 || got[2] != 0x87 {
		t.Errorf("the client got % X, want a DISCONNECT with 0x87", got)
	}
	if took > stepTime { // the aim is 2 s, on a machine that has time
		t.Errorf("the session ended %v after the list was published", took)
	}
	s.ending(t, w.LocalAddr(), "cert_revoked")
	if s.mayConnect(t, victim) {
		t.Error("the revoked device connects again")
	}
	if !bystander.ReadQuiet(10 * time.Millisecond) {
		t.Error("another session ended, too")
	}
}

// TestARevocationDoesNotWaitForTheDisk takes the state directory away while vernegate runs.
func TestARevocationDoesNotWaitForTheDisk(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s, ca := prepareFixture(t), startPublisher(t)
	ca.Publish("/ca.crl", s.rootList(1))
	state := filepath.Join(t.TempDir(), "state")
	env := []string{"VERNEGATE_TLS_CRL", ca.URL + "/ca.crl", "VERNEGATE_CRL_REFRESH", crlRefresh, "VERNEGATE_STATE_DIR", state}
	first := s.startAlone(t, fake.Addr, env...)
	victim := s.device("acme:lamp")
	w := s.openSession(t, stack.V5, victim, unique())
	if err := os.Rename(state, state+".away"); err != nil {
		t.Fatal(err)
	}
	ca.Publish("/ca.crl", s.rootList(2, victim))
	_, _ = w.ReadToEnd()
	s.ending(t, w.LocalAddr(), "cert_revoked")
	if s.mayConnect(t, victim) {
		t.Error("the revoked device connects again")
	}
	said := func(msg string) bool {
		return len(s.Records(func(r stack.Record) bool { return r.Has("msg", msg) })) == 1
	}
	if !said("CRL is in use and cannot be kept for the next start") {
		t.Error("the log does not say once that the list cannot be kept")
	}
	if err := os.Rename(state+".away", state); err != nil {
		t.Fatal(err)
	}
	eventually(t, stepTime, "the list is kept", func() bool { return said("CRL is kept for the next start again") })
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	ca.Close()
	s.startBefore(t, fake.Addr, env...)
	if s.mayConnect(t, victim) {
		t.Error("the revoked device connects after a restart without network")
	}
}

// TestRestartWithoutNetworkKeepsLists has the CA's server go away for good.
func TestRestartWithoutNetworkKeepsLists(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s, ca := prepareFixture(t), startPublisher(t)
	bad, good := s.device("acme:lamp"), s.device("acme:plug")
	ca.Publish("/ca.crl", s.rootList(1, bad))
	env := []string{"VERNEGATE_TLS_CRL", ca.URL + "/ca.crl", "VERNEGATE_CRL_REFRESH", crlRefresh, "VERNEGATE_STATE_DIR", filepath.Join(t.TempDir(), "state")}
	first := s.startAlone(t, fake.Addr, env...)
	if s.mayConnect(t, bad) {
		t.Error("the revoked device connects")
	}
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	ca.Close()
	began := time.Now()
	s.startBefore(t, fake.Addr, env...)
	if waited := time.Since(began); waited > 20*time.Second {
		t.Errorf("the start took %v: it waits for a server that is away", waited)
	}
	if s.mayConnect(t, bad) {
		t.Error("the revoked device connects after a restart")
	}
	if !s.mayConnect(t, good) {
		t.Error("another device does not connect")
	}
	eventually(t, stepTime, "the log says that the server is away", func() bool {
		return len(s.Records(func(r stack.Record) bool {
			return r.Has("msg", "CRL cannot be fetched, the last good one stays in use")
		})) > 0
	})
}

// TestBadListsFromTheNetworkChangeNothing publishes what must not take the place of a
// good list, one after the other.
func TestBadListsFromTheNetworkChangeNothing(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s, ca := prepareFixture(t), startPublisher(t)
	bad := s.device("acme:lamp")
	good := s.rootList(5, bad)
	ca.Publish("/ca.crl", good)
	s.startBefore(t, fake.Addr, "VERNEGATE_TLS_CRL", ca.URL+"/ca.crl", "VERNEGATE_CRL_REFRESH", crlRefresh)
	stranger := certtest.NewCA("stranger")
	wrong := listOptions(6)
	wrong.WrongSignature = true
	for _, row := range []struct {
		name    string
		content []byte
		log     string
	}{
		{"of nobody's CA", stranger.CRL(certtest.CRLOptions{Number: 6}), "its issuer is no CA of the bundle"},
		{"with a wrong signature", s.pki.Root.CRL(wrong), "its signature does not verify"},
		{"that is older", s.pki.Root.CRL(certtest.CRLOptions{Number: 4, ThisUpdate: time.Now().Add(-time.Hour)}), "it has no newer list of"},
		{"that is cut", good[:len(good)-1], "no well-formed certificate revocation list"},
		{"that is a page", []byte("<html>Sign in to continue</html>"), "it holds no certificate revocation list"},
		{"that is empty", nil, "it is empty"},
	} {
		ca.Publish("/ca.crl", row.content)
		eventually(t, stepTime, "a list "+row.name+" is refused", func() bool {
			return len(s.Records(func(r stack.Record) bool {
				err, _ := r["err"].(string)
				return r.Has("msg", "CRL cannot be fetched, the last good one stays in use") && strings.Contains(err, row.log)
			})) > 0
		})
		if s.mayConnect(t, bad) {
			t.Errorf("with a list %s, the revoked device connects", row.name)
		}
	}
	ca.Publish("/ca.crl", s.rootList(7))
	eventually(t, stepTime, "a good list counts again", func() bool { return s.mayConnect(t, bad) })
}

// TestAnotherCAsListTakesNoOverdueOneAway has somebody on the way answer with the list of another CA while that of the
// devices' CA is overdue, as a CA without a list refuses nobody by default.
func TestAnotherCAsListTakesNoOverdueOneAway(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s, ca := prepareFixture(t), startPublisher(t)
	other := certtest.NewCA("other")
	s.pki.Trust(other)
	if err := s.folder.Rename(s.pki.Set()); err != nil {
		t.Fatal(err)
	}
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	device := s.device("acme:lamp")
	ca.Publish("/ca.crl", s.pki.Root.CRL(certtest.CRLOptions{Number: 5, ThisUpdate: ago(2 * time.Hour), NextUpdate: ago(time.Hour)}))
	env := []string{"VERNEGATE_TLS_CRL", ca.URL + "/ca.crl", "VERNEGATE_CRL_REFRESH", crlRefresh, "VERNEGATE_CRL_EXPIRED", "deny",
		"VERNEGATE_STATE_DIR", filepath.Join(t.TempDir(), "state")}
	refused := func() {
		t.Helper()
		eventually(t, stepTime, "the other list is refused", func() bool {
			return len(s.Records(func(r stack.Record) bool {
				err, _ := r["err"].(string)
				return strings.Contains(err, `it has no newer list of "CN=`+s.pki.Root.Cert.Subject.CommonName+`"`)
			})) > 0
		})
		if s.mayConnect(t, device) {
			t.Error("a device of the CA whose list is overdue connects")
		}
	}
	first := s.startAlone(t, fake.Addr, env...)
	if s.mayConnect(t, device) {
		t.Error("a device connects although the list of its CA is overdue")
	}
	ca.Publish("/ca.crl", other.CRL(certtest.CRLOptions{Number: 6}))
	refused()
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	s.startBefore(t, fake.Addr, env...)
	refused()
	ca.Publish("/ca.crl", s.rootList(6))
	eventually(t, stepTime, "the CA's next list counts", func() bool { return s.mayConnect(t, device) })
}

// TestListsAreFetchedFromDistributionPoints has certificates name where their list is.
func TestListsAreFetchedFromDistributionPoints(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s, ca := prepareFixture(t), startPublisher(t)
	named := must(url.Parse(ca.URL))(t)
	points := func(path string) certtest.Option {
		return certtest.Template(func(c *x509.Certificate) {
			c.CRLDistributionPoints = []string{ca.URL + path, "http://elsewhere.example.org/x.crl"}
		})
	}
	plant := s.pki.Root.Intermediate("plant", points("/root.crl"))
	s.pki.Trust(plant)
	if err := s.folder.Rename(s.pki.Set()); err != nil {
		t.Fatal(err)
	}
	victim, other := s.deviceOf(plant, "acme:lamp", points("/plant.crl")), s.deviceOf(plant, "acme:plug")
	ca.Publish("/root.crl", s.rootList(1))
	ca.Publish("/plant.crl", plant.CRL(listOptions(1, victim)))
	s.startBefore(t, fake.Addr, "VERNEGATE_TLS_CRL", "", "VERNEGATE_CRL_REFRESH", crlRefresh,
		"VERNEGATE_CRL_FROM_CDP", "leaf", "VERNEGATE_CRL_HOSTS", named.Host)
	w := s.openSession(t, stack.V5, victim, unique()) // whose list is not known yet
	if got, _ := w.ReadToEnd(); len(got) < 3 || got[0] != 0xE0 || got[2] != 0x87 {
		t.Errorf("the client got % X, want a DISCONNECT with 0x87", got)
	}
	if !s.mayConnect(t, other) {
		t.Error("another device of the CA does not connect")
	}
	ca.Publish("/root.crl", s.pki.Root.CRL(certtest.CRLOptions{Number: 2, Revoked: []*x509.Certificate{plant.Cert}}))
	eventually(t, stepTime, "the CA itself is revoked", func() bool { return !s.mayConnect(t, other) })
	for _, r := range s.Records(func(r stack.Record) bool { return true }) {
		if u, _ := r["url"].(string); strings.Contains(u, "elsewhere") {
			t.Errorf("a host that is not allowed was called: %v", r)
		}
	}
}

// freshest names where the deltas to a list are (RFC 5280 §5.2.6).
func freshest(url string) pkix.Extension {
	type name struct {
		URI string `asn1:"tag:6,ia5"`
	}
	type pointName struct {
		Full name `asn1:"tag:0"`
	}
	type point struct {
		Name pointName `asn1:"tag:0"`
	}
	value, err := asn1.Marshal([]point{{pointName{name{url}}}})
	if err != nil {
		panic(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 46}, Value: value}
}

// TestDeltasAreFoundThroughTheirList has the list, which the operator has named, name its delta.
func TestDeltasAreFoundThroughTheirList(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s, ca := prepareFixture(t), startPublisher(t)
	held, lost := s.device("acme:lamp"), s.device("acme:plug")
	list := listOptions(10, held)
	list.Extensions = []pkix.Extension{freshest(ca.URL + "/delta.crl")}
	ca.Publish("/ca.crl", s.pki.Root.CRL(list))
	delta := func(number int64, revoked []*x509.Certificate, removed ...*big.Int) {
		indicator := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 10}}
		ca.Publish("/delta.crl", s.pki.Root.CRL(certtest.CRLOptions{Number: number, Extensions: []pkix.Extension{indicator}, Revoked: revoked, Removed: removed}))
	}
	delta(11, nil)
	s.startBefore(t, fake.Addr, "VERNEGATE_TLS_CRL", ca.URL+"/ca.crl", "VERNEGATE_CRL_REFRESH", crlRefresh)
	w := s.openSession(t, stack.V5, lost, unique())
	if s.mayConnect(t, held) {
		t.Error("a device on the list connects")
	}
	delta(12, []*x509.Certificate{lost.Leaf}, held.Leaf.SerialNumber)
	if got, _ := w.ReadToEnd(); len(got) < 3 || got[0] != 0xE0 || got[2] != 0x87 {
		t.Errorf("the client got % X, want a DISCONNECT with 0x87", got)
	}
	if !s.mayConnect(t, held) || s.mayConnect(t, lost) {
		t.Error("the delta does not count for new connections")
	}
	if body := s.ask(t, "GET", "/status", "", http.StatusOK); !strings.Contains(body, `"base_number": "10"`) || !strings.Contains(body, `"origin": "freshest"`) {
		t.Errorf("/status does not show the delta: %s", body)
	}
}

// TestListsOfOpenSSL has "openssl ca" make the lists, which say nothing that ours do not.
func TestListsOfOpenSSL(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("there is no openssl: make tools installs it")
	}
	fake := startFakeBroker(t)
	s, ca := prepareFixture(t), startPublisher(t)
	victim := s.device("acme:lamp")
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	config := write("ca.cnf", []byte("[ca]\ndefault_ca=d\n[d]\ndir="+dir+"\ndatabase="+dir+"/index\ncrlnumber="+dir+"/number\ndefault_md=sha256\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n"))
	write("index", nil)
	write("number", []byte("1000\n"))
	write("ca.crt", s.pki.Root.PEM())
	write("ca.key", (&certtest.Cert{Key: s.pki.Root.Key}).KeyPEM())
	write("victim.crt", victim.CertPEM())
	run := func(args ...string) {
		t.Helper()
		args = append([]string{"ca", "-config", config, "-cert", dir + "/ca.crt", "-keyfile", dir + "/ca.key"}, args...)
		if out, err := exec.CommandContext(within(t, stepTime), openssl, args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %q: %v\n%s", args, err, out)
		}
	}
	list := func() []byte {
		run("-gencrl", "-crldays", "1", "-out", dir+"/ca.crl")
		return must(os.ReadFile(dir + "/ca.crl"))(t)
	}
	ca.SetContentType("text/html; charset=utf-8")
	ca.Publish("/ca.crl", list())
	s.startBefore(t, fake.Addr, "VERNEGATE_TLS_CRL", ca.URL+"/ca.crl", "VERNEGATE_CRL_REFRESH", crlRefresh)
	w := s.openSession(t, stack.V5, victim, unique())
	run("-revoke", dir+"/victim.crt", "-crl_reason", "keyCompromise")
	ca.Publish("/ca.crl", list())
	if got, _ := w.ReadToEnd(); len(got) < 3 || got[0] != 0xE0 || got[2] != 0x87 {
		t.Errorf("the client got % X, want a DISCONNECT with 0x87", got)
	}
}
