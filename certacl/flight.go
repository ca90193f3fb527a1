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

// errUnanswered is what waiters get when Lookup neither returned nor panicked
// but ended its goroutine.
var errUnanswered = errors.New("asking certificate-acl: the look-up ended without an answer")

// flight is one look-up and what those who wait for it get.
//
// Why not singleflight: its lock is not ours, so an answer that arrives between
// missing it in memory and joining would be asked for twice. DoChan also makes
// a channel per waiter, ends the process when the look-up panics, and leaves
// its waiters waiting when the look-up calls runtime.Goexit.
type flight struct {
	cancel context.CancelFunc
	before answer // what was remembered when it began

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
	f := &flight{cancel: cancel, before: known, done: make(chan struct{}), err: errUnanswered}
	if c.flights == nil {
		c.flights = make(map[pki.Fingerprint]*flight)
	}
	c.flights[fp] = f
	c.asking.Go(func() { c.fly(ctx, fp, f) })
	return f, nil
}

// fly is the goroutine of a flight.
func (c *Cache) fly(ctx context.Context, fp pki.Fingerprint, f *flight) {
	defer f.cancel()
	defer c.land(fp, f) // however Lookup ends, its waiters are let go
	f.found.owner, f.found.ok, f.err = c.ask(ctx, fp)
}

func (c *Cache) ask(ctx context.Context, fp pki.Fingerprint) (owner string, ok bool, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &PanicError{Value: value, Stack: debug.Stack()}
		}
	}()
	return c.Lookup(ctx, fp)
}

// land settles what the flight found, remembers it, and lets the waiters go.
func (c *Cache) land(fp pki.Fingerprint, f *flight) {
	now := time.Now()
	switch {
	case f.err == nil:
		f.found = c.dated(f.found, now)
	case now.Before(f.before.usable):
		f.found, f.err = f.before.standIn(now), nil
	default:
		f.found = answer{} // whatever came with the error
	}

	c.mu.Lock()
	c.remember(fp, f.found, now)
	delete(c.flights, fp)
	c.mu.Unlock()
	close(f.done)
}

// wait returns what the flight found. For a caller whose deadline passes first
// the look-up has failed; one who cancels wants no answer.
func (f *flight) wait(ctx context.Context) (answer, error) {
	select {
	case <-f.done:
		return f.found, f.err
	case <-ctx.Done():
	}
	now := time.Now()
	if ctx.Err() == context.DeadlineExceeded && now.Before(f.before.usable) {
		return f.before.standIn(now), nil
	}
	return answer{}, fmt.Errorf("waiting for certificate-acl: %w", ctx.Err())
}
