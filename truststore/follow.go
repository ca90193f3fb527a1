// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"context"
	"time"

	"github.com/vernegate/vernegate/internal/watch"
)

// follow reads the files when something has changed or been fetched, when a part that has to
// settle may have done so, when a CRL gets overdue or a server certificate begins
// or ends to be valid, and every interval, unless that is zero. It returns when
// the context ends.
func (s *Store) follow(ctx context.Context, changes <-chan struct{}, interval time.Duration) {
	// Nothing has watched for changes since Open.
	var burst watch.Burst
	timer := time.NewTimer(time.Until(burst.Changed(time.Now())))
	defer timer.Stop()
	for {
		var next time.Time
		select {
		case <-ctx.Done():
			return
		case <-changes:
			next = burst.Changed(time.Now())
		case <-s.fetched: // it is complete
			next = time.Now()
		case <-timer.C:
			s.reload(ctx, false)
			burst, next = watch.Burst{}, s.nextReload(time.Now(), interval)
		}
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(time.Until(next))
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

// earlier returns the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
