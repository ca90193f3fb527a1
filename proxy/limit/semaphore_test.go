// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// wait starts to enter in a bubble and returns once it waits, or is in.
func wait(ctx context.Context, places *PrioritySemaphore, again bool) <-chan error {
	result := make(chan error, 1)
	go func() { result <- places.Acquire(ctx, again) }()
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
		places := NewPrioritySemaphore(2)
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
			places.Release()
			if !entered(next) {
				t.Errorf("number %d is not in though it is its turn", i)
			}
		}
		places.Release()
		places.Release()
		if places.free != 2 {
			t.Errorf("got %d free places, want 2", places.free)
		}
	})
}

func TestPrioritySemaphoreForgetsWhoHasGoneAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		places := NewPrioritySemaphore(1)
		if !entered(wait(t.Context(), places, false)) {
			t.Fatal("a free place was not given")
		}
		ctx, cancel := context.WithCancel(t.Context())
		gone, next := wait(ctx, places, true), wait(t.Context(), places, false)
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
		places.Release()
		if !entered(next) {
			t.Error("the place went to who has gone away")
		}
		places.Release()
	})
}

// A place that is handed over at the very moment when who waits for it gives up is not lost.
func TestPrioritySemaphoreLosesNoPlace(t *testing.T) {
	t.Parallel()
	places := NewPrioritySemaphore(1)
	for range 2000 {
		if err := places.Acquire(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error)
		go func() { result <- places.Acquire(ctx, true) }()
		go cancel()
		places.Release()
		if <-result == nil {
			places.Release()
		}
	}
	if places.free != 1 {
		t.Errorf("got %d free places, want 1", places.free)
	}
}
