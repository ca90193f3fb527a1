// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certacl

import (
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/vernegate/vernegate/internal/pki"
)

// An order remembers when the last change of each certificate has happened. It outlasts what was told of it: an event that
// comes by a partition that was away must not count once the one is forgotten that has overruled it.
type order struct {
	latest *simplelru.LRU[pki.Fingerprint, change] // in the order in which they came; nil = none
}

type change struct {
	at   time.Time // by the clock of whoever told it
	came time.Time // by the clock of this machine
}

// A place is where a change stands among those of the same certificate that came before it.
type place int

const (
	later   place = iota // than all of them, by their times
	earlier              // than one of them
	unclear              // earlier than one of them by its time, but that one had a time that was still to come
)

// take notes a change, unless its place is another one than later. It remembers as many as size, and for as long as keep.
//
// A time that was still to come when its change came is that of a clock that is ahead. If the same clock has timed both,
// their times tell their order. If not, it would have what truly happens later not count, for as long as it is ahead.
func (o *order) take(fp pki.Fingerprint, at, now time.Time, size int, keep time.Duration) place {
	o.drop(now, keep)
	if size <= 0 || keep <= 0 {
		return later
	}
	if o.latest == nil {
		// The error is for sizes that are not positive.
		o.latest, _ = simplelru.NewLRU[pki.Fingerprint, change](size, nil)
	}
	before, known := o.latest.Peek(fp) // and not Get, which would change the order of time
	switch {
	case !known || !at.Before(before.at):
		o.latest.Add(fp, change{at, now})
		return later
	case at.Before(before.came):
		return earlier
	}
	return unclear
}

// drop forgets what was remembered for long enough.
func (o *order) drop(now time.Time, keep time.Duration) {
	for o.latest != nil {
		_, oldest, found := o.latest.GetOldest()
		if !found || now.Before(oldest.came.Add(keep)) {
			return
		}
		o.latest.RemoveOldest()
	}
}
