// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"slices"
	"time"
)

// A timeline records when things began and ended. Several goroutines may add to it at the same time, each to a track of
// its own.
type timeline struct {
	began  time.Time
	tracks [][]span
}

// A span is from when something began to when it ended, both since the timeline began.
type span struct{ from, to time.Duration }

func newTimeline(tracks int) *timeline {
	return &timeline{began: time.Now(), tracks: make([][]span, tracks)}
}

// add records, on one track, what began then and ends now.
func (t *timeline) add(track int, began time.Duration) {
	t.tracks[track] = append(t.tracks[track], span{began, time.Since(t.began)})
}

// Elapsed is the time since the timeline began; Durations takes moments as such.
func (t *timeline) Elapsed() time.Duration { return time.Since(t.began) }

// Durations returns how long everything took that began between two moments, the fastest first. The load must have ended.
func (t *timeline) Durations(from, to time.Duration) []time.Duration {
	var all []time.Duration
	for _, track := range t.tracks {
		for _, s := range track {
			if from <= s.from && s.from < to {
				all = append(all, s.to-s.from)
			}
		}
	}
	slices.Sort(all)
	return all
}

// Percentile returns the time within which that share was done, of times in order; 0 for none.
func Percentile(took []time.Duration, share float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	return took[min(len(took)-1, int(share*float64(len(took))))]
}
