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
	at    time.Time // by the clock of whoever told it
	until time.Time // it is remembered
}

// take notes a change, and reports whether none of the same certificate that happened later has come before it. It
// remembers as many as size, and for as long as keep.
func (o *order) take(fp pki.Fingerprint, at, now time.Time, size int, keep time.Duration) bool {
	o.drop(now)
	if size <= 0 || keep <= 0 {
		return true
	}
	if o.latest == nil {
		// The error is for sizes that are not positive.
		o.latest, _ = simplelru.NewLRU[pki.Fingerprint, change](size, nil)
	}
	if before, known := o.latest.Peek(fp); known && at.Before(before.at) { // and not Get, which would change the order of time
		return false
	}
	o.latest.Add(fp, change{at, now.Add(keep)})
	return true
}

// drop forgets what was remembered for long enough.
func (o *order) drop(now time.Time) {
	for o.latest != nil {
		_, oldest, found := o.latest.GetOldest()
		if !found || now.Before(oldest.until) {
			return
		}
		o.latest.RemoveOldest()
	}
}
