// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"context"
	"time"
)

// follow looks at the files when something has changed, when a set that has to
// settle may have done so, when a CRL gets overdue, and every interval, unless
// that is zero. It returns when the context ends.
func (s *Store) follow(ctx context.Context, changes <-chan struct{}, interval time.Duration) {
	// What has changed since Open was nobody's to notice.
	plan := agenda{}
	plan.changed(time.Now())
	timer := time.NewTimer(quietTime)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes:
			plan.changed(time.Now())
		case <-timer.C:
			s.look(ctx, patiently)
			plan = agenda{next: s.nextLook(time.Now(), interval)}
		}
		timer.Stop()
		if !plan.next.IsZero() {
			timer.Reset(time.Until(plan.next))
		}
	}
}

// nextLook returns when the files are to be looked at if nothing changes; zero
// means never.
func (s *Store) nextLook(now time.Time, interval time.Duration) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	var next time.Time
	if interval > 0 {
		next = now.Add(interval)
	}
	if s.pending.files != nil {
		next = earlier(next, s.pending.since.Add(settleTime))
	}
	return earlier(next, s.Current().nextLateness(now))
}

// agenda says when to look next.
type agenda struct {
	burst time.Time // the first change since the last look, zero if none
	next  time.Time // zero means not at all
}

// changed puts the look off until it has been quiet, but not for ever.
func (a *agenda) changed(now time.Time) {
	if a.burst.IsZero() {
		a.burst = now
	}
	a.next = earlier(now.Add(quietTime), a.burst.Add(patience))
}

// earlier returns the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
