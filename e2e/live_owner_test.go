// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// recheck is how often certificate-acl is asked again in these tests.
const recheck = time.Second

// newRechecking starts a fixture that forgets owners at once, so that every check asks.
func newRechecking(t *testing.T) *fixture {
	t.Helper()
	return newFixture(t, broker, "VERNEGATE_SESSION_RECHECK", recheck.String(),
		"VERNEGATE_ACL_TTL", "0s", "VERNEGATE_ACL_NEGATIVE_TTL", "0s", "VERNEGATE_ACL_STALE_IF_ERROR", "0s",
		"CERTIFICATE_ACL_REQ_TIMEOUT_MS", "500")
}

// live connects a device of certificate-acl's with 5.0, and stays quiet.
func (s *fixture) live(t *testing.T, device *certtest.Cert) *stack.Wire {
	t.Helper()
	w := must(stack.DialWire(within(t, 2*time.Minute), s.through(device, 0)))(t)
	t.Cleanup(func() { w.Close() })
	greet(t, w, stack.V5)
	return w
}

// couldNotTell is how often certificate-acl was asked without telling.
func (s *fixture) couldNotTell(t *testing.T) float64 {
	t.Helper()
	return must(s.Metrics(within(t, stepTime)))(t).Sum("vernegate_identity_answers_total", `outcome="failed"`)
}

// TestOutageOfCertificateACLEndsNothing keeps certificate-acl from telling, in every
// way, for longer than it takes to ask about each session again and again.
func TestOutageOfCertificateACLEndsNothing(t *testing.T) {
	t.Parallel()
	const sessions, rounds = 8, 2
	s := newRechecking(t)
	var lives []*stack.Wire
	for range sessions {
		lives = append(lives, s.live(t, s.device("acme:lamp")))
	}
	for _, outage := range []struct {
		name  string
		begin func()
	}{
		{"down", func() { s.acl.Down() }},
		{"5xx", func() { _ = listenAgain(s.acl); s.acl.Answer(stack.ServerError) }},
		{"slow", func() { s.acl.Answer(stack.Hang) }},
		{"lying", func() { s.acl.Answer(stack.HTML) }},
		{"behind an ingress without it", func() { s.acl.Answer(stack.DefaultBackend) }},
	} {
		outage.begin()
		began, before := time.Now(), s.couldNotTell(t)
		eventually(t, stepTime, outage.name+": each owner is asked for again and again in vain", func() bool {
			return s.couldNotTell(t) >= before+sessions*rounds && time.Since(began) > rounds*recheck
		})
		for _, w := range lives {
			ping(t, w)
		}
	}

	s.acl.Answer(nil)
	for _, w := range lives {
		ping(t, w)
	}
	if ended := must(s.Metrics(within(t, stepTime)))(t).Sum("vernegate_connections_ended_total"); ended != 0 {
		t.Errorf("%v sessions have ended, want none", ended)
	}
}

// TestChangedOwnerFallsAtTheNextCheck gives a certificate to somebody else, and
// another one to nobody: their sessions end, and no other does.
func TestChangedOwnerFallsAtTheNextCheck(t *testing.T) {
	t.Parallel()
	for name, owners := range map[string]struct{ before, after string }{
		"somebody else":        {"acme:lamp", "acme:door"},
		"an unusable name":     {"acme:lamp", "acme:#"},
		"the same but another": {"acme:lamp", "Acme:lamp"},
		"nobody":               {"acme:lamp", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newRechecking(t)
			device := s.device(owners.before)
			ended := []*stack.Wire{s.live(t, device), s.live(t, device)}
			other := s.live(t, s.device(owners.before))

			if owners.after == "" {
				s.acl.Disown(stack.Fingerprint(device.Leaf))
			} else {
				s.acl.Own(stack.Fingerprint(device.Leaf), owners.after)
			}
			changed := time.Now()
			for _, w := range ended {
				if got, err := w.ReadToEnd(); err != nil || !bytes.Equal(got, []byte{0xE0, 1, 0x87}) {
					t.Errorf("got % X and %v, want a DISCONNECT and an orderly end", got, err)
				}
				s.ending(t, w.LocalAddr(), "owner_changed")
			}
			t.Logf("both sessions fell within %v of the change", time.Since(changed).Round(time.Millisecond))
			ping(t, other)
			s.checkCounts(t, "owner_changed")
		})
	}
}

// TestOneRequestForAllSessionsOfACertificate counts what the checks of many sessions
// ask for.
func TestOneRequestForAllSessionsOfACertificate(t *testing.T) {
	t.Parallel()
	const sessions, rounds = 20, 4
	s := newRechecking(t)
	device := s.device("acme:lamp")
	for range sessions {
		s.live(t, device)
	}
	asked := func() int { return s.acl.Requests(stack.Fingerprint(device.Leaf)) }
	first, began := asked(), time.Now()
	eventually(t, stepTime, "the checks go on", func() bool { return asked() >= first+rounds })
	if least := (rounds - 1) * recheck * 4 / 5; time.Since(began) < least { // pauses differ by up to a fifth
		t.Errorf("%d requests within %v for one certificate with %d sessions, want one every %v or a fifth less",
			rounds, time.Since(began), sessions, recheck)
	}
}
