// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"crypto/tls"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// startResponder starts a responder of the fixture's root, which has no vernegate yet.
func (s *fixture) startResponder(t *testing.T) *stack.Responder {
	t.Helper()
	r := stack.StartResponder(s.pki.Root)
	t.Cleanup(r.Close)
	return r
}

// withOCSP starts the vernegate of a prepared fixture, which asks that responder.
func (s *fixture) withOCSP(t *testing.T, url string, env ...string) {
	t.Helper()
	s.startBefore(t, broker, append([]string{
		"VERNEGATE_OCSP", "on", "VERNEGATE_OCSP_URL", url, "VERNEGATE_OCSP_TIMEOUT", "60s", "VERNEGATE_OCSP_REFRESH", "1s",
	}, env...)...)
}

// checkDismissed expects a session of 5.0 to end with the DISCONNECT that a revoked device gets.
func (s *fixture) checkDismissed(t *testing.T, w *stack.Wire) {
	t.Helper()
	if got, err := w.ReadToEnd(); err != nil || !bytes.Equal(got, []byte{0xE0, 1, 0x87}) {
		t.Errorf("got % X, %v; want DISCONNECT 0x87", got, err)
	}
	s.ending(t, w.LocalAddr(), "cert_revoked")
}

// answered is how often responders have said so of a certificate.
func (s *fixture) answered(t *testing.T, result string) float64 {
	t.Helper()
	return must(s.Metrics(within(t, stepTime)))(t).Sum("vernegate_ocsp_request_duration_seconds_count", `result="`+result+`"`)
}

// TestOCSPEndsSessions revokes a device at its CA's responder: its session ends, it does not come in again, neither with a
// full handshake nor with a ticket, and nobody else notices.
func TestOCSPEndsSessions(t *testing.T) {
	t.Parallel()
	s := prepareFixture(t)
	r := s.startResponder(t)
	s.withOCSP(t, r.URL)
	lamp, door := s.device("acme:lamp"), s.device("acme:door")
	roamer := s.roamer(lamp)
	s.visit(t, roamer)
	if !s.visit(t, roamer) {
		t.Error("a ticket was not taken")
	}
	revoked := s.live(t, lamp)
	other := s.live(t, door)

	r.Revoke(lamp)
	s.checkDismissed(t, revoked)
	s.checkRefused(t, s.through(lamp, 0), "tls_revoked", "keyCompromise")
	if got := answerTo(within(t, stepTime), t, stack.Through(s.Devices, roamer), stack.V311); got != 5 {
		t.Errorf("with a ticket: got 0x%02X, want 5", got)
	}
	if !other.ReadQuiet(100 * time.Millisecond) {
		t.Error("another session has noticed")
	}
	s.ask(t, http.MethodGet, "/", "", http.StatusOK)
	if body := s.ask(t, http.MethodGet, "/status", "", http.StatusOK); !strings.Contains(body, `"issuer": "CN=vernegate test root"`) || !strings.Contains(body, r.Host) {
		t.Errorf("the status does not name the issuer and its responder:\n%s", body)
	}
}

// TestUnknownDoesNotEndARevocation has a responder lose its data after it has revoked a device, and then fail. The device
// stays out, where others whose status cannot be found out come in.
func TestUnknownDoesNotEndARevocation(t *testing.T) {
	t.Parallel()
	s := prepareFixture(t)
	r := s.startResponder(t)
	s.withOCSP(t, r.URL, "VERNEGATE_OCSP_ON_ERROR", "allow")
	lamp := s.device("acme:lamp")
	r.Revoke(lamp)
	s.checkRefused(t, s.through(lamp, 0), "tls_revoked", "keyCompromise")

	r.Behave(certtest.OCSPFunc(func(serial *big.Int) []byte {
		return s.pki.Root.OCSP(certtest.OCSPOptions{}, certtest.OCSPAnswer{Serial: serial, Status: certtest.OCSPUnknown})
	}))
	eventually(t, stepTime, "the responder is asked again", func() bool {
		s.checkRefused(t, s.through(lamp, 0), "tls_revoked", "keyCompromise")
		return s.answered(t, "unknown") > 0
	})
	s.checkRefused(t, s.through(lamp, 0), "tls_revoked", "keyCompromise")
	r.Close()
	_ = s.live(t, s.device("acme:door")).Close()
	s.checkRefused(t, s.through(lamp, 0), "tls_revoked", "keyCompromise")
}

// TestOCSPOfOpenSSL does the same with the responder of Debian's openssl: it is delegated, and says until when its answers
// hold. It does not know the last device.
func TestOCSPOfOpenSSL(t *testing.T) {
	t.Parallel()
	for _, nonce := range []string{"off", "on"} { // which it sends back
		t.Run("nonce "+nonce, func(t *testing.T) {
			t.Parallel()
			testOCSPOfOpenSSL(t, nonce)
		})
	}
}

func testOCSPOfOpenSSL(t *testing.T, nonce string) {
	s := prepareFixture(t)
	lamp, door, stranger := s.device("acme:lamp"), s.device("acme:door"), s.device("acme:stranger")
	r := must(stack.StartOpenSSLResponder(within(t, stepTime), t.TempDir(), s.pki.Root, lamp, door))(t)
	t.Cleanup(func() { r.Kill() })
	s.withOCSP(t, r.URL, "VERNEGATE_OCSP_NONCE", nonce)
	revoked, other := s.live(t, lamp), s.live(t, door)
	for _, v := range versions {
		if got, want := answerTo(within(t, stepTime), t, s.through(stranger, 0), v), codeOf(v, 3, 0x88); got != want {
			t.Errorf("%v: a device that the responder does not know: got 0x%02X, want 0x%02X", v, got, want)
		}
	}
	if err := r.List([]*certtest.Cert{lamp}, door); err != nil {
		t.Fatal(err)
	}
	s.checkDismissed(t, revoked)
	s.checkRefused(t, s.through(lamp, 0), "tls_revoked", "keyCompromise")
	if !other.ReadQuiet(100 * time.Millisecond) {
		t.Error("another session has noticed")
	}
	for _, status := range []string{"good", "revoked", "unknown"} {
		if s.answered(t, status) == 0 {
			t.Errorf("no answer was %s", status)
		}
	}
}

// TestCertificatesNameTheirResponder has no URL configured: only responders at allowed hosts are called.
func TestCertificatesNameTheirResponder(t *testing.T) {
	t.Parallel()
	s := prepareFixture(t)
	r, dead, trap := s.startResponder(t), s.startResponder(t), s.startResponder(t)
	dead.Close()
	s.startBefore(t, broker, "VERNEGATE_OCSP", "on", "VERNEGATE_CRL_HOSTS", r.Host+","+dead.Host, "VERNEGATE_OCSP_ON_ERROR", "deny", "VERNEGATE_OCSP_TIMEOUT", "60s")
	lamp := s.device("acme:lamp", certtest.OCSPServer(trap.URL, r.URL))
	s.live(t, lamp)
	r.Revoke(lamp)
	for _, urls := range [][]string{nil, {trap.URL}, {"http://169.254.169.254/latest"}} {
		if got := answerTo(within(t, stepTime), t, s.through(s.device("acme:door", certtest.OCSPServer(urls...)), 0), stack.V5); got != 0x88 {
			t.Errorf("%q: got 0x%02X, want 0x88", urls, got)
		}
	}
	s.live(t, s.device("acme:door", certtest.OCSPServer(dead.URL, r.URL)))
	r.Behave(http.RedirectHandler(trap.URL, http.StatusFound))
	if got := answerTo(within(t, stepTime), t, s.through(s.device("acme:door", certtest.OCSPServer(r.URL)), 0), stack.V5); got != 0x88 {
		t.Errorf("redirected: got 0x%02X, want 0x88", got)
	}
	if n := trap.Asked.Load(); n != 0 {
		t.Errorf("a host that is not allowed was called %d times", n)
	}
}

// TestOnlyNamedIssuersAreAsked has a CA without a responder beside one that has one.
func TestOnlyNamedIssuersAreAsked(t *testing.T) {
	t.Parallel()
	s := prepareFixture(t)
	external := certtest.NewCA("external")
	s.pki.Trust(external)
	if err := s.folder.Rename(s.pki.Set()); err != nil {
		t.Fatal(err)
	}
	r := s.startResponder(t)
	s.withOCSP(t, r.URL, "VERNEGATE_OCSP_ISSUERS", "vernegate test root", "VERNEGATE_OCSP_ON_ERROR", "deny")
	s.live(t, s.deviceOf(external, "acme:gate"))
	if n := r.Asked.Load(); n != 0 {
		t.Errorf("asked %d times about a certificate of another CA", n)
	}
	s.live(t, s.device("acme:lamp"))
	if n := r.Asked.Load(); n == 0 {
		t.Error("not asked")
	}
}

// TestAnswersWithoutNonceMayNotCount has a responder that signs without looking at the nonce, as those do that sign beforehand.
func TestAnswersWithoutNonceMayNotCount(t *testing.T) {
	t.Parallel()
	s := prepareFixture(t)
	s.withOCSP(t, s.startResponder(t).URL, "VERNEGATE_OCSP_NONCE", "on", "VERNEGATE_OCSP_ON_ERROR", "deny")
	if got := answerTo(within(t, stepTime), t, s.through(s.device("acme:lamp"), 0), stack.V5); got != 0x88 {
		t.Errorf("got 0x%02X, want 0x88", got)
	}
	if s.answered(t, "nonce") == 0 {
		t.Error("it is not counted")
	}
}

// A trouble is what is wrong with a responder.
type trouble struct {
	name   string
	result string // as in the metric
	begin  func(r *stack.Responder)
}

// troubles are those of a responder that can be mended. The CA is that of the devices.
func troubles(ca *certtest.CA) []trouble {
	says := func(name, result string, answer certtest.OCSPFunc) trouble {
		return trouble{name, result, func(r *stack.Responder) { r.Behave(answer) }}
	}
	other := certtest.NewCA("vernegate test root")
	return []trouble{
		{"5xx", "http_status", func(r *stack.Responder) { r.Behave(http.HandlerFunc(stack.ServerError)) }},
		{"slow", "timeout", func(r *stack.Responder) { r.Behave(http.HandlerFunc(stack.Hang)) }},
		{"drips", "timeout", func(r *stack.Responder) { r.Behave(http.HandlerFunc(stack.Drip)) }},
		{"a login page", "malformed", func(r *stack.Responder) { r.Behave(http.HandlerFunc(stack.HTML)) }},
		{"endless", "malformed", func(r *stack.Responder) { r.Behave(http.HandlerFunc(stack.Huge)) }},
		says("try later", "try_later", func(*big.Int) []byte { return []byte{0x30, 3, 0x0A, 1, 3} }),
		says("unauthorized", "refused", func(*big.Int) []byte { return []byte{0x30, 3, 0x0A, 1, 6} }),
		says("about another certificate", "other_certificate", func(*big.Int) []byte {
			return ca.OCSP(certtest.OCSPOptions{}, certtest.OCSPAnswer{Serial: big.NewInt(7)})
		}),
		says("with another key", "signer", func(serial *big.Int) []byte {
			return other.OCSP(certtest.OCSPOptions{}, certtest.OCSPAnswer{Serial: serial, Issuer: ca.Cert})
		}),
		says("by a device", "signer", func(serial *big.Int) []byte {
			return ca.OCSP(certtest.OCSPOptions{Signer: ca.Issue("device")}, certtest.OCSPAnswer{Serial: serial})
		}),
		says("of yesterday", "stale", func(serial *big.Int) []byte {
			then := time.Now().Add(-24 * time.Hour)
			return ca.OCSP(certtest.OCSPOptions{}, certtest.OCSPAnswer{Serial: serial, ThisUpdate: then, NextUpdate: then.Add(time.Hour)})
		}),
	}
}

// TestTroubleWithResponders shows what a responder in trouble costs, with either policy: known devices come back, live
// sessions stay, newcomers are let in or not; nothing is kept of what it says; and when it works again, all is known,
// also that a device was revoked which had come in meanwhile.
func TestTroubleWithResponders(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"allow", "deny"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			s := prepareFixture(t)
			r := s.startResponder(t)
			s.withOCSP(t, r.URL, "VERNEGATE_OCSP_ON_ERROR", policy, "VERNEGATE_OCSP_TIMEOUT", "1s", "VERNEGATE_OCSP_REFRESH", "1h")
			known := s.device("acme:known")
			resident := s.live(t, known)
			for _, trouble := range troubles(s.pki.Root) {
				before := s.answered(t, trouble.result)
				trouble.begin(r)
				newcomer := s.device("acme:newcomer")
				var let *stack.Wire
				if policy == "allow" {
					let = s.live(t, newcomer)
				} else if got := answerTo(within(t, stepTime), t, s.through(newcomer, 0), stack.V5); got != 0x88 {
					t.Errorf("%s: a newcomer got 0x%02X, want 0x88", trouble.name, got)
				}
				_ = s.live(t, known).Close()
				if s.answered(t, trouble.result) == before {
					t.Errorf("%s: not counted as %s", trouble.name, trouble.result)
				}
				r.Behave(nil)
				r.Revoke(newcomer)
				if let != nil {
					s.checkDismissed(t, let)
				}
				eventually(t, stepTime, trouble.name+": the newcomer is known to be revoked", func() bool { // when it is asked again
					return answerTo(within(t, stepTime), t, s.through(newcomer, 0), stack.V5) == 0x87
				})
			}
			if !resident.ReadQuiet(100 * time.Millisecond) {
				t.Error("a live session has noticed")
			}
		})
	}
}

// TestDeadResponder has packets to the responder dropped while known devices come back: not one of them waits for a
// newcomer's question, which takes longer than the whole test.
func TestDeadResponder(t *testing.T) {
	t.Parallel()
	s := prepareFixture(t)
	r := s.startResponder(t)
	deaf, stop, err := stack.ListenDeaf()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	s.startBefore(t, broker, "VERNEGATE_OCSP", "on", "VERNEGATE_CRL_HOSTS", r.Host+","+deaf, "VERNEGATE_OCSP_TIMEOUT", "10m",
		"VERNEGATE_OCSP_ON_ERROR", "deny", "VERNEGATE_CONNECT_TIMEOUT", "10m")
	devices := make([]*certtest.Cert, 50)
	for i := range devices {
		devices[i] = s.device("acme:known", certtest.OCSPServer(r.URL))
		_ = s.live(t, devices[i]).Close()
	}
	r.Close()
	var newcomers []*stack.Wire
	for range 100 { // more than are asked about at a time
		w := dialWire(t, s.through(s.device("acme:newcomer", certtest.OCSPServer("http://"+deaf)), 0))
		if err := w.Send(connectPacket{version: stack.V5, clientID: unique()}.bytes()); err != nil {
			t.Fatal(err)
		}
		newcomers = append(newcomers, w)
	}
	var all sync.WaitGroup
	for _, device := range devices {
		all.Go(func() {
			if err := tryConnect(t.Context(), s.through(device, 0)); err != nil {
				t.Errorf("a known device: %v", err)
			}
		})
	}
	all.Wait()
	for _, w := range newcomers[:3] {
		if !w.ReadQuiet(time.Millisecond) {
			t.Error("a newcomer did not wait: the responder is not dead")
		}
	}
}

// TestOCSPBesideCRLs shows that each of the two ways revokes by itself, and that the certificate of a delegated responder
// is looked up in the lists.
func TestOCSPBesideCRLs(t *testing.T) {
	t.Parallel()
	s := prepareFixture(t)
	r := s.startResponder(t)
	signer := s.pki.Root.Issue("responder", certtest.OCSPSigning(false))
	r.Behave(certtest.OCSPFunc(func(serial *big.Int) []byte {
		return s.pki.Root.OCSP(certtest.OCSPOptions{Signer: signer}, r.Answer(serial))
	}))
	s.withOCSP(t, r.URL, "VERNEGATE_OCSP_ON_ERROR", "deny", "VERNEGATE_OCSP_REFRESH", "1h")
	lamp, door := s.device("acme:lamp"), s.device("acme:door")
	listed := s.live(t, lamp)
	r.Revoke(door)
	s.checkRefused(t, s.through(door, 0), "tls_revoked", "OCSP says so")
	s.revoke(t, lamp.Leaf, signer.Leaf)
	s.checkDismissed(t, listed)
	s.checkAlert(t, s.clientTLS(lamp, tls.VersionTLS13), stack.AlertBadCertificate, "tls_revoked")
	if got := answerTo(within(t, stepTime), t, s.through(s.device("acme:gate"), 0), stack.V5); got != 0x88 {
		t.Errorf("a revoked responder: got 0x%02X, want 0x88", got)
	}
	if s.answered(t, "signer") == 0 {
		t.Error("the answer of a revoked responder counts")
	}
}
