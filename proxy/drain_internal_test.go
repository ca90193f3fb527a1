// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"testing"
	"time"
)

// A day times 200 000 sessions is more nanoseconds than a Duration holds.
func TestDrainIsEvenHoweverManySessionsThereAre(t *testing.T) {
	t.Parallel()
	const over, sessions = 24 * time.Hour, 200_000
	for i, want := range map[int]time.Duration{0: 0, sessions / 4: 6 * time.Hour, sessions / 2: 12 * time.Hour, sessions: over} {
		if got := share(over, i, sessions); got != want {
			t.Errorf("session %d of %d: got %v, want %v", i, sessions, got, want)
		}
	}
	if got, want := share(10, 2, 3), time.Duration(6); got != want {
		t.Errorf("got %d of 10 ns, want %d", got, want)
	}
}
