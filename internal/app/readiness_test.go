// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"testing"
	"time"
)

func TestReadinessTellsTheLatestReason(t *testing.T) {
	t.Parallel()
	var r readiness
	if err := r.err(); err != nil {
		t.Errorf("a zero readiness is not ready: %v", err)
	}
	for _, reason := range []error{errNoGeneration, nil, errShuttingDown} {
		r.set(reason)
		if got := r.err(); !errors.Is(got, reason) {
			t.Errorf("got %v, want %v", got, reason)
		}
	}
}

func TestWhatIsMissingForAWhileMakesUnready(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	var never time.Time
	for _, row := range []struct {
		usedUp, noBroker time.Time
		want             string // "" = ready
	}{
		{never, never, ""},
		{never, now.Add(-29 * time.Second), ""},
		{never, now.Add(-30 * time.Second), "no broker has been up for 30s"},
		{now.Add(-29 * time.Second), never, ""},
		{now.Add(-90 * time.Second), never, "file descriptors have been used up for 1m30s"},
		{now.Add(-time.Hour), now.Add(-time.Minute), "no broker has been up for 1m0s"},
	} {
		got := ""
		if err := missing(now, row.usedUp, row.noBroker); err != nil {
			got = err.Error()
		}
		if got != row.want {
			t.Errorf("used up since %v, no broker since %v: got %q, want %q", row.usedUp, row.noBroker, got, row.want)
		}
	}
}
