// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certacl_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/certacl"
	"github.com/vernegate/vernegate/internal/pki"
)

// A create by a clock that is ahead and the delete after it are read again, as after a gap, when their times are over.
func TestADeleteCountsAlsoWhenItIsReadAgain(t *testing.T) {
	for name, pause := range map[string]time.Duration{"held": 10 * time.Second, "held no more": hold} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				acl := &certificateACL{}
				cache := newHoldingCache(acl)
				defer cache.Close()
				created := time.Now().Add(5 * time.Second)
				tell(t, cache, door, created, certacl.Counts)
				time.Sleep(2 * time.Second)
				deleted := time.Now()
				tell(t, cache, nobody, deleted, certacl.Counts)
				time.Sleep(pause)
				cache.Tell(pki.Fingerprint{}, door.owner, true, created)
				tell(t, cache, nobody, deleted, certacl.Counts)
				wantReply(t, cache, acl, nobody, 0)
			})
		})
	}
}

// A create by a clock that is ahead comes by another partition than the delete that followed it.
func TestACreateByAClockAheadDoesNotOvercomeADelete(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{}
		cache := newHoldingCache(acl)
		defer cache.Close()
		tell(t, cache, nobody, time.Now(), certacl.Counts)
		time.Sleep(10 * time.Millisecond)
		tell(t, cache, door, time.Now().Add(5*time.Second), certacl.Outdated)
		wantReply(t, cache, acl, nobody, 0)
	})
}

// Clocks that are kept in time differ by some milliseconds, and Kafka is that fast.
func TestAClockThatIsALittleAheadLeavesOthersInOrder(t *testing.T) {
	const ahead = 3 * time.Millisecond
	for pause, want := range map[time.Duration]certacl.Verdict{2 * ahead: certacl.Outdated, 2*ahead + instant: certacl.Counts} {
		t.Run(pause.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cache := newHoldingCache(&certificateACL{})
				defer cache.Close()
				tell(t, cache, nobody, time.Now().Add(ahead), certacl.Counts)
				time.Sleep(pause)
				tell(t, cache, door, time.Now().Add(ahead), want)
			})
		})
	}
}

// What a delete overcomes may have been the last change nevertheless: certificate-acl is asked as soon as it is not held any
// more, however long the absence of an owner is remembered.
func TestADeleteThatMayNotBeTheLastCountsForNoLongerThanItIsHeld(t *testing.T) {
	for name, follows := range map[string]func(*certacl.Cache){
		"create": func(c *certacl.Cache) { c.Tell(pki.Fingerprint{}, lamp.owner, true, time.Now()) },
		"doubt":  func(c *certacl.Cache) { c.Doubt(pki.Fingerprint{}, time.Now()) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				acl := &certificateACL{owner: lamp.owner}
				cache := newHoldingCache(acl)
				cache.NegativeTTL = time.Hour
				defer cache.Close()
				wantReply(t, cache, acl, lamp, 1)
				tell(t, cache, nobody, time.Now().Add(time.Second), certacl.Counts)
				follows(cache)
				time.Sleep(hold - instant)
				wantReply(t, cache, acl, nobody, 0)
				time.Sleep(instant)
				wantReply(t, cache, acl, lamp, 1)
			})
		})
	}
}

// An event is a change of fingerprint 0, at a time from now.
type event struct {
	says reply // down if that is in doubt
	in   time.Duration
}

// allEvents are those of clocks that are right and of some that are ahead, by seconds and by centuries.
func allEvents() (all []event) {
	for _, says := range []reply{nobody, lamp, door, down} {
		for _, in := range []time.Duration{-2 * time.Second, 0, 2 * time.Second, math.MaxInt64} {
			all = append(all, event{says, in})
		}
	}
	return all
}

// tellAll tells a cache of events, which happened in relation to since.
func tellAll(cache *certacl.Cache, since time.Time, events []event) {
	for _, e := range events {
		if e.says == down {
			cache.Doubt(pki.Fingerprint{}, since.Add(e.in))
		} else {
			cache.Tell(pki.Fingerprint{}, e.says.owner, e.says.owner != "", since.Add(e.in))
		}
	}
}

// toldOf returns what a cache answers without asking; down if it asks.
func toldOf(cache *certacl.Cache) reply {
	m, known := cache.Remembered(pki.Fingerprint{})
	if !known {
		return down
	}
	return reply{owner: m.Owner}
}

// permutations returns the orders in which events can come.
func permutations(events []event) (all [][]event) {
	if len(events) == 0 {
		return [][]event{nil}
	}
	for i, first := range events {
		for _, rest := range permutations(slices.Concat(events[:i], events[i+1:])) {
			all = append(all, append([]event{first}, rest...))
		}
	}
	return all
}

// subsets returns the sets of at most size events.
func subsets(events []event, size int) [][]event {
	all := [][]event{nil}
	if size > 0 {
		for i, e := range events {
			for _, rest := range subsets(events[i+1:], size-1) {
				all = append(all, append([]event{e}, rest...))
			}
		}
	}
	return all
}

// TestTheOrderOfArrivalMakesNoDifference has all sets of up to three events come in all orders, and be read again in all orders,
// later. If an owner counts in one case, then the same one in all of them: never where a delete could. It is not parallel, as it
// would take the processor from the tests of connections.
func TestTheOrderOfArrivalMakesNoDifference(t *testing.T) {
	for _, pause := range []time.Duration{5 * time.Second, hold} {
		t.Run(pause.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, events := range subsets(allEvents(), 3) {
					if err := sameInAllOrders(events, pause); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

// sameInAllOrders returns an error if an owner counts after one order of events, and something else after another.
func sameInAllOrders(events []event, pause time.Duration) error {
	came := make(map[reply][]event)
	for _, first := range permutations(events) {
		for _, again := range permutations(events) {
			cache, since := newHoldingCache(nil), time.Now()
			tellAll(cache, since, first)
			came[toldOf(cache)] = first
			time.Sleep(pause)
			tellAll(cache, since, again)
			came[toldOf(cache)] = slices.Concat(first, again)
		}
	}
	for counts := range came {
		if counts.owner != "" && len(came) > 1 {
			return fmt.Errorf("what counts depends on the order: %v", came)
		}
	}
	return nil
}

// TestAmongChangesByClocksThatAreRightTheLastCounts is for what a rule that asks about everything would pass.
func TestAmongChangesByClocksThatAreRightTheLastCounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		events := []event{{lamp, -3 * time.Second}, {nobody, -2 * time.Second}, {lamp, -1 * time.Second}, {door, 0}}
		for n := 1; n <= len(events); n++ {
			for _, arrival := range permutations(events[:n]) {
				cache := newHoldingCache(nil)
				tellAll(cache, time.Now(), arrival)
				if got, want := toldOf(cache), events[n-1].says; got != want {
					t.Errorf("%v: %v counts, want %v", arrival, got, want)
				}
			}
		}
	})
}
