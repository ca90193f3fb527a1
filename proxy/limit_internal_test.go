// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
)

// Whatever is taken and given back in whatever order, no kind is ever above its limit, and nothing stays behind.
func TestKeyedLimiterKeepsToItsLimitAndForgets(t *testing.T) {
	t.Parallel()
	const limit, kinds = 3, 5
	limiter := keyedLimiter[int]{limit: limit}
	var taken []int
	for range 10_000 {
		if kind := rand.IntN(kinds); rand.IntN(2) == 0 {
			had := len(slices.DeleteFunc(slices.Clone(taken), func(k int) bool { return k != kind }))
			if got, want := limiter.acquire(kind), had < limit; got != want {
				t.Fatalf("with %d taken of %d: got %t, want %t", had, limit, got, want)
			} else if got {
				taken = append(taken, kind)
			}
		} else if len(taken) > 0 {
			i := rand.IntN(len(taken))
			limiter.release(taken[i])
			taken = slices.Delete(taken, i, i+1)
		}
	}
	for _, kind := range taken {
		limiter.release(kind)
	}
	if len(limiter.counts) > 0 {
		t.Errorf("got %v left, want nothing", limiter.counts)
	}
}

func TestKeyedLimiterWithoutALimitCountsNothing(t *testing.T) {
	t.Parallel()
	var limiter keyedLimiter[string]
	for range 10 {
		if !limiter.acquire("a") {
			t.Fatal("refused without a limit")
		}
	}
	limiter.release("a")
	if limiter.counts != nil {
		t.Errorf("got %v, want nothing counted", limiter.counts)
	}
}

func TestAddressesAreCountedByHost(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"192.0.2.7":                        "192.0.2.7/32",
		"2001:db8:1:2::7":                  "2001:db8:1:2::/64",
		"fe80::1":                          "fe80::/64",
		"2001:db8:1:2:ffff:ffff:ffff:ffff": "2001:db8:1:2::/64",
	} {
		if got := blockOf(netip.MustParseAddr(addr)); got.String() != want {
			t.Errorf("%s: got %v, want %s", addr, got, want)
		}
	}
}

// wait starts to enter in a bubble and returns once it waits, or is in.
func wait(ctx context.Context, places *prioritySemaphore, again bool) <-chan error {
	result := make(chan error, 1)
	go func() { result <- places.acquire(ctx, again) }()
	synctest.Wait()
	return result
}

func entered(result <-chan error) bool {
	synctest.Wait()
	select {
	case err := <-result:
		return err == nil
	default:
		return false
	}
}

func TestPrioritySemaphoreLetsInByOrderAndThoseThatWereInFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		places := newPrioritySemaphore(2)
		for range 2 {
			if !entered(wait(t.Context(), places, false)) {
				t.Fatal("a free place was not given")
			}
		}
		first, second := wait(t.Context(), places, false), wait(t.Context(), places, false)
		again, againSecond := wait(t.Context(), places, true), wait(t.Context(), places, true)
		for i, next := range []<-chan error{again, againSecond, first, second} {
			if len(next) > 0 {
				t.Errorf("number %d went in before its turn", i)
			}
			places.release()
			if !entered(next) {
				t.Errorf("number %d is not in though it is its turn", i)
			}
		}
		places.release()
		places.release()
		if places.free != 2 {
			t.Errorf("got %d free places, want 2", places.free)
		}
	})
}

func TestPrioritySemaphoreForgetsWhoHasGoneAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		places := newPrioritySemaphore(1)
		if !entered(wait(t.Context(), places, false)) {
			t.Fatal("a free place was not given")
		}
		ctx, cancel := context.WithCancel(t.Context())
		gone, next := wait(ctx, places, true), wait(t.Context(), places, false)
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
		places.release()
		if !entered(next) {
			t.Error("the place went to who has gone away")
		}
		places.release()
	})
}

// A place that is handed over at the very moment when who waits for it gives up is not lost.
func TestPrioritySemaphoreLosesNoPlace(t *testing.T) {
	t.Parallel()
	places := newPrioritySemaphore(1)
	for range 2000 {
		if err := places.acquire(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error)
		go func() { result <- places.acquire(ctx, true) }()
		go cancel()
		places.release()
		if <-result == nil {
			places.release()
		}
	}
	if places.free != 1 {
		t.Errorf("got %d free places, want 1", places.free)
	}
}
