// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certacl

import (
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/vernegate/vernegate/internal/pki"
)

// A told answer is what an event has said. Until its time is over it is handed out, and certificate-acl is not asked:
// it learns of the same event at the same time or later, and may still say what was true before. An event that does not
// say whose the certificate is leaves a doubt: certificate-acl is asked, and asked again soon.
type told struct {
	doubt bool // and no answer
	owner string
	ok    bool
	since time.Time // when it was told
	until time.Time
}

// A Verdict is what a Cache makes of a change that it is told of.
type Verdict int

// The verdicts.
const (
	Outdated Verdict = iota // another one of the same certificate happened later, or a delete that may have: it changes nothing
	Counts                  // the cache answers so from now on
	Unclear                 // nobody knows which one happened last: the certificate is forgotten, and Owner asks
)

// Tell is told that the certificate belongs to owner since at, or with ok false to nobody. For Hold the cache answers
// so without asking; a question that is under way is overtaken, and its callers get this answer, too. What happened
// before something else that Tell or Doubt was told of the same certificate is Outdated: events of one certificate may
// come by different partitions, and then in any order, and more than once. at must not be further back than Order.
//
// at is by the clock of whoever has published the change, and may be still to come if that is ahead. Two times of one
// certificate that are no further apart than twice the longest such lead do not say which of the changes was the last, nor
// do two that are equal. Then a delete counts, whichever comes first; with two owners Tell does what Doubt does, and
// returns Unclear. So it does about an owner when such a delete is not held any more.
func (c *Cache) Tell(fp pki.Fingerprint, owner string, ok bool, at time.Time) Verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.dropTold(now)
	said := change{deleted, "", at}
	if ok {
		said = change{owned, owner, at}
	}
	if place := c.order.take(fp, said, now, c.Size, c.Order); place != last {
		if c.doubt(fp, place, now) {
			return Unclear
		}
		return Outdated
	}
	c.hold(fp, told{owner: owner, ok: ok, since: now, until: now.Add(c.Hold)})
	if c.answers != nil && c.answers.Contains(fp) { // others would make those leave that devices need
		a := c.withTimes(answer{owner: owner, ok: ok, told: true, since: now}, now)
		if c.mayBeMissed(now) {
			a = a.asDoubtful(now)
		}
		c.remember(fp, a, now)
	}
	c.overtake(fp)
	return Counts
}

// Doubt is Tell for a change that does not say whose the certificate is now: it forgets the certificate, as Forget does,
// and returns true, unless the change is Outdated. For Hold, CurrentOwner then returns ErrDoubtful beside what
// certificate-acl says.
func (c *Cache) Doubt(fp pki.Fingerprint, at time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	return c.doubt(fp, c.order.take(fp, change{unknown, "", at}, now, c.Size, c.Order), now)
}

// doubt forgets a certificate, and reports true, unless its change at this place is Outdated. The caller holds mu.
func (c *Cache) doubt(fp pki.Fingerprint, place place, now time.Time) bool {
	if place == earlier {
		return false
	}
	if place == overcome && c.heldByNobody(fp, now) {
		if c.answers != nil {
			c.answers.Remove(fp) // once it is not held any more, certificate-acl is to say whether the delete was the last
		}
		return false
	}
	c.overtake(fp)
	c.drop(fp)
	c.hold(fp, told{doubt: true, since: now, until: now.Add(c.Hold)})
	return true
}

// hold keeps t; when there are too many, the one goes that was told first. The caller holds mu.
func (c *Cache) hold(fp pki.Fingerprint, t told) {
	if c.Size <= 0 || c.Hold <= 0 {
		return
	}
	if c.tolds == nil {
		// The error is for sizes that are not positive.
		c.tolds, _ = simplelru.NewLRU[pki.Fingerprint, told](c.Size, nil)
	}
	c.tolds.Add(fp, t)
}

// heldAt returns what was told of a certificate and still counts. The caller holds mu.
func (c *Cache) heldAt(fp pki.Fingerprint, now time.Time) (told, bool) {
	t, known := c.lastTold(fp, now)
	return t, known && !t.doubt
}

// inDoubt reports whether certificate-acl may not know yet of a change. The caller holds mu.
func (c *Cache) inDoubt(fp pki.Fingerprint, now time.Time) bool {
	t, known := c.lastTold(fp, now)
	return known && t.doubt
}

// lastTold returns what was told of a certificate last, if its time is not over. The caller holds mu.
func (c *Cache) lastTold(fp pki.Fingerprint, now time.Time) (told, bool) {
	if c.tolds == nil {
		return told{}, false
	}
	t, known := c.tolds.Peek(fp) // and not Get, which would change the order of time
	return t, known && now.Before(t.until)
}

// heldByNobody reports whether it was told that the certificate has no owner, and still counts. The caller holds mu.
func (c *Cache) heldByNobody(fp pki.Fingerprint, now time.Time) bool {
	t, held := c.heldAt(fp, now)
	return held && !t.ok
}

// dropTold forgets what was told and does not count any more. The caller holds mu.
func (c *Cache) dropTold(now time.Time) {
	if c.tolds == nil {
		return
	}
	for {
		_, oldest, found := c.tolds.GetOldest()
		if !found || now.Before(oldest.until) {
			return
		}
		c.tolds.RemoveOldest()
	}
}

// heldAnswer returns what was told as an answer that needs no asking. The caller holds mu.
func (c *Cache) heldAnswer(t told) answer {
	return answer{owner: t.owner, ok: t.ok, told: true, doubtful: c.mayBeMissed(t.since), since: t.since, freshUntil: t.until, usableUntil: t.until}
}

// mayBeMissed reports whether a later change than one that was told at this time may have been missed. After Outdate, changes
// from before it may be told once more, without the one that was missed. The caller holds mu.
func (c *Cache) mayBeMissed(told time.Time) bool {
	return told.Before(c.outdated.Add(c.Hold))
}
