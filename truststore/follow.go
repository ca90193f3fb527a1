// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"context"
	"time"
)

// follow reads the files when something has changed, when a part that has to
// settle may have done so, when a CRL gets overdue or a server certificate begins
// or ends to be valid, and every interval, unless that is zero. It returns when
// the context ends.
func (s *Store) follow(ctx context.Context, changes <-chan struct{}, interval time.Duration) {
	// Nothing has watched for changes since Open.
	plan := schedule{}
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
			s.reload(ctx, false)
			plan = schedule{next: s.nextReload(time.Now(), interval)}
		}
		timer.Stop()
		if !plan.next.IsZero() {
			timer.Reset(time.Until(plan.next))
		}
	}
}

// nextReload returns when the files are to be read if nothing changes; zero means
// never.
func (s *Store) nextReload(now time.Time, interval time.Duration) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	var next time.Time
	if interval > 0 {
		next = now.Add(interval)
	}
	next = earlier(earlier(next, s.until), s.later)
	return earlier(next, s.Current().nextLateness(now))
}

// schedule says when to read the files next.
type schedule struct {
	burst time.Time // the first change since the last time, zero if none
	next  time.Time // zero means not at all
}

// changed puts reading off until it has been quiet, but not for ever.
func (s *schedule) changed(now time.Time) {
	if s.burst.IsZero() {
		s.burst = now
	}
	s.next = earlier(now.Add(quietTime), s.burst.Add(patience))
}

// earlier returns the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
