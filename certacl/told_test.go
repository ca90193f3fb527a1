// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certacl_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/vernegate/vernegate/certacl"
	"github.com/vernegate/vernegate/internal/pki"
)

const (
	hold  = 30 * time.Second
	order = 10 * time.Minute
)

func newHoldingCache(acl *certificateACL) *certacl.Cache {
	cache := newCache(acl)
	cache.Hold, cache.Order = hold, order
	return cache
}

// tell tells a cache of fingerprint 0, and wants a verdict.
func tell(t *testing.T, cache *certacl.Cache, said reply, at time.Time, want certacl.Verdict) {
	t.Helper()
	if got := cache.Tell(pki.Fingerprint{}, said.owner, said.owner != "", at); got != want {
		t.Errorf("Tell(%q) = %v, want %v", said.owner, got, want)
	}
}

func TestWhatIsToldOverrulesCertificateACLForAWhile(t *testing.T) {
	for name, row := range map[string]struct{ before, told reply }{
		"delete":       {lamp, nobody},
		"update":       {lamp, door},
		"create":       {nobody, lamp},
		"same owner":   {lamp, lamp},
		"not known of": {before: reply{err: errDown}, told: door},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				acl := &certificateACL{owner: row.before.owner, err: row.before.err}
				cache := newHoldingCache(acl)
				defer cache.Close()
				wantReply(t, cache, acl, row.before, 1)

				tell(t, cache, row.told, time.Now(), certacl.Counts)
				wantReply(t, cache, acl, row.told, 0)
				time.Sleep(hold - instant)
				wantReply(t, cache, acl, row.told, 0)
			})
		})
	}
}

func TestCertificateACLHasTheLastWord(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: lamp.owner}
		cache := newHoldingCache(acl)
		defer cache.Close()
		wantReply(t, cache, acl, lamp, 1)
		tell(t, cache, nobody, time.Now(), certacl.Counts)
		time.Sleep(hold)
		wantReply(t, cache, acl, lamp, 1) // the event was none of certificate-acl's
	})
}

func TestToldOwnerHasATTLOnceItIsKnown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: lamp.owner}
		cache := newHoldingCache(acl)
		defer cache.Close()
		wantReply(t, cache, acl, lamp, 1)
		tell(t, cache, door, time.Now(), certacl.Counts)
		acl.set("", errDown)
		time.Sleep(ttl - instant)
		wantReply(t, cache, acl, door, 0)
		time.Sleep(instant)
		wantReply(t, cache, acl, door, 1) // stale, as asking fails
	})
}

func TestALaterEventCounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: lamp.owner}
		cache := newHoldingCache(acl)
		defer cache.Close()
		tell(t, cache, nobody, time.Now(), certacl.Counts)
		time.Sleep(time.Second)
		tell(t, cache, door, time.Now(), certacl.Counts)
		wantReply(t, cache, acl, door, 0)
	})
}

// Events of one certificate come by the partitions of its owners.
func TestAnEarlierEventThatComesLaterDoesNotCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: lamp.owner}
		cache := newHoldingCache(acl)
		defer cache.Close()
		created := time.Now()
		tell(t, cache, door, created, certacl.Counts)
		tell(t, cache, nobody, created.Add(-time.Millisecond), certacl.Outdated)
		wantReply(t, cache, acl, door, 0)
		tell(t, cache, nobody, created, certacl.Counts) // of two at once, the one that comes last
		wantReply(t, cache, acl, nobody, 0)
	})
}

// A partition that was away brings what has happened long before what came meanwhile by another one. What has
// overruled certificate-acl then is over by that time, or an operator has forgotten it.
func TestAnEarlierEventDoesNotCountLongAfter(t *testing.T) {
	for name, since := range map[string]func(*certacl.Cache){
		"held no more": func(*certacl.Cache) { time.Sleep(hold) },
		"longest":      func(*certacl.Cache) { time.Sleep(order - 2*time.Second) },
		"forgotten":    func(c *certacl.Cache) { c.Forget(pki.Fingerprint{}) },
		"all":          func(c *certacl.Cache) { c.ForgetAll() },
		"in doubt":     func(c *certacl.Cache) { time.Sleep(instant); c.Doubt(pki.Fingerprint{}, time.Now()) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				acl := &certificateACL{}
				cache := newHoldingCache(acl)
				defer cache.Close()
				created := time.Now()
				time.Sleep(time.Second)
				tell(t, cache, nobody, time.Now(), certacl.Counts)
				since(cache)
				wantReply(t, cache, acl, nobody, 1)
				tell(t, cache, lamp, created, certacl.Outdated)
				if cache.Doubt(pki.Fingerprint{}, created) {
					t.Error("an earlier doubt counts")
				}
				wantReply(t, cache, acl, nobody, 0)
				time.Sleep(instant)
				tell(t, cache, lamp, time.Now(), certacl.Counts)
				wantReply(t, cache, acl, lamp, 0)
			})
		})
	}
}

// TestTimesThatAreStillToCome has a change come from a clock that is 3 s ahead, and a second later another one.
func TestTimesThatAreStillToCome(t *testing.T) {
	const ahead = 3 * time.Second
	for name, row := range map[string]struct {
		first, second reply
		after         time.Duration // that the second one is timed at, from the first
		want          certacl.Verdict
		then          reply
		asked         int
	}{
		"create after delete":             {nobody, door, time.Second, certacl.Outdated, nobody, 0},
		"delete after create":             {door, nobody, time.Second, certacl.Counts, nobody, 0},
		"create and delete at once":       {nobody, door, 0, certacl.Outdated, nobody, 0},
		"create before delete":            {nobody, door, -instant, certacl.Outdated, nobody, 0},
		"delete before create":            {door, nobody, -instant, certacl.Counts, nobody, 0},
		"two owners":                      {door, lamp, -instant, certacl.Unclear, lamp, 1},
		"the same owner":                  {door, door, -instant, certacl.Counts, door, 0},
		"two owners, far enough apart":    {door, lamp, -2*ahead - instant, certacl.Outdated, door, 0},
		"two owners, barely too close":    {door, lamp, -2 * ahead, certacl.Unclear, lamp, 1},
		"delete long before create":       {door, nobody, -2*ahead - instant, certacl.Outdated, door, 0},
		"delete before it came":           {door, nobody, -2 * ahead, certacl.Counts, nobody, 0},
		"delete by a clock that is right": {door, nobody, time.Second - ahead, certacl.Counts, nobody, 0},
		"create by a clock that is right": {nobody, door, time.Second - ahead, certacl.Outdated, nobody, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				acl := &certificateACL{owner: lamp.owner}
				cache := newHoldingCache(acl)
				defer cache.Close()
				at := time.Now().Add(ahead)
				tell(t, cache, row.first, at, certacl.Counts)
				time.Sleep(time.Second)
				tell(t, cache, row.second, at.Add(row.after), row.want)
				wantReply(t, cache, acl, row.then, row.asked)
			})
		})
	}
}

// TestAClockThatIsFarAheadHasNotTheLastWord: what another clock says after that is asked for, and no longer than Order.
func TestAClockThatIsFarAheadHasNotTheLastWord(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: lamp.owner}
		cache := newHoldingCache(acl)
		defer cache.Close()
		tell(t, cache, nobody, time.Now().AddDate(1, 0, 0), certacl.Counts)
		time.Sleep(time.Second)
		if cache.Doubt(pki.Fingerprint{}, time.Now()) {
			t.Error("it is nobody's, and in doubt")
		}
		tell(t, cache, door, time.Now(), certacl.Outdated)
		wantReply(t, cache, acl, nobody, 0)
		time.Sleep(hold)
		tell(t, cache, door, time.Now(), certacl.Unclear)
		wantReply(t, cache, acl, lamp, 1)
		if !cache.Doubt(pki.Fingerprint{}, time.Now()) {
			t.Error("it is not in doubt")
		}
		wantReply(t, cache, acl, lamp, 1)
		tell(t, cache, nobody, time.Now(), certacl.Counts)
		wantReply(t, cache, acl, nobody, 0)
		time.Sleep(order)
		tell(t, cache, door, time.Now(), certacl.Counts)
		wantReply(t, cache, acl, door, 0)
	})
}

// TestDoubtIsAskedForAgainSoon: certificate-acl may learn of a change later than the cache.
func TestDoubtIsAskedForAgainSoon(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: lamp.owner}
		cache := newHoldingCache(acl)
		defer cache.Close()
		want := func(owner string, doubt error, asked int) {
			t.Helper()
			got, ok, err := cache.CurrentOwner(t.Context(), pki.Fingerprint{})
			if got != owner || ok != (owner != "") || err != doubt {
				t.Errorf("got %q, %t and %v, want %q and %v", got, ok, err, owner, doubt)
			}
			if n := acl.requests(); n != asked {
				t.Errorf("certificate-acl was asked %d times, want %d", n, asked)
			}
		}
		want(lamp.owner, nil, 1)
		cache.Doubt(pki.Fingerprint{}, time.Now())
		want(lamp.owner, certacl.ErrDoubtful, 1)
		want(lamp.owner, certacl.ErrDoubtful, 0)
		acl.set(door.owner, nil)
		time.Sleep(certacl.StaleBackOff)
		want(door.owner, certacl.ErrDoubtful, 1)
		time.Sleep(hold - certacl.StaleBackOff)
		want(door.owner, nil, 1)
		time.Sleep(ttl - instant)
		want(door.owner, nil, 0)

		cache.Doubt(pki.Fingerprint{}, time.Now())
		time.Sleep(instant)
		tell(t, cache, lamp, time.Now(), certacl.Counts)
		want(lamp.owner, nil, 0)
	})
}

// An askedBefore answers what was true when it was asked.
type askedBefore struct {
	mu    sync.Mutex
	owner string
	asked int
	delay time.Duration
}

func (a *askedBefore) Lookup(ctx context.Context, _ pki.Fingerprint) (string, bool, error) {
	a.mu.Lock()
	owner := a.owner
	a.asked++
	a.mu.Unlock()
	select {
	case <-time.After(a.delay):
		return owner, owner != "", nil
	case <-ctx.Done():
		return "", false, ctx.Err()
	}
}

func (a *askedBefore) set(owner string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.owner = owner
}

// TestAnAnswerThatIsUnderWayIsOvertaken has a caller wait for an answer while things change.
func TestAnAnswerThatIsUnderWayIsOvertaken(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*certacl.Cache)
		want   string
		after  time.Duration // of the answer, from the first question on
	}{
		"told delete": {func(c *certacl.Cache) { c.Tell(pki.Fingerprint{}, "", false, time.Now()) }, "", time.Second},
		"told update": {func(c *certacl.Cache) { c.Tell(pki.Fingerprint{}, "admin:a3", true, time.Now()) }, "admin:a3", time.Second},
		"forgotten":   {func(c *certacl.Cache) { c.Forget(pki.Fingerprint{}) }, "admin:a2", 4 * time.Second},
		"owner":       {func(c *certacl.Cache) { c.ForgetOwner("admin:a1") }, "admin:a2", 4 * time.Second},
		"all":         {func(c *certacl.Cache) { c.ForgetAll() }, "admin:a2", 4 * time.Second},
		"outdated":    {func(c *certacl.Cache) { c.Outdate() }, "admin:a2", 4 * time.Second},
		"of another":  {func(c *certacl.Cache) { c.Forget(numbered(1)) }, "admin:a1", 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				acl := &askedBefore{owner: "admin:a1", delay: 3 * time.Second}
				cache := &certacl.Cache{Lookup: acl.Lookup, Size: 10, TTL: ttl, NegativeTTL: negativeTTL, StaleIfError: window, Hold: hold}
				defer cache.Close()
				begin := time.Now()
				var waiting sync.WaitGroup
				for range 2 {
					waiting.Go(func() {
						owner, _, err := cache.Owner(t.Context(), pki.Fingerprint{})
						if owner != row.want || err != nil || time.Since(begin) != row.after {
							t.Errorf("got %q, %v after %v; want %q after %v", owner, err, time.Since(begin), row.want, row.after)
						}
					})
				}
				time.Sleep(time.Second)
				acl.set("admin:a2")
				row.change(cache)
				waiting.Wait()
			})
		})
	}
}

// TestOvertakenQuestionKeepsItsDeadline has changes come for as long as a caller waits.
func TestOvertakenQuestionKeepsItsDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &askedBefore{owner: "admin:a1", delay: 3 * time.Second}
		cache := &certacl.Cache{Lookup: acl.Lookup, Size: 10, TTL: ttl}
		defer cache.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var changing sync.WaitGroup
		defer changing.Wait()
		changing.Go(func() {
			for ctx.Err() == nil {
				time.Sleep(time.Second)
				cache.Forget(pki.Fingerprint{})
			}
		})
		begin := time.Now()
		if _, _, err := cache.Owner(ctx, pki.Fingerprint{}); err == nil || time.Since(begin) != 10*time.Second {
			t.Errorf("got %v after %v, want an error after 10s", err, time.Since(begin))
		}
	})
}

// TestEventsOfStrangersPushNobodyOut tells of more certificates than there is room for.
func TestEventsOfStrangersPushNobodyOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: lamp.owner}
		cache := newHoldingCache(acl)
		defer cache.Close()
		wantReply(t, cache, acl, lamp, 1)
		for n := range 1000 {
			cache.Tell(numbered(n+1), "admin:b", true, time.Now())
		}
		wantReply(t, cache, acl, lamp, 0)
		if m, ok := cache.Remembered(numbered(1000)); !ok || !m.Told {
			t.Errorf("what was told last is not remembered: %+v", m)
		}
		if m, ok := cache.Remembered(numbered(900)); ok {
			t.Errorf("there is room for 100, and this is still remembered: %+v", m)
		}
	})
}
