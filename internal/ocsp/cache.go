// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ocsp

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/vernegate/vernegate/internal/pki"
)

// Errors of Status beside those of Ask.
var (
	// ErrClosed is returned when a Cache would have to ask after Close.
	ErrClosed = errors.New("OCSP cache is closed")

	// ErrUnderWay says that the answer is being asked for, to a caller that does not wait for it.
	ErrUnderWay = errors.New("OCSP answer is being asked for")
)

const (
	// soon is when to look again for an answer that is being asked for.
	soon = time.Second

	// minRetry and maxRetry are how long after a failure a certificate with live sessions is asked about again, longer
	// after each failure in a row.
	minRetry = 2 * time.Second
	maxRetry = time.Minute
)

// Outcome says how Status came to what it returned; its text is fit for a metric label.
type Outcome string

// The outcomes. Every call of Status has exactly one.
const (
	OutcomeHit     Outcome = "hit"     // a remembered answer that still holds
	OutcomeMiss    Outcome = "miss"    // asked, or waited while another call asked
	OutcomePending Outcome = "pending" // about a live session: there is no answer yet
	OutcomeFailed  Outcome = "failed"  // could not be found out
)

// Outcomes returns all outcomes.
func Outcomes() []Outcome {
	return []Outcome{OutcomeHit, OutcomeMiss, OutcomePending, OutcomeFailed}
}

// Cache remembers what Ask has answered, for as long as that holds, and makes one request about a certificate at a time.
// An answer in use is asked for again before it ends, and nobody waits for that. The fields must not change after the
// first call of Status; the methods may be called from any number of goroutines.
type Cache struct {
	// Ask asks about a certificate: Client.Ask, or a func around it. It must return in bounded time, and soon after ctx
	// ends. ctx belongs to no caller; Close cancels it.
	Ask func(ctx context.Context, cert Certificate, waited bool) (Answer, error)

	// Size is how many certificates are remembered, at least one; the one that was not asked for the longest makes room.
	Size int

	// Refresh is how long after an answer it is asked for again at the latest; zero = when it is about to end.
	Refresh time.Duration

	// Observe, if not nil, is told the outcome of each call of Status, by the goroutine that called it.
	Observe func(Outcome)

	mu      sync.Mutex                             // guards what follows, but for asking
	entries *simplelru.LRU[pki.Fingerprint, entry] // nil until the first
	flights map[pki.Fingerprint]*flight
	closed  bool

	asking sync.WaitGroup // the goroutines of flights
}

// Status returns what is known of a certificate, and when to call again about its live sessions. It answers from memory,
// or waits for a request until ctx ends; the request then goes on for the others and for memory. If live, it does not
// wait, and returns ErrUnderWay. With an error nothing is known. A certificate that was revoked stays so, also past the end
// of that answer, until a younger one says that it is good.
func (c *Cache) Status(ctx context.Context, cert Certificate, live bool) (answer Answer, again time.Time, err error) {
	answer, again, outcome, err := c.find(ctx, cert, live)
	if c.Observe != nil {
		c.Observe(outcome)
	}
	return answer, again, err
}

// Len returns how many certificates are remembered, those whose answer has ended included until they make room.
func (c *Cache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		return 0
	}
	return c.entries.Len()
}

// Close cancels the requests under way and waits for them to end. Afterwards Status answers from memory or with
// ErrClosed.
func (c *Cache) Close() {
	c.mu.Lock()
	c.closed = true
	for _, f := range c.flights {
		f.cancel()
	}
	c.mu.Unlock()
	c.asking.Wait()
}

// find is Status. Looking into memory and joining a flight are one step under the lock, so that no answer slips in
// between.
func (c *Cache) find(ctx context.Context, cert Certificate, live bool) (Answer, time.Time, Outcome, error) {
	now := time.Now()
	c.mu.Lock()
	known := c.remembered(cert.Fingerprint)
	holds := known.holds(now)
	if again := known.again(); now.Before(again) && (holds || live) {
		c.mu.Unlock()
		if holds {
			return known.answer(), again, OutcomeHit, nil
		}
		return known.unanswered(again, OutcomePending, ErrUnderWay) // it failed a moment ago
	}
	f, err := c.join(cert, !holds && !live)
	c.mu.Unlock()
	switch {
	case holds: // until the new answer comes
		return known.answer(), now.Add(soon), OutcomeHit, nil
	case err != nil:
		return known.unanswered(now.Add(soon), OutcomeFailed, err)
	case live:
		return known.unanswered(now.Add(soon), OutcomePending, ErrUnderWay)
	}
	answer, again, err := f.wait(ctx)
	switch {
	case err == nil:
		return answer, again, OutcomeMiss, nil
	case !f.waited && KindOf(err) == KindBusy: // it had to stand back, and did not know that somebody waits
		return c.find(ctx, cert, live)
	}
	return known.unanswered(again, OutcomeFailed, err)
}

// remembered returns what is in memory, however old, or the zero entry. The caller holds mu.
func (c *Cache) remembered(fp pki.Fingerprint) entry {
	if c.entries == nil {
		return entry{}
	}
	known, _ := c.entries.Get(fp)
	return known
}

// remember puts an entry into memory. One that says nothing of its certificate takes nobody's place: else a responder that
// is down would have revocations forgotten. The caller holds mu.
func (c *Cache) remember(fp pki.Fingerprint, e entry) {
	if c.entries == nil {
		// The error is for sizes that are not positive.
		c.entries, _ = simplelru.NewLRU[pki.Fingerprint, entry](max(1, c.Size), nil)
	}
	if e.status == 0 && c.entries.Len() >= max(1, c.Size) && !c.entries.Contains(fp) {
		return
	}
	c.entries.Add(fp, e)
}

// An entry is what is remembered of a certificate. The zero entry is one of which nothing is known. Times are in
// milliseconds since 1970: there may be many entries.
type entry struct {
	until     int64 // the answer holds
	next      int64 // when to ask again
	since     int64 // the answer was true
	revokedAt int64 // in seconds
	status    Status
	reason    uint8
	fails     uint8 // in a row, of asking again
}

func (e entry) holds(now time.Time) bool { return e.status != 0 && now.UnixMilli() < e.until }
func (e entry) again() time.Time         { return time.UnixMilli(e.next) }

func (e entry) answer() Answer {
	a := Answer{Status: e.status, ThisUpdate: time.UnixMilli(e.since), Until: time.UnixMilli(e.until), Reason: int(e.reason)}
	if e.status == Revoked {
		a.RevokedAt = time.Unix(e.revokedAt, 0)
	}
	return a
}

// unanswered is the result of Status where no answer holds. A certificate that was revoked stays so until an answer says
// that it is good: else a responder that is down would let it in where a policy does so. Of others nothing is known.
func (e entry) unanswered(again time.Time, outcome Outcome, err error) (Answer, time.Time, Outcome, error) {
	if e.status == Revoked {
		return e.answer(), again, outcome, nil
	}
	return Answer{}, again, outcome, err
}

// amended returns an answer as it counts beside what is remembered. Only a younger one that says good ends a revocation; the
// error is an *Error if a good one is not younger, and so comes from a cache on the way, or from somebody there.
func (e entry) amended(a Answer) (Answer, error) {
	if e.status != Revoked {
		return a, nil
	}
	switch younger := a.ThisUpdate.UnixMilli() > e.since; {
	case a.Status == Unknown: // which does not say that it is not revoked
		revoked := e.answer()
		revoked.Until = a.Until
		return revoked, nil
	case younger:
		return a, nil
	case a.Status == Revoked:
		a.ThisUpdate = time.UnixMilli(e.since) // lest a good one count that is older than what is known
		return a, nil
	}
	return Answer{}, wrong(KindStale, "it says %v, and is not younger than the answer that the certificate is revoked", a.Status)
}

// answered returns the entry of an answer that came at now.
func answered(a Answer, now time.Time, refresh time.Duration) entry {
	e := entry{
		until:  a.Until.UnixMilli(),
		next:   a.refreshAt(now, refresh).UnixMilli(),
		since:  a.ThisUpdate.UnixMilli(),
		status: a.Status,
		reason: uint8(a.Reason),
	}
	if a.Status == Revoked {
		e.revokedAt = a.RevokedAt.Unix()
	}
	return e
}

// failed returns the entry after asking has failed at now. What it knew before still holds until its own end.
func (e entry) failed(now time.Time) entry {
	e.next = now.Add(backOff(int(e.fails), minRetry, maxRetry)).UnixMilli()
	e.fails = min(e.fails+1, 16)
	return e
}
