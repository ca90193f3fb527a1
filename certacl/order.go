// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certacl

import (
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/vernegate/vernegate/internal/pki"
)

// An order remembers the changes of each certificate, as far as it takes to say which one may be the last. It outlasts what
// was told of it: an event that comes by a partition that was away must not count once the one is forgotten that has
// overruled it.
//
// The times of changes are by the clocks of their publishers. A time that is still to come when its change arrives shows a
// clock that is ahead, by this lead at least. The change was on its way for a while, so the true lead is longer; an order
// allows for twice as much. A change may be the last one if its time is no more than twice the longest lead of its
// certificate before the latest time. If there is more than one, their order cannot be told: a delete wins, and two owners
// are a dispute. (A clock that is behind looks like a change that was long on its way, and cannot be told from it.)
//
// Only maxima are kept, so that it makes no difference in which order changes arrive, or how often: a change that is read
// again has a shorter lead, or none.
type order struct {
	histories *simplelru.LRU[pki.Fingerprint, history] // in the order in which they were added to; nil = none
}

// A change is what was told of a certificate.
type change struct {
	effect effect
	owner  string // if the effect is owned
	at     time.Time
}

// An effect says whether a certificate has an owner after a change.
type effect int

const (
	deleted effect = iota // it has none
	owned                 // it has the one that the change names
	unknown               // certificate-acl has to be asked
)

// A history is what is remembered of the changes of a certificate. The times of changes are those of the latest ones, and
// zero if there was none.
type history struct {
	came    time.Time     // when the last change came, by the clock of this machine
	lead    time.Duration // the longest by which the time of a change was still to come
	deleted time.Time
	owner   string    // that was named last
	owned   time.Time // of changes that name it
	others  time.Time // of changes that name another one, or none
}

// A place is where a change stands among all of the same certificate that have come.
type place int

const (
	last     place = iota // it may be the last one, and so may only those that say the same
	earlier               // another one happened later
	overcome              // it may be the last one, but so may a delete
	disputed              // it may be the last one, but so may one with another owner, or an unknown one
)

// take notes a change, and returns its place. It remembers the changes of as many certificates as size, and for as long as
// keep after the last one of each.
func (o *order) take(fp pki.Fingerprint, c change, now time.Time, size int, keep time.Duration) place {
	o.drop(now, keep)
	if size <= 0 || keep <= 0 {
		return last
	}
	if o.histories == nil {
		// The error is for sizes that are not positive.
		o.histories, _ = simplelru.NewLRU[pki.Fingerprint, history](size, nil)
	}
	// A lead of keep casts doubt on all that is remembered already. A longer one would do no more, and its double overflows.
	if end := now.Add(keep); c.at.After(end) {
		c.at = end
	}
	h, _ := o.histories.Peek(fp) // and not Get, which would change the order of time
	h.add(c, now)
	o.histories.Add(fp, h)
	return h.placeOf(c)
}

// add adds a change that has come now.
func (h *history) add(c change, now time.Time) {
	h.came = now
	h.lead = max(h.lead, c.at.Sub(now))
	switch {
	case c.effect == deleted:
		h.deleted = latest(h.deleted, c.at)
	case c.effect == owned && c.owner == h.owner:
		h.owned = latest(h.owned, c.at)
	case c.effect == owned && c.at.After(h.owned):
		h.others = latest(h.others, h.owned)
		h.owner, h.owned = c.owner, c.at
	default:
		h.others = latest(h.others, c.at)
	}
}

// placeOf returns the place of a change that was added.
func (h *history) placeOf(c change) place {
	since := latest(latest(h.deleted, h.owned), h.others).Add(-2 * h.lead)
	mayBeLast := func(at time.Time) bool { return !at.Before(since) }
	switch {
	case !mayBeLast(c.at):
		return earlier
	case c.effect == deleted:
		return last
	case mayBeLast(h.deleted):
		return overcome
	case c.effect == owned && mayBeLast(h.others):
		return disputed
	}
	return last
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// drop forgets what was remembered for long enough.
func (o *order) drop(now time.Time, keep time.Duration) {
	for o.histories != nil {
		_, oldest, found := o.histories.GetOldest()
		if !found || now.Before(oldest.came.Add(keep)) {
			return
		}
		o.histories.RemoveOldest()
	}
}
