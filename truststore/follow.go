// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"cmp"
	"context"
	"time"

	"github.com/vernegate/vernegate/internal/watch"
)

// follow reads the files when something has changed or been fetched, when a part that has to
// settle may have done so, when a CRL gets overdue or a server certificate begins
// or ends to be valid, and every interval, unless that is zero. It reads them again soon while
// one cannot be read, as nothing tells of the end of that. It returns when the context ends.
func (s *Store) follow(ctx context.Context, changes <-chan struct{}, interval time.Duration) {
	// Nothing has watched for changes since Open.
	var burst watch.Burst
	var failed int // readings in a row, since the last change, that could not read a file
	timer := time.NewTimer(time.Until(burst.Changed(time.Now())))
	defer timer.Stop()
	for {
		var next time.Time
		select {
		case <-ctx.Done():
			return
		case <-changes:
			failed, next = 0, burst.Changed(time.Now())
		case <-s.fetched: // it is complete
			failed, next = 0, time.Now()
		case <-timer.C:
			s.reload(ctx, false)
			if failed++; !s.isUnread() {
				failed = 0
			}
			burst, next = watch.Burst{}, s.nextReload(time.Now(), interval, failed)
		}
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// retryDelay is how soon the files are read again when one could not be read for the first time. It doubles with each time
// in a row, up to the interval.
const retryDelay = time.Second

// isUnread reports whether a file could not be read for a reason that may pass.
func (s *Store) isUnread() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unread
}

// nextReload returns when the files are to be read if nothing changes; zero means
// never. failed is how many times in a row one could not be read.
func (s *Store) nextReload(now time.Time, interval time.Duration, failed int) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	var next time.Time
	if interval > 0 {
		next = now.Add(interval)
	}
	if failed > 0 {
		next = now.Add(min(retryDelay<<min(failed-1, 16), cmp.Or(interval, DefaultRefreshInterval)))
	}
	next = earlier(earlier(next, s.until), s.later)
	return earlier(next, s.Current().nextLateness(now))
}

// earlier returns the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
