// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/tls"
	"crypto/x509"
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

// device makes up a certificate. Its DER is only ever hashed here.
func device(n int, ca *x509.Certificate) *tls.ConnectionState {
	leaf := &x509.Certificate{
		Raw:          fmt.Appendf(nil, "certificate %d", n),
		RawIssuer:    ca.RawSubject,
		SerialNumber: big.NewInt(int64(n)),
		NotAfter:     time.Now().Add(time.Hour),
	}
	return &tls.ConnectionState{
		PeerCertificates: []*x509.Certificate{leaf},
		VerifiedChains:   [][]*x509.Certificate{{leaf, ca}},
	}
}

func authority(name string) *x509.Certificate {
	return &x509.Certificate{
		Raw: []byte(name), RawSubject: []byte(name), RawIssuer: []byte(name), SerialNumber: big.NewInt(1 << 40),
		NotAfter: time.Now().Add(time.Hour),
	}
}

func TestRegistryFindsWhatIsNamedAndNothingElse(t *testing.T) {
	t.Parallel()
	one, two := authority("one"), authority("two")
	r := newRegistry()
	var sessions []*session
	for n := range 40 { // every certificate twice, every other one of either CA
		s := &session{owner: fmt.Sprintf("t:%d", n%4)}
		r.add(s, nil, device(n/2, []*x509.Certificate{one, two}[n/2%2]), time.Time{}, time.Time{})
		sessions = append(sessions, s)
	}
	revoked := func(yield func([]byte, []byte) bool) {
		_ = yield(one.RawSubject, big.NewInt(4).Bytes()) && // certificate 4 is one's
			yield(two.RawSubject, big.NewInt(4).Bytes()) // and not two's
	}
	for name, test := range map[string]struct {
		got, want []*session
	}{
		"by owner":       {r.find(&Filter{Owner: "t:1"}, 0, -1), everyFourth(sessions, 1)},
		"by serial":      {r.of(r.withdraw(nil, Withdrawal{Revoked: revoked})), sessions[8:10]},
		"by CA":          {r.of(r.below(pki.FingerprintOf(two))), belowTwo(sessions)},
		"by CA's serial": {r.of(r.named(r.nameOf(two))), belowTwo(sessions)},
		"all":            {r.all(), sessions},
	} {
		if !sameSessions(test.got, test.want) {
			t.Errorf("%s: got %d sessions, want the right %d", name, len(test.got), len(test.want))
		}
	}
}

func (r *registry) of(bearers []*bearer) (all []*session) {
	for _, b := range bearers {
		all = append(all, r.sessionsOf(b)...)
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
			r.add(s, nil, device(n, cas[n%3]), time.Now().Add(time.Duration(rand.IntN(1000))), time.Now())
			in = append(in, s)
		} else {
			i := rand.IntN(len(in))
			r.remove(in[i])
			r.remove(in[i]) // as a second time must not hurt
			in = slices.Delete(in, i, i+1)
		}
		if !sameSessions(r.all(), in) {
			t.Fatalf("got %d sessions, want %d", len(r.all()), len(in))
		}
	}
	for _, s := range in {
		r.remove(s)
	}
	if n := len(r.bearers) + len(r.names) + len(r.lineages) + len(r.above) + len(r.owners) + len(r.agenda); n != 0 {
		t.Errorf("got %d entries left, want none", n)
	}
}

func TestAgendaIsInOrder(t *testing.T) {
	t.Parallel()
	var g agenda
	begin := time.Now()
	entries := make([]appointment, 1000)
	for i := range entries {
		g.put(&entries[i], begin.Add(time.Duration(rand.IntN(1000))))
	}
	for i := range entries {
		switch i % 3 {
		case 0:
			g.cancel(&entries[i])
		case 1:
			g.put(&entries[i], begin.Add(time.Duration(rand.IntN(1000))))
		}
	}
	last, n := begin, 0
	for a, _ := g.due(begin.Add(time.Hour)); a != nil; a, _ = g.due(begin.Add(time.Hour)) {
		if a.at.Before(last) {
			t.Fatalf("got %v after %v", a.at, last)
		}
		last = a.at
		n++
	}
	if want := len(entries) * 2 / 3; n != want {
		t.Errorf("got %d appointments, want %d", n, want)
	}
}

// What the registry costs with 200 000 sessions in it, each of a device of its own.
func BenchmarkRegistry(b *testing.B) {
	const full = 200_000
	ca := authority("devices")
	states := make([]*tls.ConnectionState, full)
	sessions := make([]session, full)
	for i := range sessions {
		states[i] = device(i, ca)
		sessions[i].owner = fmt.Sprintf("tenant:device%06d", i)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r := newRegistry()
	now := time.Now()
	for i := range sessions {
		r.add(&sessions[i], nil, states[i], now.Add(time.Hour), now.Add(time.Minute))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)

	b.Run("leave-and-enter", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i = (i + 1) % full {
			r.remove(&sessions[i])
			r.add(&sessions[i], nil, states[i], now.Add(time.Hour), now.Add(time.Minute))
		}
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/full, "B/session")
	})
	b.Run("find-revoked", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i = (i + 1) % full {
			if len(r.named(r.nameOf(states[i].PeerCertificates[0]))) != 1 {
				b.Fatal("not found")
			}
		}
	})
	runtime.KeepAlive(sessions)
}
