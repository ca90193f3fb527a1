// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certacl

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/vernegate/vernegate/internal/pki"
)

// ErrClosed is returned by Owner when it would have to ask after Close.
var ErrClosed = errors.New("identity cache is closed")

// What CurrentOwner returns beside an owner.
var (
	// ErrStale: it is past its TTL, and asking again has failed.
	ErrStale = errors.New("the owner could not be asked for again")
	// ErrDoubtful: it was asked for so soon after Doubt that certificate-acl may not have learned of the change yet, or it is
	// what Tell said before Outdate or soon after it, and a later change may have been missed.
	ErrDoubtful = errors.New("the owner may have changed just now")
)

// Outcome says how Owner came to what it returned; its text is fit for a
// metric label.
type Outcome string

// The outcomes. Every call of Owner has exactly one.
const (
	OutcomeHit         Outcome = "hit"          // remembered owner
	OutcomeNegativeHit Outcome = "negative_hit" // remembered that there is none
	OutcomeMiss        Outcome = "miss"         // asked, or waited while another call asked
	OutcomeStale       Outcome = "stale"        // remembered owner past its TTL, as asking failed
	OutcomeFailed      Outcome = "failed"       // could not tell
)

// Cache remembers what Lookup answered. Its zero value with a Lookup remembers
// nothing, but makes one look-up at a time per fingerprint, however many
// callers wait. The fields must not change after the first call of Owner; the
// methods may be called from any number of goroutines.
//
// Durations and sizes of zero and less switch off what they are for.
type Cache struct {
	// Lookup asks certificate-acl: Client.Lookup, or a func around it that
	// measures. It must return in bounded time, and soon after ctx ends.
	// ctx belongs to no caller; Close cancels it.
	Lookup func(ctx context.Context, fp pki.Fingerprint) (owner string, ok bool, err error)

	// Size is the number of fingerprints to remember; the one that was
	// not asked for the longest makes room.
	Size int

	// TTL is how long an owner, and NegativeTTL how long the absence of
	// one, is handed out without asking again.
	TTL         time.Duration
	NegativeTTL time.Duration

	// StaleIfError is how long after its TTL an owner is still handed out
	// if asking again fails. The absence of an owner has no such time: the
	// device may have been registered since, so it becomes an error.
	StaleIfError time.Duration

	// Hold is how long what was told by Tell overrules certificate-acl, and how long after Doubt what that says is doubtful.
	Hold time.Duration

	// Order is how long it is remembered when that has happened that was
	// told: what happened before it, and comes later, does not count.
	Order time.Duration

	// Observe, if not nil, is told the outcome of each call of Owner, by
	// the goroutine that called it.
	Observe func(Outcome)

	// Panicked, if not nil, is told once of each look-up that panicked, by
	// the goroutine of the look-up. Those who wait get the same error.
	Panicked func(*PanicError)

	mu      sync.Mutex                              // guards what follows, but for asking
	answers *simplelru.LRU[pki.Fingerprint, answer] // lru.Cache without a lock of its own
	tolds   *simplelru.LRU[pki.Fingerprint, told]   // and doubts, in the order in which they were told
	order   order
	flights map[pki.Fingerprint]*flight
	closed  bool

	outdated time.Time // what was asked for before is not fresh any more

	asking sync.WaitGroup // the goroutines of flights
}

// Owner returns who owns the certificate with this fingerprint. It answers
// from memory, or waits for a look-up until ctx ends; the look-up then goes on
// for the others and for memory. An error, Lookup's own or one that wraps
// ctx.Err(), means that it could not be told, and is not remembered.
func (c *Cache) Owner(ctx context.Context, fp pki.Fingerprint) (owner string, ok bool, err error) {
	found, err := c.observed(ctx, fp)
	return found.owner, found.ok, err
}

// CurrentOwner is Owner, but says with ErrStale or ErrDoubtful where what it returns may not be so any more. The owner is
// to be asked for again soon then.
func (c *Cache) CurrentOwner(ctx context.Context, fp pki.Fingerprint) (owner string, ok bool, err error) {
	found, err := c.observed(ctx, fp)
	switch {
	case err != nil:
	case found.stale:
		err = ErrStale
	case found.doubtful:
		err = ErrDoubtful
	}
	return found.owner, found.ok, err
}

func (c *Cache) observed(ctx context.Context, fp pki.Fingerprint) (answer, error) {
	found, asked, err := c.find(ctx, fp)
	if c.Observe != nil {
		c.Observe(outcomeOf(found, asked, err))
	}
	return found, err
}

// Len returns how many fingerprints are remembered, those whose time is over
// included until they are asked for again or make room.
func (c *Cache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answers == nil {
		return 0
	}
	return c.answers.Len()
}

// Close cancels the look-ups under way and waits for them to end. Afterwards
// Owner answers from memory or with ErrClosed.
func (c *Cache) Close() {
	c.mu.Lock()
	c.closed = true
	for _, f := range c.flights {
		f.cancel()
	}
	c.mu.Unlock()
	c.asking.Wait()
}

func outcomeOf(found answer, asked bool, err error) Outcome {
	switch {
	case err != nil:
		return OutcomeFailed
	case found.stale:
		return OutcomeStale
	case asked:
		return OutcomeMiss
	case found.ok:
		return OutcomeHit
	default:
		return OutcomeNegativeHit
	}
}

// find returns the answer in memory, or asks, and asks once more when a change has overtaken the question.
func (c *Cache) find(ctx context.Context, fp pki.Fingerprint) (_ answer, asked bool, _ error) {
	for {
		found, f, err := c.lookOrJoin(fp)
		if f == nil {
			return found, asked, err
		}
		asked = true
		if found, err = f.wait(ctx); err != errOvertaken {
			return found, asked, err
		}
	}
}

// lookOrJoin returns the answer in memory, or the flight to wait for. Looking there and joining a flight are one step
// under the lock, so that no answer slips in between.
func (c *Cache) lookOrJoin(fp pki.Fingerprint) (answer, *flight, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if t, held := c.heldAt(fp, now); held {
		return c.heldAnswer(t), nil, nil
	}
	known := c.remembered(fp)
	if c.isFresh(known, now) {
		return known, nil, nil
	}
	f, err := c.join(fp, known)
	return answer{}, f, err
}

// isFresh reports whether a may be handed out without asking. The caller holds mu.
func (c *Cache) isFresh(a answer, now time.Time) bool {
	return now.Before(a.freshUntil) && (a.stale || !a.since.Before(c.outdated))
}

// remembered returns the answer in memory, however old, or the zero answer, which
// is never fresh and never usable. The caller holds mu.
func (c *Cache) remembered(fp pki.Fingerprint) answer {
	if c.answers == nil {
		return answer{}
	}
	known, _ := c.answers.Get(fp)
	return known
}

// remember keeps a while it is usable and the size permits. One that is not
// usable after now takes no room, but removes the one before. The caller holds mu.
func (c *Cache) remember(fp pki.Fingerprint, a answer, now time.Time) {
	if c.Size <= 0 {
		return
	}
	if c.answers == nil {
		// The error is for sizes that are not positive.
		c.answers, _ = simplelru.NewLRU[pki.Fingerprint, answer](c.Size, nil)
	}
	if now.Before(a.usableUntil) {
		c.answers.Add(fp, a)
	} else {
		c.answers.Remove(fp)
	}
}
