// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/internal/backend"
)

var errHungUp = errors.New("hung up on the CONNECT")

// client takes a lease for a client of its own that is at addr.
func (f *fleet) client(addr, id string) *backend.Lease {
	f.t.Helper()
	for range 1000 {
		l := f.Lease("acme:"+id, id)
		if got, _ := l.Next(); got == addr {
			return l
		}
		defer l.Release()
	}
	f.t.Fatalf("no session comes to %s", addr)
	return nil
}

// hangUp has a broker hang up on the CONNECTs of clients with these ids.
func (f *fleet) hangUp(addr string, ids ...string) {
	f.t.Helper()
	for _, id := range ids {
		l := f.client(addr, id)
		l.HungUp(errHungUp)
		l.Release()
	}
}

// drop has a broker accept the sessions of clients with these ids, and end each after a while.
func (f *fleet) drop(addr string, after time.Duration, ids ...string) {
	f.t.Helper()
	for _, id := range ids {
		l := f.client(addr, id)
		l.Succeeded(true)
		time.Sleep(after)
		l.Dropped(time.Now())
		l.Release()
	}
}

// A broker that waits for a PROXY header, which nobody sends, hangs up on everybody.
func TestHangingUpOnDifferentClientsEjects(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil, one, two)
	f.hangUp(one, "a", "a", "a", "a", "b", "b") // two clients may have themselves to blame
	f.wantState(one, backend.Up)
	f.answeredAt(one)
	f.hangUp(one, "c", "d")
	f.wantState(one, backend.Up)
	f.hangUp(one, "e")
	s := f.status(one)
	if s.State != backend.Ejected || s.Reason != backend.Closed || s.Detail != errHungUp.Error() || s.Ejections[backend.Closed] != 1 {
		t.Errorf("got %+v, want it ejected as %s, with the error", s, backend.Closed)
	}
}

func TestDroppingDifferentClientsEjects(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		f.drop(one, 2*time.Second, "a", "a", "a", "a", "b")
		f.wantState(one, backend.Up)
		f.drop(one, 5*time.Second, "c")
		s := f.status(one)
		if s.State != backend.Ejected || s.Reason != backend.Reset || s.Detail == "" {
			t.Errorf("got %+v, want it ejected as %s, with details", s, backend.Reset)
		}
	}, one, two)
}

// The clients of one owner may have the broker end each other's sessions, by using client ids in turn.
func TestDroppingClientsOfOneOwnerEjectsNobody(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil, one)
	for i := range 10 {
		l := f.Lease("acme:lamp", fmt.Sprint("lamp-", i))
		if _, ok := l.Next(); !ok {
			t.Fatal("there is no broker")
		}
		l.Succeeded(true)
		l.Dropped(time.Now())
		l.Release()
		f.wantState(one, backend.Up)
	}
}

// A client may keep what is left of its session for long, and so does the word of its end take long.
func TestDropsCountByTheTimeWhenTheyWere(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		for i := range 3 {
			l := f.client(one, fmt.Sprint(i))
			l.Succeeded(true)
			time.Sleep(time.Second)
			at := time.Now()
			time.Sleep(2 * settleTime)
			l.Dropped(at)
			l.Release()
		}
		f.wantState(one, backend.Ejected)
	}, one)
}

// A broker that was killed is ejected as soon as it is dialed, and not for having ended its sessions.
func TestSessionsThatEndTogetherCountOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		var sessions []*backend.Lease
		for i := range 20 {
			l := f.client(one, fmt.Sprint(i))
			l.Succeeded(true)
			sessions = append(sessions, l)
		}
		time.Sleep(time.Second)
		for _, l := range sessions {
			l.Dropped(time.Now())
			l.Release()
		}
		f.wantState(one, backend.Up)
	}, one)
}

// VerneMQ ends the session of a client that publishes what it must not: that is no reason to eject it.
func TestDropsDoNotCountAgainstABrokerThatKeepsOthers(t *testing.T) {
	for name, well := range map[string]func(f *fleet, i int){
		"a session that lasts": func(f *fleet, i int) {
			if i == 0 {
				f.client(one, "well").Succeeded(true)
				time.Sleep(settleTime)
			}
		},
		"sessions that clients end": func(f *fleet, i int) {
			l := f.client(one, "well")
			l.Succeeded(true)
			l.Release()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fleet) {
				for i := range 20 {
					well(f, i)
					f.drop(one, time.Second, fmt.Sprint(i))
				}
				f.wantState(one, backend.Up)
			}, one, two)
		})
	}
}

func TestLateEndOfASessionIsNoDrop(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		f.drop(one, settleTime, "a", "b", "c", "d")
		f.wantState(one, backend.Up)
	}, one, two)
}

// A refusal is no session that could be dropped.
func TestRefusedClientIsNotDropped(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil, one, two)
	for i := range 10 {
		l := f.client(one, fmt.Sprint(i))
		l.Succeeded(false)
		l.Dropped(time.Now())
		l.Release()
	}
	f.wantState(one, backend.Up)
}

// The early answers of a broker that has been restarted prove nothing: see settleTime.
func TestTrialLastsUntilASessionHasLasted(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		f.refuse(one)
		for range 1000 {
			f.enter("") // the other one gets more sessions
		}
		time.Sleep(2 * time.Second)
		f.wantState(one, backend.Returning)
		f.drop(one, 2*time.Second, "a", "b")
		trial := f.client(one, "c")
		trial.Succeeded(true)
		time.Sleep(settleTime - time.Second)
		if got := f.share(one, 100); got != 0 {
			t.Errorf("%d of 100 sessions beside the one on trial", got)
		}
		time.Sleep(time.Second)
		if got := f.share(one, 100); got < 5 || got > 20 {
			t.Errorf("got %d of 100 sessions after the trial, want a tenth of its share", got)
		}
	}, one, two)
}

func TestTrialHoldsAlthoughTheRestIsEjected(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		for _, addr := range []string{two, three} {
			f.setDead(addr, true)
			f.refuse(addr)
		}
		f.returning(one)
		trial := f.client(one, "trial")
		trial.Succeeded(true)
		l := f.Lease("acme:lamp", "late")
		seen := map[string]bool{}
		for addr, ok := l.Next(); ok; addr, ok = l.Next() {
			seen[addr] = true
		}
		if seen[one] || !seen[two] || !seen[three] {
			t.Errorf("beside the trial a session tried %v, want the ejected ones alone", seen)
		}
		time.Sleep(settleTime)
		if got := f.share(one, 100); got != 100 {
			t.Errorf("proven and alone it got %d of 100 sessions, want all", got)
		}
	}, one, two, three)
}

// There is no other broker whose sessions could be lost at this one.
func TestOnlyBrokerIsNotHeldToItsTrial(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		f.returning(one)
		f.client(one, "trial")
		if got := f.share(one, 100); got != 100 {
			t.Errorf("got %d of 100 sessions, want all", got)
		}
	}, one)
}

func TestReturnHasTheOthersProbedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		all := []string{one, two, three}
		for _, addr := range all {
			f.setDead(addr, true)
			f.refuse(addr)
		}
		time.Sleep(time.Minute) // the back-offs have grown
		f.setDead(one, false)
		f.setDead(two, false)
		for f.status(one).State != backend.Returning && f.status(two).State != backend.Returning {
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		f.wantState(one, backend.Returning)
		f.wantState(two, backend.Returning)
		f.wantState(three, backend.Ejected)
		f.setDead(three, false)
		time.Sleep(2 * time.Second) // it may follow soon
		f.wantState(three, backend.Returning)
	}, one, two, three)
}

func TestProbesThatDecideAloneBringBack(t *testing.T) {
	for name, test := range map[string]struct {
		decides bool
		eject   func(f *fleet)
		want    backend.State
	}{
		"ejected by probes": {false, func(f *fleet) { time.Sleep(15 * time.Second) }, backend.Ejected},
		"where they decide": {true, func(f *fleet) { f.refuse(one) }, backend.Ejected},
		"where they do not": {false, func(f *fleet) { f.refuse(one) }, backend.Returning},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, func(c *backend.Config) { c.ProbeDecides = test.decides }, one)
				f.keep()
				f.setDead(one, true)
				test.eject(f)
				f.wantState(one, backend.Ejected)
				f.answeredAt(one) // as a last resort
				f.wantState(one, test.want)
				f.setDead(one, false)
				time.Sleep(40 * time.Second)
				if got := f.status(one).State; got == backend.Ejected {
					t.Errorf("it is %v after a probe that succeeded", got)
				}
			})
		})
	}
}
