// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
)

// The registry is tested from inside: what it finds shows outside, what it forgets does not.

// device makes up a certificate and returns its chain. Its DER is only ever hashed here.
func device(n int, ca *x509.Certificate) []*x509.Certificate {
	leaf := &x509.Certificate{
		Raw:          fmt.Appendf(nil, "certificate %d", n),
		RawIssuer:    ca.RawSubject,
		SerialNumber: big.NewInt(int64(n)),
		NotAfter:     time.Now().Add(time.Hour),
	}
	return []*x509.Certificate{leaf, ca}
}

func authority(name string) *x509.Certificate {
	raw := encodedName(name, asn1.TagPrintableString)
	return &x509.Certificate{
		Raw: []byte(name), RawSubject: raw, RawIssuer: raw, SerialNumber: big.NewInt(1 << 40),
		NotAfter: time.Now().Add(time.Hour),
	}
}

// encodedName returns a name of one attribute in DER, with a text of a certain type.
func encodedName(text string, tag int) []byte {
	raw, err := asn1.Marshal(pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: asn1.RawValue{Tag: tag, Bytes: []byte(text)}}}})
	if err != nil {
		panic(err)
	}
	return raw
}

func TestRegistryFindsWhatIsNamedAndNothingElse(t *testing.T) {
	t.Parallel()
	one, two := authority("one"), authority("two")
	r := newRegistry()
	var sessions []*session
	for n := range 40 { // every certificate twice, every other one of either CA
		s := &session{owner: fmt.Sprintf("t:%d", n%4)}
		enter(t, r, s, device(n/2, []*x509.Certificate{one, two}[n/2%2]), time.Time{})
		sessions = append(sessions, s)
	}
	revoked := func(yield func(string, []byte) bool) {
		_ = yield(pki.CanonicalName(one.RawSubject), big.NewInt(4).Bytes()) && // certificate 4 is one's
			yield(pki.CanonicalName(two.RawSubject), big.NewInt(4).Bytes()) // and not two's
	}
	for name, test := range map[string]struct {
		got, want []*session
	}{
		"by owner":       {r.find(&Filter{Owner: "t:1"}, 0, -1), everyFourth(sessions, 1)},
		"by serial":      {r.of(r.affected(Withdrawal{Revoked: revoked})), sessions[8:10]},
		"by CA":          {r.of(r.below(two)), belowTwo(sessions)},
		"by CA's serial": {r.of(r.named(r.nameOf(two))), belowTwo(sessions)},
		"all":            {r.find(&Filter{}, 0, -1), sessions},
	} {
		if !sameSessions(test.got, test.want) {
			t.Errorf("%s: got %d sessions, want the right %d", name, len(test.got), len(test.want))
		}
	}
}

// What is revoked is found whatever way the certificates, and those of the CAs above them, spell the names of their issuers.
func TestRegistryFindsNamesHoweverTheyAreEncoded(t *testing.T) {
	t.Parallel()
	name := pki.CanonicalName(encodedName("devices", asn1.TagPrintableString))
	r := newRegistry()
	for n, tag := range []int{asn1.TagPrintableString, asn1.TagUTF8String} {
		ca := authority(fmt.Sprintf("devices %d", tag)) // two certificates of one CA
		ca.RawSubject = encodedName("devices", tag)
		ca.RawIssuer = ca.RawSubject
		enter(t, r, &session{}, device(n, ca), time.Time{})
		for what, serial := range map[string]*big.Int{"its own": big.NewInt(int64(n)), "its CA's": ca.SerialNumber} {
			revoked := func(yield func(string, []byte) bool) { _ = yield(name, serial.Bytes()) }
			found := r.affected(Withdrawal{Revoked: revoked})
			if !slices.ContainsFunc(found, func(c *clientCert) bool { return c.serial == fmt.Sprint(n) }) {
				t.Errorf("certificate %d is not found by %s serial number", n, what)
			}
		}
	}
}

// enter adds a session that sent its own certificate alone.
func enter(tb testing.TB, r *registry, s *session, chain []*x509.Certificate, at time.Time) *clientCert {
	tb.Helper()
	c, err := r.add(s, chain[:1], chain, times{at, at, at})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func (r *registry) of(certs []*clientCert) (all []*session) {
	for _, c := range certs {
		all = append(all, r.sessionsOf(c)...)
	}
	return all
}

func everyFourth(sessions []*session, first int) (some []*session) {
	for i := first; i < len(sessions); i += 4 {
		some = append(some, sessions[i])
	}
	return some
}

func belowTwo(sessions []*session) (some []*session) {
	for i, s := range sessions {
		if i/2%2 == 1 {
			some = append(some, s)
		}
	}
	return some
}

func sameSessions(a, b []*session) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(s *session) bool { return !slices.Contains(b, s) })
}

// Whatever comes and goes in whatever order: what is left is found, and in the end nothing is left.
func TestRegistryForgets(t *testing.T) {
	t.Parallel()
	cas := []*x509.Certificate{authority("one"), authority("two"), authority("three")}
	r := newRegistry()
	var in []*session
	for range 5000 {
		if len(in) < 50 || rand.IntN(2) == 0 {
			n := rand.IntN(30)
			s := &session{owner: fmt.Sprintf("t:%d", n%7)}
			c := enter(t, r, s, device(n, cas[n%3]), time.Now().Add(time.Duration(rand.IntN(1000))))
			if rand.IntN(3) == 0 { // another chain is accepted
				r.rebind(c, device(n, cas[rand.IntN(3)]))
			}
			in = append(in, s)
		} else {
			i := rand.IntN(len(in))
			r.remove(in[i])
			r.remove(in[i]) // as a second time must not hurt
			in = slices.Delete(in, i, i+1)
		}
		if !sameSessions(r.find(&Filter{}, 0, -1), in) {
			t.Fatalf("got %d sessions, want %d", len(r.find(&Filter{}, 0, -1)), len(in))
		}
	}
	for _, s := range in {
		r.remove(s)
	}
	if n := len(r.certs) + len(r.names) + len(r.chains) + len(r.above) + len(r.owners) + len(r.lifetimes.queue) + len(r.expiries.queue) + len(r.rechecks.queue) + len(r.authorizations.queue); n != 0 {
		t.Errorf("got %d entries left, want none", n)
	}
}

func TestTimerQueueIsInOrder(t *testing.T) {
	t.Parallel()
	var q timerQueue[session]
	begin := time.Now()
	entries := make([]timer[session], 1000)
	for i := range entries {
		q.set(&entries[i], begin.Add(time.Duration(rand.IntN(1000))))
	}
	for i := range entries {
		switch i % 3 {
		case 0:
			q.cancel(&entries[i])
		case 1:
			q.set(&entries[i], begin.Add(time.Duration(rand.IntN(1000))))
		}
	}
	last, n := begin, 0
	for timer, _ := q.due(begin.Add(time.Hour)); timer != nil; timer, _ = q.due(begin.Add(time.Hour)) {
		if timer.at.Before(last) {
			t.Fatalf("got %v after %v", timer.at, last)
		}
		last = timer.at
		n++
	}
	if want := len(entries) * 2 / 3; n != want {
		t.Errorf("got %d timers, want %d", n, want)
	}
}

// A session is found by the chain that was accepted last, and by no other.
func TestRegistryFollowsTheChain(t *testing.T) {
	t.Parallel()
	one, two := authority("one"), authority("two")
	two.NotAfter = one.NotAfter.Add(-time.Minute)
	r := newRegistry()
	c := enter(t, r, &session{}, device(1, one), time.Time{})
	if got, want := c.expiry.at, one.NotAfter; got.Before(want) || got.After(want.Add(time.Second)) {
		t.Errorf("ends at %v, want %v", got, want)
	}
	r.rebind(c, device(1, two))
	if got, want := c.expiry.at, two.NotAfter; got.Before(want) || got.After(want.Add(time.Second)) {
		t.Errorf("ends at %v, want the end of the other chain, %v", got, want)
	}
	if n := len(r.below(one)); n != 0 {
		t.Errorf("got %d certificates below the CA that it has left, want none", n)
	}
	if n := len(r.below(two)); n != 1 {
		t.Errorf("got %d certificates below its CA, want 1", n)
	}
	if n := len(r.chains); n != 1 {
		t.Errorf("got %d chains, want the one in use", n)
	}
}

// A session that comes when those of its certificate have just ended, as that has expired, ends as well.
func TestRegistryDoesNotPutOffTheExpiry(t *testing.T) {
	t.Parallel()
	ca := authority("one")
	ca.NotAfter = time.Now()
	chain := device(1, ca)
	r := newRegistry()
	c := enter(t, r, &session{}, chain, time.Time{})
	r.mu.Lock()
	fired, _ := r.expiries.queue.due(time.Now().Add(time.Minute))
	r.mu.Unlock()
	if fired != &c.expiry {
		t.Fatalf("got the timer %v, want that of the certificate", fired)
	}
	r.resetTimer(&r.expiries, &c.expiry, time.Now().Add(stillValid))
	enter(t, r, &session{}, chain, time.Time{})
	if at := expiryOf(chain); !c.expiry.at.Equal(at) {
		t.Errorf("it is looked at in %v, want at %v", time.Until(c.expiry.at), at)
	}
}

// A certificate that is in the bundle itself is withdrawn with it.
func TestRegistryFindsACertificateThatIsItsOwnIssuer(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	chain := device(1, authority("one"))[:1]
	enter(t, r, &session{}, chain, time.Time{})
	if n := len(r.affected(Withdrawal{CAs: chain})); n != 1 {
		t.Errorf("got %d certificates, want 1", n)
	}
}

// A CA whose certificate is in the bundle may be a client itself, beside those that it has issued certificates to.
func TestRegistryTellsACAFromItsClients(t *testing.T) {
	t.Parallel()
	root, ca := authority("root"), authority("devices")
	ca.RawIssuer = root.RawSubject
	for name, chains := range map[string][][]*x509.Certificate{
		"the CA first":     {{ca}, device(1, ca)},
		"its client first": {device(1, ca), {ca}},
	} {
		r := newRegistry()
		for _, chain := range chains {
			enter(t, r, &session{}, chain, time.Time{})
		}
		for _, chain := range chains {
			leaf := chain[0]
			revoked := func(yield func(string, []byte) bool) {
				_ = yield(pki.CanonicalName(leaf.RawIssuer), leaf.SerialNumber.Bytes())
			}
			found := r.affected(Withdrawal{Revoked: revoked})
			if !slices.ContainsFunc(found, func(c *clientCert) bool { return c.fp == pki.FingerprintOf(leaf) }) {
				t.Errorf("%s: certificate %v is not found by its issuer and serial number", name, leaf.SerialNumber)
			}
		}
	}
}

func TestNoSessionWithoutAChain(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	if _, err := r.add(&session{}, device(1, authority("one")), nil, times{}); !errors.Is(err, errNoChain) {
		t.Errorf("got %v, want %v", err, errNoChain)
	}
	if got := r.find(&Filter{}, 0, -1); len(got) != 0 {
		t.Errorf("got %d sessions, want none", len(got))
	}
}

// What the registry costs with 200 000 sessions in it, each of a device of its own.
func BenchmarkRegistry(b *testing.B) {
	const full = 200_000
	ca := authority("devices")
	chains := make([][]*x509.Certificate, full)
	sessions := make([]session, full)
	for i := range sessions {
		chains[i] = device(i, ca)
		sessions[i].owner = fmt.Sprintf("tenant:device%06d", i)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r := newRegistry()
	now := time.Now()
	for i := range sessions {
		enter(b, r, &sessions[i], chains[i], now.Add(time.Hour))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)

	b.Run("leave-and-enter", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i = (i + 1) % full {
			r.remove(&sessions[i])
			enter(b, r, &sessions[i], chains[i], now.Add(time.Hour))
		}
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/full, "B/session")
	})
	b.Run("find-revoked", func(b *testing.B) {
		issuer := pki.CanonicalName(ca.RawSubject)
		b.ReportAllocs()
		for i := 0; b.Loop(); i = (i + 1) % full {
			if len(r.named(r.name(issuer, chains[i][0].SerialNumber.Bytes()))) != 1 {
				b.Fatal("not found")
			}
		}
	})
	runtime.KeepAlive(sessions)
}

// What it takes to find the sessions below one CA of 20 000, each of which has a chain of its own.
func BenchmarkRemovedCA(b *testing.B) {
	const chains = 20_000
	r := newRegistry()
	cas := make([]*x509.Certificate, chains)
	for i := range cas {
		cas[i] = authority(fmt.Sprintf("ca %d", i))
		enter(b, r, &session{owner: fmt.Sprintf("tenant:device%d", i)}, device(i, cas[i]), time.Time{})
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i = (i + 1) % chains {
		if len(r.below(cas[i])) != 1 {
			b.Fatal("not found")
		}
	}
}
