// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certacl_test

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/certacl"
	"github.com/vernegate/vernegate/internal/pki"
)

const (
	ttl         = time.Minute
	negativeTTL = 5 * time.Second
	window      = 10 * time.Minute
	instant     = time.Nanosecond // the shortest time before an edge
)

var errDown = errors.New("certificate-acl is down")

// certificateACL is certificate-acl in memory: every fingerprint has the same
// owner, or none when that is empty. Its methods may be called at any time,
// also while a look-up takes its delay.
type certificateACL struct {
	mu    sync.Mutex
	owner string
	err   error
	delay time.Duration
	asked map[pki.Fingerprint]int
}

func (a *certificateACL) Lookup(ctx context.Context, fp pki.Fingerprint) (string, bool, error) {
	a.mu.Lock()
	if a.asked == nil {
		a.asked = make(map[pki.Fingerprint]int)
	}
	a.asked[fp]++
	delay := a.delay
	a.mu.Unlock()

	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return "", false, ctx.Err()
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.owner, a.owner != "" && a.err == nil, a.err
}

func (a *certificateACL) set(owner string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.owner, a.err = owner, err
}

func (a *certificateACL) setDelay(delay time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.delay = delay
}

// requests returns how often a was asked since the last call.
func (a *certificateACL) requests() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	sum := 0
	for n := range maps.Values(a.asked) {
		sum += n
	}
	clear(a.asked)
	return sum
}

// bubble runs f on a clock of its own. It fails when f leaves a goroutine
// behind, or waits for something that cannot happen.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Parallel()
	synctest.Test(t, f)
}

func newCache(acl *certificateACL) *certacl.Cache {
	return &certacl.Cache{Lookup: acl.Lookup, Size: 100, TTL: ttl, NegativeTTL: negativeTTL, StaleIfError: window}
}

func numbered(n int) (fp pki.Fingerprint) {
	binary.BigEndian.PutUint64(fp[:], uint64(n))
	return fp
}

// A reply is what certificate-acl says of fingerprint 0, or what a cache makes of it.
type reply struct {
	owner string // "" = nobody, unless err says otherwise
	err   error
}

var (
	lamp   = reply{owner: "admin:a1"}
	door   = reply{owner: "admin:a2"}
	nobody = reply{}
	down   = reply{err: errDown}
)

// wantReply asks for the owner of fingerprint 0, and wants certificate-acl to have
// been asked that many times.
func wantReply(t *testing.T, cache *certacl.Cache, acl *certificateACL, want reply, requests int) {
	t.Helper()
	owner, ok, err := cache.Owner(t.Context(), pki.Fingerprint{})
	if owner != want.owner || ok != (owner != "") || !errors.Is(err, want.err) {
		t.Errorf("got %q, %t, %v; want %q, %v", owner, ok, err, want.owner, want.err)
	}
	if got := acl.requests(); got != requests {
		t.Errorf("got %d requests, want %d", got, requests)
	}
}

// A step asks for the owner of fingerprint 0.
type step struct {
	after    time.Duration // the pause before it
	said     reply         // what certificate-acl says by then
	want     reply
	requests int // how often certificate-acl is asked
	outcome  certacl.Outcome
}

func TestMemory(t *testing.T) {
	t.Parallel()
	const (
		hit, negative, miss, stale, failed = certacl.OutcomeHit, certacl.OutcomeNegativeHit, certacl.OutcomeMiss,
			certacl.OutcomeStale, certacl.OutcomeFailed
		backOff = certacl.StaleBackOff
	)
	forgetful := []step{
		{0, lamp, lamp, 1, miss}, {0, lamp, lamp, 1, miss},
		{0, nobody, nobody, 1, miss}, {0, nobody, nobody, 1, miss},
		{0, down, down, 1, failed},
	}
	lostOwner := func(memory time.Duration) []step {
		return []step{{0, lamp, lamp, 1, miss}, {ttl, nobody, nobody, 1, miss}, {memory, down, down, 1, failed}}
	}
	withoutTTL := []step{
		{0, lamp, lamp, 1, miss}, {0, lamp, lamp, 1, miss},
		{window - instant, down, lamp, 1, stale}, {instant, down, down, 1, failed},
	}
	withoutWindow := []step{{0, lamp, lamp, 1, miss}, {ttl - instant, down, lamp, 0, hit}, {instant, down, down, 1, failed}}

	for name, test := range map[string]struct {
		change func(*certacl.Cache) // nil = the times above
		delay  time.Duration        // of each answer
		steps  []step
	}{
		"an owner is remembered for TTL": {nil, 0, []step{
			{0, lamp, lamp, 1, miss}, {ttl - instant, door, lamp, 0, hit}, {instant, door, door, 1, miss}, {0, door, door, 0, hit},
		}},
		"TTL counts from the answer": {nil, time.Second, []step{
			{0, lamp, lamp, 1, miss}, {ttl - instant, door, lamp, 0, hit}, {instant, door, door, 1, miss},
		}},
		"the absence of an owner is remembered for NegativeTTL": {nil, 0, []step{
			{0, nobody, nobody, 1, miss}, {negativeTTL - instant, lamp, nobody, 0, negative}, {instant, lamp, lamp, 1, miss},
		}},
		"an owner stands in for an error until StaleIfError is over": {nil, 0, []step{
			{0, lamp, lamp, 1, miss}, {ttl, down, lamp, 1, stale}, {window - instant, down, lamp, 1, stale}, {instant, down, down, 1, failed},
		}},
		"a stale owner gives way to an answer": {nil, 0, []step{
			{0, lamp, lamp, 1, miss}, {ttl, down, lamp, 1, stale}, {0, door, lamp, 0, stale}, {backOff, door, door, 1, miss}, {ttl - instant, lamp, door, 0, hit},
		}},
		// A device that lost its owner must not get it back because certificate-acl goes down next, whether or not the
		// loss itself is remembered.
		"the absence of an owner replaces a stale owner":        {nil, 0, lostOwner(negativeTTL)},
		"the absence of an owner replaces it without memory of": {func(c *certacl.Cache) { c.NegativeTTL = 0 }, 0, lostOwner(0)},
		"the absence of an owner does not stand in for an error": {nil, 0, []step{
			{0, nobody, nobody, 1, miss}, {negativeTTL - instant, down, nobody, 0, negative}, {instant, down, down, 1, failed},
		}},
		"a stale owner is not asked for during the back-off": {nil, certacl.DefaultTimeout, []step{
			{0, lamp, lamp, 1, miss},
			{ttl, down, lamp, 1, stale}, {0, down, lamp, 0, stale}, {backOff - instant, down, lamp, 0, stale},
			{instant, down, lamp, 1, stale}, {0, down, lamp, 0, stale}, {backOff - instant, down, lamp, 0, stale},
			{instant, down, lamp, 1, stale},
		}},
		"the back-off ends with the stale window": {nil, 0, []step{
			{0, lamp, lamp, 1, miss}, {ttl + window - backOff/2, down, lamp, 1, stale},
			{backOff/2 - instant, down, lamp, 0, stale}, {instant, down, down, 1, failed},
		}},
		// What counts is whether the owner is usable when the look-up fails, not when it began.
		"the stale window may end during the look-up": {nil, time.Second, []step{
			{0, lamp, lamp, 1, miss}, {ttl + window - time.Second, down, down, 1, failed},
		}},
		"an error is not remembered": {nil, 0, []step{{0, down, down, 1, failed}, {0, down, down, 1, failed}, {0, lamp, lamp, 1, miss}}},

		"no size":           {func(c *certacl.Cache) { c.Size = 0 }, 0, forgetful},
		"a negative size":   {func(c *certacl.Cache) { c.Size = -1 }, 0, forgetful},
		"no times":          {func(c *certacl.Cache) { c.TTL, c.NegativeTTL, c.StaleIfError = 0, 0, 0 }, 0, forgetful},
		"negative times":    {func(c *certacl.Cache) { c.TTL, c.NegativeTTL, c.StaleIfError = -1, -1, -1 }, 0, forgetful},
		"neither":           {func(c *certacl.Cache) { c.Size, c.TTL, c.NegativeTTL, c.StaleIfError = 0, 0, 0, 0 }, 0, forgetful},
		"a window, no TTL":  {func(c *certacl.Cache) { c.TTL = 0 }, 0, withoutTTL},
		"a negative TTL":    {func(c *certacl.Cache) { c.TTL = -time.Hour }, 0, withoutTTL},
		"a TTL, no window":  {func(c *certacl.Cache) { c.StaleIfError = 0 }, 0, withoutWindow},
		"a negative window": {func(c *certacl.Cache) { c.StaleIfError = -time.Hour }, 0, withoutWindow},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				acl := &certificateACL{delay: test.delay}
				cache := newCache(acl)
				if test.change != nil {
					test.change(cache)
				}
				for i, step := range test.steps {
					step.check(t, cache, acl)
					if t.Failed() {
						t.Fatalf("in step %d", i)
					}
				}
			})
		})
	}
}

// check takes the step. An answer that needs no request takes no time.
func (s step) check(t *testing.T, cache *certacl.Cache, acl *certificateACL) {
	t.Helper()
	time.Sleep(s.after)
	acl.set(s.said.owner, s.said.err)
	var outcome certacl.Outcome
	cache.Observe = func(o certacl.Outcome) { outcome += o }
	began := time.Now()
	wantReply(t, cache, acl, s.want, s.requests)
	if took, want := time.Since(began), time.Duration(s.requests)*acl.delay; took != want {
		t.Errorf("took %v, want %v", took, want)
	}
	if outcome != s.outcome {
		t.Errorf("observed %q, want %q", outcome, s.outcome)
	}
}

func TestOneLookupForAllWhoWait(t *testing.T) {
	answers := map[string]*certificateACL{
		"owner":    {owner: "admin:a1", delay: time.Second},
		"no owner": {delay: time.Second},
		"error":    {err: errDown, delay: time.Second},
	}
	for name, acl := range answers {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cache := &certacl.Cache{Lookup: acl.Lookup} // no help from memory
				var waiters sync.WaitGroup
				for range 5000 {
					waiters.Go(func() {
						owner, ok, err := cache.Owner(t.Context(), pki.Fingerprint{})
						if owner != acl.owner || ok != (owner != "") || err != acl.err {
							t.Errorf("got %q, %t, %v; want %q, %v", owner, ok, err, acl.owner, acl.err)
						}
					})
				}
				waiters.Wait()
				if got := acl.requests(); got != 1 {
					t.Errorf("got %d requests, want 1", got)
				}
			})
		})
	}
}

// Not in a bubble: the point is what really happens at the same time.
func TestNoAnswerSlipsBetweenMemoryAndLookup(t *testing.T) {
	t.Parallel()
	const fingerprints = 20_000
	acl := &certificateACL{owner: "admin:a1"}
	cache := newCache(acl)
	cache.Size = fingerprints
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for n := range fingerprints {
				if owner, ok, err := cache.Owner(t.Context(), numbered(n)); owner != "admin:a1" || !ok || err != nil {
					t.Errorf("got %q, %t, %v", owner, ok, err)
				}
			}
		})
	}
	callers.Wait()
	cache.Close()
	if got := acl.requests(); got != fingerprints {
		t.Errorf("got %d requests, want %d", got, fingerprints)
	}
}

func TestFingerprintsDoNotWaitForEachOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: "admin:a1", delay: time.Second}
		cache := newCache(acl)
		start := time.Now()
		var callers sync.WaitGroup
		for n := range 50 {
			callers.Go(func() {
				if _, ok, err := cache.Owner(t.Context(), numbered(n)); !ok || err != nil {
					t.Errorf("fingerprint %d: got %t, %v", n, ok, err)
				}
			})
		}
		callers.Wait()
		if got := time.Since(start); got != time.Second {
			t.Errorf("took %v, want 1s", got)
		}
		if got := acl.requests(); got != 50 {
			t.Errorf("got %d requests, want 50", got)
		}
	})
}

func TestWaiterLeavesTheLookupToOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: "admin:a1", delay: time.Second}
		cache := newCache(acl)
		start := time.Now()
		hurried, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		canceled, cancel := context.WithCancel(t.Context())
		time.AfterFunc(200*time.Millisecond, cancel)

		// The first of them begins the look-up.
		tests := []struct {
			ctx   context.Context
			err   error
			after time.Duration
		}{
			{canceled, context.Canceled, 200 * time.Millisecond},
			{hurried, context.DeadlineExceeded, 300 * time.Millisecond},
			{t.Context(), nil, time.Second},
		}
		var waiters sync.WaitGroup
		for _, test := range tests {
			waiters.Go(func() {
				owner, ok, err := cache.Owner(test.ctx, pki.Fingerprint{})
				if !errors.Is(err, test.err) || ok != (test.err == nil) || (owner == "admin:a1") != ok {
					t.Errorf("got %q, %t, %v; want error %v", owner, ok, err, test.err)
				}
				if got := time.Since(start); got != test.after {
					t.Errorf("waiter with error %v left after %v, want %v", test.err, got, test.after)
				}
			})
			synctest.Wait()
		}
		waiters.Wait()
		if got := acl.requests(); got != 1 {
			t.Errorf("got %d requests, want 1", got)
		}
	})
}

func TestLookupWithoutWaitersFillsMemory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: "admin:a1", delay: time.Second}
		cache := newCache(acl)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, ok, err := cache.Owner(ctx, pki.Fingerprint{}); ok || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %t, %v; want %v", ok, err, context.DeadlineExceeded)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		wantReply(t, cache, acl, lamp, 1)
	})
}

func TestStaleOwnerStandsInAtTheWaitersDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: "admin:a1"}
		cache := newCache(acl)
		defer cache.Close()
		wantReply(t, cache, acl, lamp, 1)
		time.Sleep(ttl)
		acl.setDelay(time.Hour)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if owner, ok, err := cache.Owner(ctx, pki.Fingerprint{}); owner != "admin:a1" || !ok || err != nil {
			t.Errorf("deadline: got %q, %t, %v; want the stale owner", owner, ok, err)
		}

		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if owner, ok, err := cache.Owner(ctx, pki.Fingerprint{}); owner != "" || ok || !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: got %q, %t, %v; want %v", owner, ok, err, context.Canceled)
		}

		ctx, cancel = context.WithTimeout(t.Context(), window)
		defer cancel()
		if owner, ok, err := cache.Owner(ctx, pki.Fingerprint{}); owner != "" || ok || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("deadline after the window: got %q, %t, %v; want %v", owner, ok, err, context.DeadlineExceeded)
		}
	})
}

func TestLeastRecentlyAskedForIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: "admin:a1"}
		cache := newCache(acl)
		cache.Size = 2
		for _, step := range []struct{ fingerprint, requests int }{
			{1, 1}, {2, 1}, {1, 0}, {3, 1}, // 2 makes room
			{1, 0}, {3, 0}, {2, 1}, // 1 makes room
			{3, 0}, {2, 0}, {1, 1},
		} {
			if _, ok, err := cache.Owner(t.Context(), numbered(step.fingerprint)); !ok || err != nil {
				t.Errorf("fingerprint %d: got %t, %v", step.fingerprint, ok, err)
			}
			if got := acl.requests(); got != step.requests {
				t.Errorf("fingerprint %d: got %d requests, want %d", step.fingerprint, got, step.requests)
			}
		}
	})
}

func TestLenIsWhatIsRemembered(t *testing.T) {
	t.Parallel()
	cache := newCache(&certificateACL{owner: "acme:lamp"})
	cache.Size = 3
	for n, want := range []int{1, 2, 3, 3} {
		if _, _, err := cache.Owner(t.Context(), numbered(n)); err != nil {
			t.Fatal(err)
		}
		if got := cache.Len(); got != want {
			t.Errorf("%d remembered after %d fingerprints, want %d", got, n+1, want)
		}
	}
	if got := new(certacl.Cache).Len(); got != 0 {
		t.Errorf("a zero Cache remembers %d", got)
	}
}

// An owner that is forgotten while it is asked for again still stands in.
func TestStaleOwnerOutlivesEviction(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: "admin:a1"}
		cache := newCache(acl)
		cache.Size = 1
		wantReply(t, cache, acl, lamp, 1)
		time.Sleep(ttl)
		acl.setDelay(time.Second)
		var waiter sync.WaitGroup
		waiter.Go(func() {
			if owner, ok, err := cache.Owner(t.Context(), pki.Fingerprint{}); owner != "admin:a1" || !ok || err != nil {
				t.Errorf("got %q, %t, %v; want the stale owner", owner, ok, err)
			}
		})
		synctest.Wait()
		acl.setDelay(0)
		if _, ok, err := cache.Owner(t.Context(), numbered(1)); !ok || err != nil {
			t.Errorf("got %t, %v", ok, err)
		}
		acl.set("", errDown)
		waiter.Wait()
	})
}

func TestAnswerOfNoLaterUseTakesNoRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: "admin:a1"}
		cache := newCache(acl)
		cache.Size, cache.NegativeTTL = 1, 0
		wantReply(t, cache, acl, lamp, 1)
		acl.set("", nil)
		if _, ok, err := cache.Owner(t.Context(), numbered(1)); ok || err != nil {
			t.Errorf("got %t, %v; want no owner", ok, err)
		}
		acl.requests()
		wantReply(t, cache, acl, lamp, 0)
	})
}

func TestLookupThatDoesNotReturnFreesItsWaiters(t *testing.T) {
	endings := map[string]func(){
		"panic":  func() { panic("no such\nowner") },
		"goexit": runtime.Goexit,
	}
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				acl := &certificateACL{owner: "admin:a1"}
				cache := newCache(acl)
				cache.Lookup = func(context.Context, pki.Fingerprint) (string, bool, error) {
					time.Sleep(time.Second)
					end()
					return "", false, nil
				}
				var waiters sync.WaitGroup
				for range 10 {
					waiters.Go(func() {
						owner, ok, err := cache.Owner(t.Context(), pki.Fingerprint{})
						if owner != "" || ok || err == nil {
							t.Errorf("got %q, %t, %v; want an error", owner, ok, err)
						}
					})
				}
				waiters.Wait()
				cache.Close()
			})
		})
	}
}

func TestPanicErrorTellsWhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cache := &certacl.Cache{Lookup: func(context.Context, pki.Fingerprint) (string, bool, error) {
			panic("no such\nowner")
		}}
		var told []*certacl.PanicError
		cache.Panicked = func(p *certacl.PanicError) { told = append(told, p) }
		_, _, err := cache.Owner(t.Context(), pki.Fingerprint{})
		panicked, ok := errors.AsType[*certacl.PanicError](err)
		if !ok {
			t.Fatalf("got %v, want a PanicError", err)
		}
		if want := `asking certificate-acl: panic: no such\u000aowner`; err.Error() != want {
			t.Errorf("got %s, want %s", err, want)
		}
		if !strings.Contains(string(panicked.Stack), "TestPanicErrorTellsWhere") {
			t.Errorf("the stack does not name the look-up:\n%s", panicked.Stack)
		}
		if len(told) != 1 || told[0] != panicked {
			t.Errorf("told of %v, want the one panic", told)
		}
	})
}

func TestCloseEndsLookups(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: "admin:a1"}
		cache := newCache(acl)
		wantReply(t, cache, acl, lamp, 1)
		acl.setDelay(time.Hour)
		var waiter sync.WaitGroup
		waiter.Go(func() {
			if _, ok, err := cache.Owner(t.Context(), numbered(1)); ok || !errors.Is(err, context.Canceled) {
				t.Errorf("got %t, %v; want %v", ok, err, context.Canceled)
			}
		})
		synctest.Wait()
		start := time.Now()
		cache.Close()
		waiter.Wait()
		if got := time.Since(start); got != 0 {
			t.Errorf("closing took %v", got)
		}

		acl.requests()
		wantReply(t, cache, acl, lamp, 0)
		time.Sleep(ttl)
		wantReply(t, cache, acl, reply{err: certacl.ErrClosed}, 0)
		cache.Close()
	})
}

func TestCloseWaitsForLookups(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cache := &certacl.Cache{Lookup: func(ctx context.Context, _ pki.Fingerprint) (string, bool, error) {
			<-ctx.Done()
			time.Sleep(time.Second) // to clean up after itself
			return "", false, ctx.Err()
		}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, _, _ = cache.Owner(ctx, pki.Fingerprint{}) // leaves the look-up behind
		start := time.Now()
		cache.Close()
		if got := time.Since(start); got != time.Second {
			t.Errorf("closing took %v, want 1s", got)
		}
	})
}

// What a connect costs when its owner is remembered, from many sessions at
// once.
func BenchmarkHit(b *testing.B) {
	const fingerprints = 100_000 // VERNEGATE_ACL_CACHE_SIZE's default
	acl := &certificateACL{owner: "admin:a1"}
	cache := newCache(acl)
	cache.Size, cache.TTL = fingerprints, 24*time.Hour
	for n := range fingerprints {
		if _, _, err := cache.Owner(b.Context(), numbered(n)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for n := 0; pb.Next(); n++ {
			if _, ok, _ := cache.Owner(b.Context(), numbered(n%fingerprints)); !ok {
				b.Error("not owned")
			}
		}
	})
}

// What a connect costs besides the request when its owner is not remembered:
// a goroutine, a flight, and an eviction.
func BenchmarkMiss(b *testing.B) {
	cache := &certacl.Cache{Size: 1000, TTL: ttl}
	cache.Lookup = func(context.Context, pki.Fingerprint) (string, bool, error) { return "admin:a1", true, nil }
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, ok, _ := cache.Owner(b.Context(), numbered(n)); !ok {
			b.Fatal("not owned")
		}
	}
}
