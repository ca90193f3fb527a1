// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certacl

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
)

// errUnanswered is what waiters get when Lookup has ended its goroutine with
// runtime.Goexit.
var errUnanswered = errors.New("asking certificate-acl: the look-up ended without an answer")

// flight is one look-up under way and what its waiters get.
//
// It is not golang.org/x/sync/singleflight, for three reasons. Cache looks into
// memory and joins a flight under one lock; singleflight has a lock of its own,
// and an answer that arrives between the two would be asked for twice. A waiter
// here may leave with its context, and then gets the stale owner; DoChan makes a
// channel for each waiter to allow that. And a look-up that panics or calls
// runtime.Goexit must fail its waiters; singleflight ends the process on the first,
// and leaves those of DoChan waiting for ever on the second.
//
// That of package internal/ocsp is another one: it knows no changes that overtake it and
// nothing that stands in, but questions that nobody waits for; what both would share is
// the map of what is under way.
type flight struct {
	cancel context.CancelFunc
	known  answer    // what was remembered when it began
	began  time.Time // its answer may be older than a change that came later

	overtaken chan struct{} // closed when there was such a change; c.mu guards the closing

	done  chan struct{} // closed when found and err are final
	found answer
	err   error
}

// join returns the flight for fp, a new one unless one is under way. The
// caller holds mu.
func (c *Cache) join(fp pki.Fingerprint, known answer) (*flight, error) {
	if f, ok := c.flights[fp]; ok {
		return f, nil
	}
	if c.closed {
		return nil, ErrClosed
	}
	ctx, cancel := context.WithCancel(context.Background()) // its waiters come and go
	f := &flight{
		cancel: cancel, known: known, began: time.Now(),
		overtaken: make(chan struct{}), done: make(chan struct{}), err: errUnanswered,
	}
	if c.flights == nil {
		c.flights = make(map[pki.Fingerprint]*flight)
	}
	c.flights[fp] = f
	c.asking.Go(func() { c.run(ctx, fp, f) })
	return f, nil
}

// run is the goroutine of a flight.
func (c *Cache) run(ctx context.Context, fp pki.Fingerprint, f *flight) {
	defer f.cancel()
	defer c.finish(fp, f) // also when Lookup calls runtime.Goexit
	f.found.owner, f.found.ok, f.err = c.ask(ctx, fp)
}

func (c *Cache) ask(ctx context.Context, fp pki.Fingerprint) (owner string, ok bool, err error) {
	defer func() {
		if value := recover(); value != nil {
			panicked := &PanicError{Value: value, Stack: debug.Stack()}
			err = panicked
			if c.Panicked != nil {
				c.Panicked(panicked)
			}
		}
	}()
	return c.Lookup(ctx, fp)
}

// finish settles what the flight found, remembers it, and lets the waiters go.
func (c *Cache) finish(fp pki.Fingerprint, f *flight) {
	now := time.Now()
	switch {
	case f.err == nil:
		f.found.since = f.began
		f.found = c.withTimes(f.found, now)
	case now.Before(f.known.usableUntil):
		f.found, f.err = f.known.asStale(now), nil
	default:
		f.found = answer{} // whatever came with the error
	}

	c.mu.Lock()
	if c.flights[fp] == f { // else it was overtaken
		if f.err == nil && c.inDoubt(fp, now) {
			f.found = f.found.asDoubtful(now)
		}
		c.remember(fp, f.found, now)
		delete(c.flights, fp)
	}
	c.mu.Unlock()
	close(f.done)
}

// errOvertaken is what waiters get when what they wait for may have changed since it was asked.
var errOvertaken = errors.New("asking certificate-acl: overtaken by a change")

// wait returns what the flight found, or errOvertaken. A caller whose deadline passes first gets
// the same as if the look-up had failed; one that cancels gets an error.
func (f *flight) wait(ctx context.Context) (answer, error) {
	select {
	case <-f.overtaken:
	case <-f.done:
	case <-ctx.Done():
	}
	switch {
	case isClosed(f.overtaken): // which has ended it
		return answer{}, errOvertaken
	case isClosed(f.done):
		return f.found, f.err
	}
	now := time.Now()
	if ctx.Err() == context.DeadlineExceeded && now.Before(f.known.usableUntil) {
		return f.known.asStale(now), nil
	}
	return answer{}, fmt.Errorf("waiting for certificate-acl: %w", ctx.Err())
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
