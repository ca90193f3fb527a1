// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/internal/backend"
)

// newsOf are what a lease can be told of a broker.
var newsOf = map[backend.Reason]func(*backend.Lease){
	backend.Dial:        func(p *backend.Lease) { p.Unreachable(errRefused) },
	backend.Silent:      (*backend.Lease).Silent,
	backend.Unavailable: (*backend.Lease).Unavailable,
}

func TestFailuresEject(t *testing.T) {
	t.Parallel()
	for why, failures := range map[backend.Reason]int{backend.Dial: 1, backend.Silent: 3, backend.Unavailable: 3} {
		t.Run(string(why), func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, nil, one, two)
			for range failures - 1 {
				f.at(one, newsOf[why])
			}
			f.wantState(one, backend.Up)
			f.at(one, newsOf[why])
			s := f.status(one)
			if s.State != backend.Ejected || s.Reason != why || s.Ejections[why] != 1 || s.NextTry.IsZero() {
				t.Errorf("got %+v, want it ejected for %s, once", s, why)
			}
			if got := f.share(one, 100); got != 0 {
				t.Errorf("an ejected broker got %d sessions", got)
			}
		})
	}
}

// One client that a broker does not answer must not take it away from all others.
func TestAnswersMakeUpForFailures(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil, one, two)
	for range 10 {
		f.at(one, (*backend.Lease).Silent)
		f.at(one, (*backend.Lease).Unavailable)
		f.answeredAt(one)
	}
	f.wantState(one, backend.Up)
}

func TestLocalErrorIsNotHeldAgainstABroker(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil, one, two)
	for _, err := range []error{syscall.EMFILE, syscall.EADDRNOTAVAIL, context.Canceled} {
		wrapped := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", err)}
		f.at(one, func(p *backend.Lease) { p.Unreachable(wrapped) })
	}
	f.wantState(one, backend.Up)
	f.at(one, func(p *backend.Lease) { p.Unreachable(context.DeadlineExceeded) })
	f.wantState(one, backend.Ejected)
}

func TestEjectedIsTheLastResort(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil, one, two)
	f.refuse(one)
	p, first := f.enter("")
	if first != two {
		t.Errorf("the first one is %s, want %s", first, two)
	}
	if second, ok := p.Next(); !ok || second != one {
		t.Errorf("after that comes %q, want %s", second, one)
	}
	p.Release()
	f.refuse(two)
	got := f.share(one, 100)
	if got != 50 {
		t.Errorf("with all ejected, %s got %d of 100 sessions, want half", one, got)
	}
}

func TestAnswerBringsAnEjectedBrokerBack(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil, one)
	p, _ := f.enter("") // before the ejection: says nothing about the time after
	f.refuse(one)
	p.Succeeded(true)
	f.wantState(one, backend.Ejected)
	f.answeredAt(one)
	f.wantState(one, backend.Returning)
}

// In a storm, hundreds find out the same thing a moment later. That is not a relapse, and no second ejection.
func TestOldNewsCountForNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		var late []*backend.Lease
		for range 40 {
			if p, addr := f.enter(""); addr == one {
				late = append(late, p)
			}
		}
		f.refuse(one)
		for _, p := range late[:10] {
			p.Silent()
		}
		time.Sleep(2 * time.Second) // a probe succeeds
		f.wantState(one, backend.Returning)
		for _, p := range late[10:] {
			p.Silent()
			p.Release()
		}
		f.wantState(one, backend.Returning)
		if got := f.status(one).Ejections; got[backend.Dial] != 1 || got[backend.Silent] != 0 {
			t.Errorf("got ejections %v, want the first alone", got)
		}
		f.logs.wantCount(t, "backend is ejected", 1)
	}, one, two)
}

func TestBackoffGrowsToABound(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		f.setDead(one, true)
		f.refuse(one)
		last := time.Now()
		time.Sleep(5 * time.Minute)
		want := time.Second
		for i, at := range f.probed(one) {
			pause := at.Sub(last)
			if pause < want*8/10 || pause > want*12/10 {
				t.Errorf("pause %d: got %v, want %v, a fifth more or less", i+1, pause, want)
			}
			last, want = at, min(2*want, 30*time.Second)
		}
		if got := len(f.probed(one)); got < 12 {
			t.Errorf("probed %d times in 5 minutes, want it to go on", got)
		}
		f.wantState(one, backend.Ejected)
		f.logs.wantCount(t, "backend is ejected", 1)
	}, one, two)
}

// returning ejects addr and lets it come back as far as the probe.
func (f *fleet) returning(addr string) {
	f.t.Helper()
	f.refuse(addr)
	time.Sleep(2 * time.Second)
	f.wantState(addr, backend.Returning)
}

func TestReturnBeginsWithATrial(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		f.returning(one)
		trial, addr := f.enter("")
		for addr != one {
			trial, addr = f.enter("")
		}
		if got := f.share(one, 100); got != 0 {
			t.Errorf("%d sessions beside the one on trial", got)
		}
		trial.Release() // without any news
		if got := f.share(one, 10); got == 0 {
			t.Error("no second trial after one that said nothing")
		}
		f.at(one, (*backend.Lease).Unavailable)
		f.wantState(one, backend.Ejected)
		if got := time.Until(f.status(one).NextTry); got < 1600*time.Millisecond {
			t.Errorf("next try after %v, want the back-off to have grown", got)
		}
	}, one, two)
}

func TestReturnIsSlow(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		for range 1000 {
			f.enter("") // least connections sends every new session to the other one
		}
		f.returning(one)
		f.passTrial(one)
		for i, want := range []int{100, 400, 700, 1000} { // after 0, 10, 20, 30 s
			if i > 0 {
				time.Sleep(10 * time.Second)
			}
			var here []*backend.Lease
			got := 0
			for range 1000 {
				if p, addr := f.enter(""); addr == one {
					got++
					p.Release()
				} else {
					here = append(here, p)
				}
			}
			for _, p := range here {
				p.Release()
			}
			if math.Abs(float64(got-want)) > 20 {
				t.Errorf("after %d s it got %d of 1000 sessions, want %d", 10*i, got, want)
			}
		}
		time.Sleep(15 * time.Second)
		f.wantState(one, backend.Up)
		f.logs.wantCount(t, "backend is ejected", 1)
		f.logs.wantCount(t, "backend is returning", 1)
		f.logs.wantCount(t, "backend has returned", 1)
	}, one, two)
}

func TestBrokerThatWasUpAgainStartsOver(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		f.setDead(one, true)
		f.refuse(one)
		time.Sleep(5 * time.Minute) // the back-off has grown
		f.setDead(one, false)
		time.Sleep(40 * time.Second)
		f.answeredAt(one)
		time.Sleep(time.Minute)
		f.wantState(one, backend.Up)
		f.refuse(one)
		if got := time.Until(f.status(one).NextTry); got > 1200*time.Millisecond {
			t.Errorf("next try after %v, want 1s, a fifth more or less", got)
		}
	}, one, two)
}

// Whoever is returning is better than nobody.
func TestReturningGetsAllWhenNobodyElseIsThere(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		f.returning(one)
		f.setDead(two, true)
		f.refuse(two)
		if got := f.share(one, 100); got != 100 {
			t.Errorf("got %d of 100 sessions, want all", got)
		}
	}, one, two)
}

func TestReturningClientsGoHomeSlowly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, byClientID, one, two)
		f.keep()
		f.returning(one)
		f.passTrial(one)
		got := 0
		for i := range 2000 { // of which 1000 are at home there
			p, addr := f.enter(fmt.Sprintf("device-%d", i))
			if addr == one {
				got++
			}
			p.Release()
		}
		if got < 80 || got > 120 {
			t.Errorf("got %d sessions, want a tenth of the 1000 that are at home", got)
		}
	})
}

func TestProbesEjectAndBringBack(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		f.setDead(one, true)
		time.Sleep(15 * time.Second)
		s := f.status(one)
		if s.State != backend.Ejected || s.Reason != backend.Health || s.Detail != errRefused.Error() {
			t.Errorf("got %+v, want it ejected for its health", s)
		}
		f.wantState(two, backend.Up)
		f.setDead(one, false)
		time.Sleep(5 * time.Second)
		f.wantState(one, backend.Returning)
	}, one, two)
}

func TestOneMissedProbeIsNoEjection(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		for len(f.probed(one)) < 3 {
			time.Sleep(time.Second)
		}
		for range 5 {
			f.setDead(one, true)
			for n := len(f.probed(one)); len(f.probed(one)) == n; {
				time.Sleep(100 * time.Millisecond)
			}
			f.setDead(one, false)
			time.Sleep(20 * time.Second)
		}
		f.logs.wantCount(t, "backend is ejected", 0)
	}, one, two)
}

// An answer tells nothing about what the probe asks: an operator who turns a node's health off wants no sessions there.
func TestAnswersDoNotMakeUpForProbes(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		f.setDead(one, true)
		for range 150 {
			time.Sleep(100 * time.Millisecond)
			if f.status(one).State == backend.Up {
				f.answeredAt(one)
			}
		}
		f.wantState(one, backend.Ejected)
	}, one, two)
}

func TestHangingProbeIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, func(c *backend.Config) {
			c.Probe = func(ctx context.Context, _ string) error {
				<-ctx.Done()
				return ctx.Err()
			}
		}, one)
		f.keep()
		time.Sleep(30 * time.Second) // 12 s at most, 5 s, 1.2 s, 5 s
		f.wantState(one, backend.Ejected)
	})
}

// A descriptor that is wanting here neither ejects a broker nor makes probes follow each other without a pause.
func TestProbeThatCouldNotBeMadeSaysNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		probes := 0
		f := newFleet(t, func(c *backend.Config) {
			c.Probe = func(context.Context, string) error { probes++; return syscall.EMFILE }
		}, one)
		f.keep()
		time.Sleep(time.Minute)
		synctest.Wait()
		f.wantState(one, backend.Up)
		if probes < 5 || probes > 8 {
			t.Errorf("%d probes in a minute, want one every 10 s", probes)
		}
	})
}

// A probe that was under way when the broker failed has seen what was before.
func TestProbeFromBeforeTheEjectionBringsNobodyBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan string)
		f := newFleet(t, func(c *backend.Config) {
			c.Probe = func(_ context.Context, addr string) error {
				asked <- addr
				time.Sleep(100 * time.Millisecond)
				return nil
			}
		}, one)
		f.keep()
		<-asked
		f.refuse(one)
		time.Sleep(200 * time.Millisecond)
		f.wantState(one, backend.Ejected)
		<-asked
		time.Sleep(200 * time.Millisecond)
		f.wantState(one, backend.Returning)
	})
}

// TestManyAtOnce is for the race detector, and for the count of sessions.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t, byClientID, one, two, "vernemq:1883")
	f.setName("vernemq", "192.0.2.3", "192.0.2.4")
	f.keep()
	var sessions sync.WaitGroup
	for i := range 8 {
		sessions.Go(func() {
			for j := range 2000 {
				p := f.Lease("acme:lamp", fmt.Sprintf("%d", i*j))
				for tries := 0; ; tries++ {
					if _, ok := p.Next(); !ok {
						break
					}
					news := []func(*backend.Lease){succeeded, (*backend.Lease).Silent, (*backend.Lease).Unavailable,
						func(p *backend.Lease) { p.Unreachable(errRefused) }, func(*backend.Lease) {}}
					news[(i+j+tries)%len(news)](p)
				}
				p.Release()
			}
		})
		sessions.Go(func() {
			for range 50 {
				f.setName("vernemq", "192.0.2.4", fmt.Sprintf("192.0.2.%d", 5+i))
				f.Resolve(t.Context())
				f.Status()
			}
		})
	}
	sessions.Wait()
	for _, s := range f.Status() {
		if s.Sessions != 0 {
			t.Errorf("%s is left with %d sessions", s.Addr, s.Sessions)
		}
		if s.State == backend.Gone {
			t.Errorf("%s is kept without a session", s.Addr)
		}
	}
}

func TestStatesAreWords(t *testing.T) {
	t.Parallel()
	for state, want := range map[backend.State]string{
		backend.Up: "up", backend.Returning: "returning", backend.Ejected: "ejected",
		backend.Gone: "gone", backend.Unresolved: "unresolved", 9: "State(9)",
	} {
		if got := state.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
