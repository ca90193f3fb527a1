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

// wantOwner asks for the owner of fingerprint 0, who is owner, or nobody when
// that is empty, and wants certificate-acl to have been asked that many times.
func wantOwner(t *testing.T, cache *certacl.Cache, acl *certificateACL, owner string, requests int) {
	t.Helper()
	got, ok, err := cache.Owner(t.Context(), pki.Fingerprint{})
	if got != owner || ok != (owner != "") || err != nil {
		t.Errorf("got %q, %t, %v; want %q", got, ok, err, owner)
	}
	if got := acl.requests(); got != requests {
		t.Errorf("got %d requests, want %d", got, requests)
	}
}

// wantError is wantOwner for an answer that cannot be told.
func wantError(t *testing.T, cache *certacl.Cache, acl *certificateACL, want error, requests int) {
	t.Helper()
	got, ok, err := cache.Owner(t.Context(), pki.Fingerprint{})
	if got != "" || ok || !errors.Is(err, want) {
		t.Errorf("got %q, %t, %v; want %v", got, ok, err, want)
	}
	if got := acl.requests(); got != requests {
		t.Errorf("got %d requests, want %d", got, requests)
	}
}

func TestOwnerIsRememberedForTTL(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: "admin:a1"}
		cache := newCache(acl)
		wantOwner(t, cache, acl, "admin:a1", 1)
		acl.set("admin:a2", nil)
		time.Sleep(ttl - instant)
		wantOwner(t, cache, acl, "admin:a1", 0)
		time.Sleep(instant)
		wantOwner(t, cache, acl, "admin:a2", 1)
		wantOwner(t, cache, acl, "admin:a2", 0)
	})
}

func TestTTLCountsFromTheAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: "admin:a1", delay: time.Second}
		cache := newCache(acl)
		wantOwner(t, cache, acl, "admin:a1", 1)
		time.Sleep(ttl - instant)
		wantOwner(t, cache, acl, "admin:a1", 0)
	})
}

func TestNoOwnerIsRememberedForNegativeTTL(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{}
		cache := newCache(acl)
		wantOwner(t, cache, acl, "", 1)
		acl.set("admin:a1", nil)
		time.Sleep(negativeTTL - instant)
		wantOwner(t, cache, acl, "", 0)
		time.Sleep(instant)
		wantOwner(t, cache, acl, "admin:a1", 1)
	})
}

func TestStaleOwnerStandsInForAnError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: "admin:a1"}
		cache := newCache(acl)
		wantOwner(t, cache, acl, "admin:a1", 1)
		acl.set("", errDown)
		time.Sleep(ttl)
		wantOwner(t, cache, acl, "admin:a1", 1)
		time.Sleep(window - instant)
		wantOwner(t, cache, acl, "admin:a1", 1)
		time.Sleep(instant)
		wantError(t, cache, acl, errDown, 1)
	})
}

func TestStaleOwnerGivesWayToAnAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: "admin:a1"}
		cache := newCache(acl)
		wantOwner(t, cache, acl, "admin:a1", 1)
		acl.set("", errDown)
		time.Sleep(ttl)
		wantOwner(t, cache, acl, "admin:a1", 1)
		acl.set("admin:a2", nil)
		time.Sleep(certacl.StaleBackOff)
		wantOwner(t, cache, acl, "admin:a2", 1)
		time.Sleep(ttl - instant)
		wantOwner(t, cache, acl, "admin:a2", 0)
	})
}

// A device that lost its owner must not get it back because certificate-acl
// goes down next, whether or not the loss itself is remembered.
func TestNoOwnerReplacesStaleOwner(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, negativeTTL := range []time.Duration{0, negativeTTL} {
			acl := &certificateACL{owner: "admin:a1"}
			cache := newCache(acl)
			cache.NegativeTTL = negativeTTL
			wantOwner(t, cache, acl, "admin:a1", 1)
			time.Sleep(ttl)
			acl.set("", nil)
			wantOwner(t, cache, acl, "", 1)
			acl.set("", errDown)
			time.Sleep(negativeTTL)
			wantError(t, cache, acl, errDown, 1)
		}
	})
}

func TestNoOwnerDoesNotStandInForAnError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{}
		cache := newCache(acl)
		wantOwner(t, cache, acl, "", 1)
		acl.set("", errDown)
		time.Sleep(negativeTTL - instant)
		wantOwner(t, cache, acl, "", 0)
		time.Sleep(instant)
		wantError(t, cache, acl, errDown, 1)
	})
}

func TestStaleOwnerIsNotAskedForDuringBackOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: "admin:a1"}
		cache := newCache(acl)
		wantOwner(t, cache, acl, "admin:a1", 1)
		time.Sleep(ttl)
		acl.set("", errDown)
		acl.setDelay(certacl.DefaultTimeout)

		for range 3 {
			start := time.Now()
			wantOwner(t, cache, acl, "admin:a1", 1)
			if got := time.Since(start); got != certacl.DefaultTimeout {
				t.Errorf("asking took %v, want %v", got, certacl.DefaultTimeout)
			}
			start = time.Now()
			wantOwner(t, cache, acl, "admin:a1", 0)
			time.Sleep(certacl.StaleBackOff - instant)
			wantOwner(t, cache, acl, "admin:a1", 0)
			if got := time.Since(start); got != certacl.StaleBackOff-instant {
				t.Errorf("a stale owner took %v", got-certacl.StaleBackOff+instant)
			}
			time.Sleep(instant)
		}
	})
}

func TestBackOffEndsWithTheStaleWindow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: "admin:a1"}
		cache := newCache(acl)
		wantOwner(t, cache, acl, "admin:a1", 1)
		acl.set("", errDown)
		time.Sleep(ttl + window - certacl.StaleBackOff/2)
		wantOwner(t, cache, acl, "admin:a1", 1)
		time.Sleep(certacl.StaleBackOff/2 - instant)
		wantOwner(t, cache, acl, "admin:a1", 0)
		time.Sleep(instant)
		wantError(t, cache, acl, errDown, 1)
	})
}

// What counts is whether the owner is usable when the look-up fails, not when
// it began.
func TestStaleWindowMayEndDuringTheLookup(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: "admin:a1"}
		cache := newCache(acl)
		wantOwner(t, cache, acl, "admin:a1", 1)
		acl.set("", errDown)
		acl.setDelay(time.Second)
		time.Sleep(ttl + window - time.Second)
		wantError(t, cache, acl, errDown, 1)
	})
}

func TestErrorIsNotRemembered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: "admin:a1", err: errDown}
		cache := newCache(acl)
		wantError(t, cache, acl, errDown, 1)
		wantError(t, cache, acl, errDown, 1)
		acl.set("admin:a1", nil)
		wantOwner(t, cache, acl, "admin:a1", 1)
	})
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
		wantOwner(t, cache, acl, "admin:a1", 1)
	})
}

func TestStaleOwnerStandsInAtTheWaitersDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: "admin:a1"}
		cache := newCache(acl)
		defer cache.Close()
		wantOwner(t, cache, acl, "admin:a1", 1)
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

// An owner that is forgotten while it is asked for again still stands in.
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

func TestStaleOwnerOutlivesEviction(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: "admin:a1"}
		cache := newCache(acl)
		cache.Size = 1
		wantOwner(t, cache, acl, "admin:a1", 1)
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

func TestZeroSwitchesMemoryOff(t *testing.T) {
	configurations := map[string]func(*certacl.Cache){
		"size":          func(c *certacl.Cache) { c.Size = 0 },
		"negative size": func(c *certacl.Cache) { c.Size = -1 },
		"times":         func(c *certacl.Cache) { c.TTL, c.NegativeTTL, c.StaleIfError = 0, 0, 0 },
		"negative times": func(c *certacl.Cache) {
			c.TTL, c.NegativeTTL, c.StaleIfError = -time.Hour, -time.Hour, -time.Hour
		},
		"all": func(c *certacl.Cache) { c.Size, c.TTL, c.NegativeTTL, c.StaleIfError = 0, 0, 0, 0 },
	}
	for name, configure := range configurations {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				acl := &certificateACL{owner: "admin:a1"}
				cache := newCache(acl)
				configure(cache)
				wantOwner(t, cache, acl, "admin:a1", 1)
				wantOwner(t, cache, acl, "admin:a1", 1)
				acl.set("", nil)
				wantOwner(t, cache, acl, "", 1)
				wantOwner(t, cache, acl, "", 1)
				acl.set("", errDown)
				wantError(t, cache, acl, errDown, 1)
			})
		})
	}
}

func TestStaleWindowWithoutTTL(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, off := range []time.Duration{0, -time.Hour} {
			acl := &certificateACL{owner: "admin:a1"}
			cache := newCache(acl)
			cache.TTL = off
			wantOwner(t, cache, acl, "admin:a1", 1)
			wantOwner(t, cache, acl, "admin:a1", 1)
			acl.set("", errDown)
			time.Sleep(window - instant)
			wantOwner(t, cache, acl, "admin:a1", 1)
			time.Sleep(instant)
			wantError(t, cache, acl, errDown, 1)
		}
	})
}

func TestTTLWithoutStaleWindow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, off := range []time.Duration{0, -time.Hour} {
			acl := &certificateACL{owner: "admin:a1"}
			cache := newCache(acl)
			cache.StaleIfError = off
			wantOwner(t, cache, acl, "admin:a1", 1)
			acl.set("", errDown)
			time.Sleep(ttl - instant)
			wantOwner(t, cache, acl, "admin:a1", 0)
			time.Sleep(instant)
			wantError(t, cache, acl, errDown, 1)
		}
	})
}

func TestAnswerOfNoLaterUseTakesNoRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: "admin:a1"}
		cache := newCache(acl)
		cache.Size, cache.NegativeTTL = 1, 0
		wantOwner(t, cache, acl, "admin:a1", 1)
		acl.set("", nil)
		if _, ok, err := cache.Owner(t.Context(), numbered(1)); ok || err != nil {
			t.Errorf("got %t, %v; want no owner", ok, err)
		}
		acl.requests()
		wantOwner(t, cache, acl, "admin:a1", 0)
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
		_, _, err := cache.Owner(t.Context(), pki.Fingerprint{})
		panicked, ok := errors.AsType[*certacl.PanicError](err)
		if !ok {
			t.Fatalf("got %v, want a PanicError", err)
		}
		if want := `asking certificate-acl: panic: "no such\nowner"`; err.Error() != want {
			t.Errorf("got %s, want %s", err, want)
		}
		if !strings.Contains(string(panicked.Stack), "TestPanicErrorTellsWhere") {
			t.Errorf("the stack does not name the look-up:\n%s", panicked.Stack)
		}
	})
}

func TestCloseEndsLookups(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: "admin:a1"}
		cache := newCache(acl)
		wantOwner(t, cache, acl, "admin:a1", 1)
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
		wantOwner(t, cache, acl, "admin:a1", 0)
		time.Sleep(ttl)
		wantError(t, cache, acl, certacl.ErrClosed, 0)
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

func TestEveryOutcomeIsObserved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{}
		cache := newCache(acl)
		var got []certacl.Outcome
		cache.Observe = func(outcome certacl.Outcome) { got = append(got, outcome) }
		steps := []struct {
			owner string
			err   error
			after time.Duration
			want  certacl.Outcome
		}{
			{"", errDown, 0, certacl.OutcomeFailed},
			{"", nil, 0, certacl.OutcomeMiss},
			{"", nil, 0, certacl.OutcomeNegativeHit},
			{"admin:a1", nil, negativeTTL, certacl.OutcomeMiss},
			{"admin:a1", nil, 0, certacl.OutcomeHit},
			{"", errDown, ttl, certacl.OutcomeStale},
			{"", errDown, 0, certacl.OutcomeStale},
			{"admin:a1", nil, certacl.StaleBackOff, certacl.OutcomeMiss},
			{"admin:a1", nil, 0, certacl.OutcomeHit},
			{"", errDown, ttl + window, certacl.OutcomeFailed},
		}
		for i, step := range steps {
			acl.set(step.owner, step.err)
			time.Sleep(step.after)
			_, _, _ = cache.Owner(t.Context(), pki.Fingerprint{})
			if len(got) != i+1 || got[i] != step.want {
				t.Fatalf("step %d: observed %q, want %q last", i, got, step.want)
			}
		}
		cache.Close()
		_, _, _ = cache.Owner(t.Context(), pki.Fingerprint{})
		if last := got[len(got)-1]; len(got) != len(steps)+1 || last != certacl.OutcomeFailed {
			t.Errorf("closed: observed %q, want %q last", got, certacl.OutcomeFailed)
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
