// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ocsp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
)

// errUnanswered is what waiters get when Ask has ended its goroutine with runtime.Goexit.
var errUnanswered = errors.New("asking OCSP responder: the question ended without an answer")

// flight is one request under way and what its waiters get. That of package certacl is another one: a change may
// overtake it, and the owner from before stands in where no answer comes. Here, nobody may be waiting. What both would share
// is the map of what is under way.
type flight struct {
	cancel context.CancelFunc
	waited bool // when it began

	done   chan struct{} // closed when what follows is final
	answer Answer
	again  time.Time
	err    error
}

// join returns the flight about a certificate, a new one unless one is under way. The caller holds mu.
func (c *Cache) join(cert Certificate, waited bool) (*flight, error) {
	if f, ok := c.flights[cert.Fingerprint]; ok {
		return f, nil
	}
	if c.closed {
		return nil, ErrClosed
	}
	ctx, cancel := context.WithCancel(context.Background()) // its waiters come and go
	f := &flight{cancel: cancel, waited: waited, done: make(chan struct{}), err: errUnanswered}
	if c.flights == nil {
		c.flights = make(map[pki.Fingerprint]*flight)
	}
	c.flights[cert.Fingerprint] = f
	c.asking.Go(func() { c.run(ctx, cert, f) })
	return f, nil
}

// run is the goroutine of a flight.
func (c *Cache) run(ctx context.Context, cert Certificate, f *flight) {
	defer f.cancel()
	defer c.finish(cert, f) // also when Ask calls runtime.Goexit
	f.answer, f.err = c.Ask(ctx, cert, f.waited)
}

// finish remembers what the flight found out, and lets the waiters go. Nothing of an answer that does not count is
// remembered, but that asking has failed.
func (c *Cache) finish(cert Certificate, f *flight) {
	now := time.Now()
	c.mu.Lock()
	e := c.remembered(cert.Fingerprint)
	if f.err == nil {
		f.answer, f.err = e.amended(f.answer)
	}
	if f.err == nil {
		e = answered(f.answer, now, c.Refresh)
	} else {
		e = e.failed(now)
	}
	f.again = e.again()
	c.remember(cert.Fingerprint, e)
	delete(c.flights, cert.Fingerprint)
	c.mu.Unlock()
	close(f.done)
}

// wait returns what the flight found out.
func (f *flight) wait(ctx context.Context) (Answer, time.Time, error) {
	select {
	case <-f.done:
		return f.answer, f.again, f.err
	case <-ctx.Done():
		return Answer{}, time.Now().Add(soon), fmt.Errorf("waiting for an OCSP answer: %w", ctx.Err())
	}
}
