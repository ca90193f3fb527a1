// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/internal/backend"
)

var errOurs = errors.New("it does not serve us either")

// A client is what a pool asks whether a broker serves clients.
type client struct {
	mu    sync.Mutex
	takes time.Duration
	finds error
	asked []time.Duration // for which hold
}

func (c *client) ask(ctx context.Context, _ string, hold time.Duration) error {
	c.mu.Lock()
	c.asked = append(c.asked, hold)
	takes, finds := c.takes+hold, c.finds
	c.mu.Unlock()
	select {
	case <-time.After(takes):
		return finds
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *client) find(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finds = err
}

// wantAsked checks how often the client has been asked.
func (c *client) wantAsked(t *testing.T, want int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.asked) != want {
		t.Errorf("asked %d times, want %d", len(c.asked), want)
	}
}

// confirmed runs test with a fleet that asks a client of its own, in a time of its own.
func confirmed(t *testing.T, test func(t *testing.T, f *fleet, c *client)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &client{}
		f := newFleet(t, func(cfg *backend.Config) { cfg.Confirm = c.ask }, one, two)
		f.keep()
		test(t, f, c)
	})
}

// misfortunes are what a few clients can have happen to them at a broker, alone or together.
var misfortunes = map[backend.Reason]func(f *fleet){
	backend.Silent: func(f *fleet) {
		for range 3 {
			f.at(one, (*backend.Lease).Silent)
		}
	},
	backend.Unavailable: func(f *fleet) {
		for range 3 {
			f.at(one, (*backend.Lease).Unavailable)
		}
	},
	backend.Closed: func(f *fleet) { f.hangUp(one, "a", "b", "c") },
	backend.Reset: func(f *fleet) {
		for _, id := range []string{"a", "b", "c"} {
			f.drop(one, time.Second, id)
			time.Sleep(time.Millisecond) // those that end together count once
		}
	},
}

// eachMisfortune runs test for each of them, as confirmed does.
func eachMisfortune(t *testing.T, test func(t *testing.T, why backend.Reason, misfortune func(*fleet), f *fleet, c *client)) {
	t.Helper()
	for why, misfortune := range misfortunes {
		t.Run(string(why), func(t *testing.T) {
			confirmed(t, func(t *testing.T, f *fleet, c *client) { test(t, why, misfortune, f, c) })
		})
	}
}

// Whatever a few clients bring about, again and again: a broker that serves us stays, and we do not ask it without end.
func TestFewClientsEjectNoBroker(t *testing.T) {
	eachMisfortune(t, func(t *testing.T, why backend.Reason, misfortune func(*fleet), f *fleet, c *client) {
		began := time.Now()
		for time.Since(began) < time.Minute {
			misfortune(f)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(settleTime)
		synctest.Wait()
		if s := f.status(one); s.State != backend.Up || len(s.Ejections) != 0 {
			t.Errorf("got %+v, want it up and never ejected", s)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if n := len(c.asked); n == 0 || n > 7 {
			t.Errorf("asked the broker %d times in a minute, want once every 10 s at most", n)
		}
		if got := f.logs.with(t, "backend is kept: what happens to some clients does not happen to us"); len(got) != len(c.asked) || got[0]["why"] != string(why) {
			t.Errorf("logged %v", got)
		}
	})
}

// What happens to us as well is the broker's doing.
func TestBrokerThatDoesNotServeUsEitherIsEjected(t *testing.T) {
	eachMisfortune(t, func(t *testing.T, why backend.Reason, misfortune func(*fleet), f *fleet, c *client) {
		c.find(errOurs)
		misfortune(f)
		time.Sleep(settleTime + time.Millisecond)
		synctest.Wait()
		if s := f.status(one); s.Reason != why || s.Ejections[why] != 1 || s.Detail == "" {
			t.Errorf("got %+v, want it ejected for %s", s, why)
		}
	})
}

// A frozen broker, or one that is cut off from its cluster, can be dialed. It returns when it serves clients again.
func TestBrokerThatServesNobodyDoesNotReturn(t *testing.T) {
	eachMisfortune(t, func(t *testing.T, why backend.Reason, misfortune func(*fleet), f *fleet, c *client) {
		c.find(errOurs)
		misfortune(f)
		time.Sleep(settleTime + time.Millisecond)
		for range 600 {
			time.Sleep(time.Second)
			if s := f.status(one); s.State != backend.Ejected || s.Ejections[why] != 1 {
				t.Fatalf("got %+v, want it ejected once and for as long as it serves nobody", s)
			}
		}
		c.find(nil)
		time.Sleep(time.Minute)
		if s := f.status(one); s.State == backend.Ejected {
			t.Errorf("got %+v, want it back", s)
		}
	})
}

// A broker may serve everybody but us: an authentication plug-in hangs up on users that it does not know, say. That clients are served
// says more than that we are not.
func TestBrokerThatServesOthersReturns(t *testing.T) {
	t.Parallel()
	for why, misfortune := range misfortunes {
		for _, probeDecides := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, probe decides %t", why, probeDecides), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					c := &client{finds: errOurs}
					f := newFleet(t, func(cfg *backend.Config) { cfg.Confirm, cfg.ProbeDecides = c.ask, probeDecides }, one)
					f.keep()
					misfortune(f)
					time.Sleep(time.Minute)
					f.wantState(one, backend.Ejected)
					f.client(one, "well").Succeeded(true)
					time.Sleep(time.Minute)
					if s := f.status(one); s.State == backend.Ejected || s.Ejections[why] != 1 {
						t.Errorf("got %+v, want it back", s)
					}
				})
			})
		}
	}
}

// A session that is accepted says nothing of a broker that ends them, also while the word of its end has not come, and one that has
// lasted does.
func TestSessionOfAClientHasToLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &client{finds: errOurs}
		f := newFleet(t, func(cfg *backend.Config) { cfg.Confirm, cfg.ProbeDecides = c.ask, true }, one)
		f.keep()
		misfortunes[backend.Reset](f)
		time.Sleep(settleTime + time.Millisecond)
		for range 10 {
			f.drop(one, time.Second, "d")
			late := f.client(one, "e")
			late.Succeeded(true)
			time.Sleep(time.Second)
			at := time.Now()
			time.Sleep(10 * time.Second)
			late.Dropped(at)
			late.Release()
			short := f.client(one, "f")
			short.Succeeded(true)
			time.Sleep(settleTime) // the client has left before that
			short.Release()
			f.wantState(one, backend.Ejected)
		}
		l := f.client(one, "well")
		l.Succeeded(true)
		time.Sleep(settleTime + 10*time.Second)
		l.Release()
		time.Sleep(40 * time.Second)
		f.wantState(one, backend.Returning)
	})
}

// Likewise, such a broker is not ejected if clients are served while we ask.
func TestBrokerThatServesOthersStays(t *testing.T) {
	eachMisfortune(t, func(t *testing.T, why backend.Reason, misfortune func(*fleet), f *fleet, c *client) {
		c.find(errOurs)
		c.takes = time.Second
		misfortune(f)
		synctest.Wait()
		f.client(one, "well").Succeeded(true)
		time.Sleep(2 * time.Second)
		if why == backend.Reset { // of which the session says nothing so soon
			return
		}
		if s := f.status(one); s.State != backend.Up || len(s.Ejections) != 0 {
			t.Errorf("got %+v, want it up and never ejected", s)
		}
		f.logs.wantCount(t, "backend is kept: it serves other clients, if not ours", 1)
	})
}

// Where nobody comes any more who could show that: that it does not serve us tells something if it has served us before. Else it gets a
// trial from time to time.
func TestBrokerThatNeverServedUsIsTried(t *testing.T) {
	eachMisfortune(t, func(t *testing.T, why backend.Reason, misfortune func(*fleet), f *fleet, c *client) {
		c.find(errOurs)
		for n := range 3 {
			misfortune(f)
			time.Sleep(14 * time.Minute)
			if s := f.status(one); s.State != backend.Ejected || s.Ejections[why] != n+1 {
				t.Fatalf("got %+v, want it ejected for %s", s, why)
			}
			time.Sleep(2 * time.Minute)
			f.wantState(one, backend.Returning)
		}
		c.find(nil)
		misfortune(f)
		time.Sleep(time.Minute) // it serves us, and is kept
		want := backend.Returning
		if why == backend.Reset {
			want = backend.Up // our session has passed the trial
		}
		f.wantState(one, want)
		c.find(errOurs)
		misfortune(f)
		for range 120 {
			time.Sleep(time.Minute)
			f.wantState(one, backend.Ejected)
		}
	})
}

// A broker that takes sessions and ends them is found out by a session that lasts for as long as it has to.
func TestSessionOfOursHasToLast(t *testing.T) {
	confirmed(t, func(t *testing.T, f *fleet, c *client) {
		misfortunes[backend.Reset](f)
		synctest.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.asked) != 1 || c.asked[0] != settleTime {
			t.Errorf("asked for sessions of %v, want one of %v", c.asked, settleTime)
		}
	})
}

// A broker that is silent to us, too, is waited for no longer than for a client.
func TestSilenceIsConfirmedInTime(t *testing.T) {
	confirmed(t, func(t *testing.T, f *fleet, c *client) {
		c.takes = time.Hour
		misfortunes[backend.Silent](f)
		time.Sleep(4 * time.Second)
		f.wantState(one, backend.Up)
		time.Sleep(2 * time.Second)
		if s := f.status(one); s.Ejections[backend.Silent] != 1 {
			t.Errorf("got %+v, want it ejected", s)
		}
	})
}

// What no client can bring about needs no confirmation.
func TestDeadBrokerIsEjectedAtOnce(t *testing.T) {
	confirmed(t, func(t *testing.T, f *fleet, c *client) {
		f.refuse(one)
		f.wantState(one, backend.Ejected)
		f.at(two, func(l *backend.Lease) { l.HandshakeFailed(errRefused) })
		if s := f.status(two); s.State != backend.Ejected || s.Reason != backend.TLS {
			t.Errorf("got %+v, want it ejected for tls", s)
		}
		c.wantAsked(t, 0)
	})
}

// A broker that is ejected while we ask, for something else, is ejected once.
func TestConfirmationThatComesLateCountsForNothing(t *testing.T) {
	confirmed(t, func(t *testing.T, f *fleet, c *client) {
		c.find(errOurs)
		c.takes = time.Second
		misfortunes[backend.Closed](f)
		synctest.Wait()
		f.refuse(one)
		time.Sleep(5 * time.Second)
		if s := f.status(one); s.Ejections[backend.Closed] != 0 || s.Ejections[backend.Dial] != 1 {
			t.Errorf("got %v, want one ejection, for dial", s.Ejections)
		}
	})
}

// Sessions that end together are of a broker that was killed, which is found out by dialing it.
func TestSessionsThatEndTogetherNeedNoClientOfOurs(t *testing.T) {
	confirmed(t, func(t *testing.T, f *fleet, c *client) {
		var all []*backend.Lease
		for _, id := range []string{"a", "b", "c", "d"} {
			l := f.client(one, id)
			l.Succeeded(true)
			all = append(all, l)
		}
		time.Sleep(time.Second)
		for _, l := range all {
			l.Dropped(time.Now())
			l.Release()
		}
		synctest.Wait()
		c.wantAsked(t, 0)
	})
}

// Nor does one that has its session on trial end soon, again and again, keep everybody else from a broker that has returned.
func TestOneClientDoesNotRepeatATrialForEver(t *testing.T) {
	for name, test := range map[string]struct {
		finds error
		want  backend.State
	}{
		"broker is well":        {nil, backend.Up},
		"broker ends ours, too": {errOurs, backend.Ejected},
	} {
		t.Run(name, func(t *testing.T) {
			confirmed(t, func(t *testing.T, f *fleet, c *client) {
				f.refuse(one)
				time.Sleep(2 * time.Second) // a probe succeeds
				f.wantState(one, backend.Returning)
				c.find(test.finds)
				for range 15 { // for a minute
					if f.status(one).State == backend.Ejected {
						break
					}
					f.drop(one, 4*time.Second, "x")
				}
				f.wantState(one, test.want)
			})
		})
	}
}

// A broker that is on trial is no exception.
func TestOneClientDoesNotEndATrial(t *testing.T) {
	confirmed(t, func(t *testing.T, f *fleet, c *client) {
		f.refuse(one)
		time.Sleep(2 * time.Second) // a probe succeeds
		f.wantState(one, backend.Returning)
		f.at(one, (*backend.Lease).Silent)
		synctest.Wait()
		f.wantState(one, backend.Returning)
		c.wantAsked(t, 1)
		f.passTrial(one)
		time.Sleep(time.Minute)
		f.wantState(one, backend.Up)
	})
}
