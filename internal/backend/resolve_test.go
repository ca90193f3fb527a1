// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/internal/backend"
)

// inNamedBubble is inBubble with a name that stands for addresses and has been resolved.
func inNamedBubble(t *testing.T, addrs []string, test func(t *testing.T, f *fleet)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, nil, "vernemq:1883")
		f.setName("vernemq", addrs...)
		f.Resolve(t.Context())
		f.keep()
		test(t, f)
	})
}

func TestNameStandsForAllItsAddresses(t *testing.T) {
	inNamedBubble(t, []string{"192.0.2.2", "192.0.2.1"}, func(t *testing.T, f *fleet) {
		f.wantAddrs(one, two)
		f.wantState(one, backend.Up)
		f.wantState(two, backend.Up)
		if got := f.share(one, 100); got != 50 {
			t.Errorf("%s got %d of 100 sessions, want half", one, got)
		}
		if got := f.status(one).Name; got != "vernemq:1883" {
			t.Errorf("its name is %q, want vernemq:1883", got)
		}
	})
}

func TestAddressThatComesGetsSessionsSlowly(t *testing.T) {
	inNamedBubble(t, []string{"192.0.2.1"}, func(t *testing.T, f *fleet) {
		f.setName("vernemq", "192.0.2.1", "192.0.2.2")
		time.Sleep(10 * time.Second)
		f.wantState(two, backend.Returning)
		f.wantState(one, backend.Up)
		f.passTrial(two)
		if got := f.share(two, 1000); got > 110 {
			t.Errorf("a new broker got %d of 1000 sessions at once", got)
		}
		f.logs.wantCount(t, "backend's name resolved", 2)
	})
}

func TestAddressThatGoesKeepsItsSessions(t *testing.T) {
	inNamedBubble(t, []string{"192.0.2.1", "192.0.2.2"}, func(t *testing.T, f *fleet) {
		stays, addr := f.enter("")
		for addr != two {
			stays, addr = f.enter("")
		}
		f.setName("vernemq", "192.0.2.1")
		time.Sleep(10 * time.Second)
		if got := f.share(two, 100); got != 0 {
			t.Errorf("an address that is gone got %d new sessions", got)
		}
		if s := f.status(two); s.State != backend.Gone || s.Sessions == 0 {
			t.Errorf("got %+v, want it gone, with its session", s)
		}
		probes := len(f.probed(two))
		time.Sleep(time.Minute)
		if got := len(f.probed(two)); got > probes {
			t.Errorf("it was probed %d times after it had gone", got-probes)
		}
		stays.Succeeded(true)
		stays.Release()
		f.wantAddrs(one)
	})
}

// What a probe finds out about an address that has left meanwhile is nobody's concern.
func TestProbeOfAnAddressThatGoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f *fleet
		probes := 0
		f = newFleet(t, func(c *backend.Config) {
			c.Probe = func(ctx context.Context, addr string) error {
				if addr == one {
					return nil
				}
				if probes++; probes == 2 { // the one that would eject it
					f.setName("vernemq", "192.0.2.1")
					f.Resolve(t.Context())
				}
				return errRefused
			}
		}, "vernemq:1883")
		f.setName("vernemq", "192.0.2.1", "192.0.2.2")
		f.Resolve(t.Context())
		f.keep()
		for range 4 {
			f.enter("") // keeps it known
		}
		time.Sleep(time.Minute)
		f.wantState(two, backend.Gone)
		if probes != 2 {
			t.Errorf("probed %d times, want 2", probes)
		}
		f.logs.wantCount(t, "backend is ejected", 0)
	})
}

func TestAddressThatComesBackHasItsSessions(t *testing.T) {
	inNamedBubble(t, []string{"192.0.2.1", "192.0.2.2"}, func(t *testing.T, f *fleet) {
		for range 10 {
			f.enter("")
		}
		f.setName("vernemq", "192.0.2.1")
		time.Sleep(10 * time.Second)
		f.setName("vernemq", "192.0.2.1", "192.0.2.2")
		time.Sleep(10 * time.Second)
		if s := f.status(two); s.State != backend.Returning || s.Sessions != 5 {
			t.Errorf("got %+v, want it returning, with its 5 sessions", s)
		}
	})
}

func TestLastKnownAddressesAreKept(t *testing.T) {
	inNamedBubble(t, []string{"192.0.2.1", "192.0.2.2"}, func(t *testing.T, f *fleet) {
		f.setName("vernemq") // the DNS is down
		time.Sleep(time.Minute)
		f.wantAddrs(one, two)
		f.setName("vernemq", []string{}...) // or knows of no endpoint
		time.Sleep(time.Minute)
		f.wantAddrs(one, two)
		f.wantState(one, backend.Up)
		f.logs.wantCount(t, "resolving a backend's name failed", 1)
		f.setName("vernemq", "192.0.2.1", "192.0.2.2")
		time.Sleep(time.Minute)
		f.wantState(one, backend.Up)
		f.logs.wantCount(t, "resolving a backend's name failed", 1)
		f.logs.wantCount(t, "backend's name resolved", 2)
	})
}

func TestNameThatDoesNotResolveAtFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, nil, "vernemq:1883")
		f.Resolve(t.Context())
		f.keep()
		p := f.Lease("", "")
		if addr, ok := p.Next(); ok {
			t.Errorf("got %s, want none", addr)
		}
		if s := f.status("vernemq:1883"); s.State != backend.Unresolved || s.Detail != "no such host" {
			t.Errorf("got %+v, want it unresolved, and why", s)
		}
		time.Sleep(time.Minute)
		f.logs.wantCount(t, "resolving a backend's name failed", 1)
		f.setName("vernemq", "192.0.2.1")
		time.Sleep(2 * time.Second)
		f.wantAddrs(one)
		f.wantState(one, backend.Up)
		if addr, ok := p.Next(); !ok || addr != one {
			t.Errorf("got %q, want %s", addr, one)
		}
	})
}

func TestHangingResolverDoesNotHoldUpTheStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, func(c *backend.Config) {
			c.Lookup = func(ctx context.Context, _ string) ([]netip.Addr, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		}, "vernemq-0:1883", "vernemq-1:1883")
		began := time.Now()
		f.Resolve(t.Context())
		if got := time.Since(began); got != 5*time.Second {
			t.Errorf("took %v, want 5s for both", got)
		}
		f.wantAddrs("vernemq-0:1883", "vernemq-1:1883")
	})
}

func TestAddressesAreNotLookedUp(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		f.Resolve(t.Context())
		time.Sleep(time.Minute)
		if len(f.asked) > 0 {
			t.Errorf("asked for %v", f.asked)
		}
		f.wantAddrs(one, "[2001:db8::1]:1883")
	}, one, "[2001:db8::1]:1883", one)
}

// Pods with addresses of both families would be counted, and ejected, twice.
func TestOneFamilyIsEnough(t *testing.T) {
	inNamedBubble(t, []string{"2001:db8::1", "192.0.2.1", "::ffff:192.0.2.2", "2001:db8::2"}, func(t *testing.T, f *fleet) {
		f.wantAddrs(one, two)
		f.setName("vernemq", "2001:db8::1", "2001:db8::2")
		time.Sleep(10 * time.Second)
		f.wantAddrs("[2001:db8::1]:1883", "[2001:db8::2]:1883")
	})
}

// A pod of a StatefulSet is restarted with another address and the sessions it had.
func TestHomeMovesWithItsName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, byClientID, "vernemq-0:1883", "vernemq-1:1883", "vernemq-2:1883")
		f.setName("vernemq-0", "192.0.2.1")
		f.setName("vernemq-1", "192.0.2.2")
		f.setName("vernemq-2", "192.0.2.3")
		f.Resolve(t.Context())
		f.keep()
		p, addr := f.enter("lamp")
		home := f.status(addr).Name
		p.Release()
		host := home[:len("vernemq-0")]
		for _, now := range []string{"192.0.2.10", "192.0.2.11", "192.0.2.12", "192.0.2.13"} {
			f.setName(host, now)
			time.Sleep(10 * time.Second)
			p, addr = f.enter("lamp")
			p.Succeeded(true)
			p.Release()
			if want := now + ":1883"; addr != want {
				t.Errorf("with %s at %s, its client is sent to %s", home, want, addr)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestNamesWithTheSameAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, nil, "a:1883", "b:1883", one)
		f.setName("a", "192.0.2.1", "192.0.2.2")
		f.setName("b", "192.0.2.2")
		f.Resolve(t.Context())
		f.keep()
		f.wantAddrs(one, two)
		f.setName("a", "192.0.2.1")
		time.Sleep(10 * time.Second)
		f.wantAddrs(one, two)
		f.wantState(two, backend.Up)
	})
}
