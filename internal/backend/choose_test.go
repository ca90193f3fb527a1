// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/vernegate/vernegate/internal/backend"
)

func TestBalanceIsSpelledAsConfigured(t *testing.T) {
	t.Parallel()
	for _, want := range []backend.Balance{backend.LeastConnections, backend.ByClientID} {
		var got backend.Balance
		if err := got.UnmarshalText([]byte(want.String())); err != nil || got != want {
			t.Errorf("%v: got %v and %v", want, got, err)
		}
	}
	var b backend.Balance
	if err := b.UnmarshalText([]byte("round-robin")); err == nil {
		t.Error("round-robin was accepted")
	}
	if got, want := backend.Balance(9).String(), "Balance(9)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLeastConnectionsEvensOut(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil, one, two, three)
	leases := map[string][]*backend.Lease{}
	for range 30 {
		p, addr := f.enter("")
		leases[addr] = append(leases[addr], p)
	}
	for _, addr := range []string{one, two, three} {
		if got := f.status(addr).Sessions; got != 10 {
			t.Errorf("%s has %d sessions of 30, want 10", addr, got)
		}
	}
	for _, p := range leases[two][:4] {
		p.Release()
		p.Release()
	}
	for range 4 {
		if _, addr := f.enter(""); addr != two {
			t.Errorf("the next one goes to %s, want %s, which has fewer", addr, two)
		}
	}
}

func TestTiesTakeTurns(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil, one, two, three)
	got := map[string]int{}
	for range 300 {
		p, addr := f.enter("")
		got[addr]++
		p.Release()
	}
	if want := (map[string]int{one: 100, two: 100, three: 100}); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLeaseGoesEverywhereOnce(t *testing.T) {
	t.Parallel()
	for _, balance := range []backend.Balance{backend.LeastConnections, backend.ByClientID} {
		t.Run(balance.String(), func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, func(c *backend.Config) { c.Balance = balance }, one, two, three)
			p, first := f.enter("lamp")
			seen := []string{first}
			for addr, ok := p.Next(); ok; addr, ok = p.Next() {
				if got := f.status(addr).Sessions; got != 1 {
					t.Errorf("%s has %d sessions, want the one that is there", addr, got)
				}
				seen = append(seen, addr)
			}
			slices.Sort(seen)
			if want := []string{one, two, three}; !slices.Equal(seen, want) {
				t.Errorf("got %q, want %q", seen, want)
			}
			for _, s := range f.Status() {
				if s.Sessions != 0 {
					t.Errorf("%s has %d sessions, want none of a lease without a broker", s.Addr, s.Sessions)
				}
			}
		})
	}
}

func TestNoBrokersNoLease(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil, "vernemq:1883")
	p := f.Lease("", "")
	if addr, ok := p.Next(); ok {
		t.Errorf("got %s, want none", addr)
	}
	p.Silent() // says nothing about anybody
	p.Release()
}

// homes is where each of n clients is sent, all of them connected at a time.
func homes(f *fleet, n int) []string {
	all := make([]string, n)
	for i := range all {
		_, all[i] = f.enter(fmt.Sprintf("device-%05d", i))
	}
	return all
}

func TestClientsHaveHomes(t *testing.T) {
	t.Parallel()
	first := homes(newFleet(t, byClientID, one, two, three), 1000)
	again := homes(newFleet(t, byClientID, three, one, two), 1000) // as another vernegate may have them
	if !slices.Equal(first, again) {
		t.Error("the order of the brokers makes a difference")
	}
}

// Vernegates of different releases have to agree, so this table never changes.
func TestHomesStay(t *testing.T) {
	t.Parallel()
	f := newFleet(t, byClientID, one, two, three, four)
	for id, want := range map[string]string{
		"lamp":              two,
		"device-00001":      one,
		"device-00002":      two,
		"admin:efac3d":      one,
		"mqttjs_8f2b11c0":   one,
		"\u00e9\u4e16":      four,
		"a":                 one,
		"b":                 three,
		"0123456789abcdef0": one,
	} {
		if _, got := f.enter(id); got != want {
			t.Errorf("%q is at home at %s, want %s", id, got, want)
		}
	}
}

func TestOneMoreBrokerMovesAQuarter(t *testing.T) {
	t.Parallel()
	const n = 10_000
	before := homes(newFleet(t, byClientID, one, two, three), n)
	after := homes(newFleet(t, byClientID, one, two, three, four), n)
	moved, astray := 0, 0
	for i := range n {
		if before[i] != after[i] {
			moved++
			if after[i] != four {
				astray++
			}
		}
	}
	t.Logf("%d of %d clients moved, %d of them not to the new broker", moved, n, astray)
	if want := n / 4; math.Abs(float64(moved-want)) > 0.05*n {
		t.Errorf("%d of %d clients moved, want about %d", moved, n, want)
	}
	if astray > 0 {
		t.Errorf("%d clients moved between brokers that were there before", astray)
	}
}

func TestHomesAreSpread(t *testing.T) {
	t.Parallel()
	const brokers, clients = 10, 100_000
	var addrs []string
	for i := range brokers {
		addrs = append(addrs, fmt.Sprintf("10.0.0.%d:1883", i))
	}
	f := newFleet(t, byClientID, addrs...)
	homes(f, clients)
	var chi2 float64
	for _, s := range f.Status() {
		d := float64(s.Sessions) - clients/brokers
		chi2 += d * d / (clients / brokers)
	}
	t.Logf("chi-squared %.1f", chi2)
	if chi2 > 27.9 { // p = 0.001 with nine degrees of freedom
		t.Errorf("chi-squared is %.1f: the homes are not spread like chance would", chi2)
	}
}

func TestHomeIsNotOverloaded(t *testing.T) {
	t.Parallel()
	f := newFleet(t, byClientID, one, two, three)
	_, home := f.enter("lamp")
	for range 2999 {
		f.enter("lamp")
	}
	for _, s := range f.Status() {
		if s.Sessions > 1251 {
			t.Errorf("%s has %d sessions of 3000, want no more than a quarter above the average", s.Addr, s.Sessions)
		}
	}
	if got := f.status(home).Sessions; got < 1200 {
		t.Errorf("home %s has %d sessions of 3000, want as many as it may have", home, got)
	}
}

// A handful of sessions more than the average overloads nobody.
func TestFewClientsAllComeHome(t *testing.T) {
	t.Parallel()
	f := newFleet(t, byClientID, one, two, three)
	_, home := f.enter("lamp")
	for range 80 {
		if _, addr := f.enter("lamp"); addr != home {
			t.Fatalf("one of a few clients was sent to %s, away from home", addr)
		}
	}
}

func TestClientWithoutIDGoesWhereThereAreFewest(t *testing.T) {
	t.Parallel()
	f := newFleet(t, byClientID, one, two, three)
	for range 30 {
		f.enter("")
	}
	for _, s := range f.Status() {
		if s.Sessions != 10 {
			t.Errorf("%s has %d sessions of 30, want 10", s.Addr, s.Sessions)
		}
	}
}

func TestClientOfAnEjectedHomeHasASecondOne(t *testing.T) {
	t.Parallel()
	f := newFleet(t, byClientID, one, two, three)
	p, home := f.enter("lamp")
	second, _ := p.Next()
	p.Release()
	p, _ = f.enter("lamp")
	p.Unreachable(errRefused)
	p.Release()
	for range 3 {
		if _, addr := f.enter("lamp"); addr != second {
			t.Errorf("with %s ejected it is sent to %s, want %s", home, addr, second)
		}
	}
}
