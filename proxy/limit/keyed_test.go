// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Whatever is taken and given back in whatever order, no kind is ever above its limit, and nothing stays behind.
func TestKeyedKeepsToItsLimitAndForgets(t *testing.T) {
	t.Parallel()
	const limit, kinds = 3, 5
	limiter := Keyed[int]{Limit: limit}
	var taken []int
	for range 10_000 {
		if kind := rand.IntN(kinds); rand.IntN(2) == 0 {
			had := len(slices.DeleteFunc(slices.Clone(taken), func(k int) bool { return k != kind }))
			if got, want := limiter.Acquire(kind), had < limit; got != want {
				t.Fatalf("with %d taken of %d: got %t, want %t", had, limit, got, want)
			} else if got {
				taken = append(taken, kind)
			}
		} else if len(taken) > 0 {
			i := rand.IntN(len(taken))
			limiter.Release(taken[i])
			taken = slices.Delete(taken, i, i+1)
		}
	}
	for _, kind := range taken {
		limiter.Release(kind)
	}
	if len(limiter.counts) > 0 {
		t.Errorf("got %v left, want nothing", limiter.counts)
	}
}

func TestKeyedWithoutALimitCountsNothing(t *testing.T) {
	t.Parallel()
	var limiter Keyed[string]
	for range 10 {
		if !limiter.Acquire("a") {
			t.Fatal("refused without a limit")
		}
	}
	limiter.Release("a")
	if limiter.counts != nil {
		t.Errorf("got %v, want nothing counted", limiter.counts)
	}
}
