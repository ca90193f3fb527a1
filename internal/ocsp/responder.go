// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ocsp

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// DefaultMaxInFlight bounds the requests to a responder that are under way. At 10 ms an answer, 64 at a time are 6 400
	// answers a second. One half of them is kept for clients that wait.
	DefaultMaxInFlight = 64

	// failsBefore is how often in a row a responder fails before it is left alone for a while, minBackOff at first and
	// maxBackOff at most. Then one request is made, and if that fails, it is left alone again.
	failsBefore = 3
	minBackOff  = time.Second
	maxBackOff  = 10 * time.Second
)

// A responder is one server that is asked. One that fails costs others nothing, and its own clients little: while it is
// left alone, nobody waits for it.
type responder struct {
	slots      chan struct{} // one element for each request under way
	background chan struct{} // likewise, for those that nobody waits for

	mu      sync.Mutex
	fails   int       // in a row
	retryAt time.Time // when the next request may be made; zero = at once
}

func newResponder(maxInFlight int) *responder {
	return &responder{
		slots:      make(chan struct{}, maxInFlight),
		background: make(chan struct{}, max(1, maxInFlight/2)),
	}
}

// acquire takes a place for a request, or returns an *Error. One that nobody waits for does not wait itself. release gives
// the place back.
func (r *responder) acquire(ctx context.Context, waited bool) (release func(), _ error) {
	release = func() { <-r.slots }
	if !waited {
		select {
		case r.background <- struct{}{}:
			release = func() { <-r.slots; <-r.background }
		default:
			return nil, wrong(KindBusy, "%d requests that nobody waits for are under way", cap(r.background))
		}
	}
	select {
	case r.slots <- struct{}{}:
		return release, nil
	case <-ctx.Done():
	}
	if !waited {
		<-r.background
	}
	if ctx.Err() == context.Canceled {
		return nil, &Error{Kind: KindCanceled, Err: ctx.Err()}
	}
	return nil, wrong(KindBusy, "%d requests are under way", cap(r.slots))
}

// leftAlone returns an *Error while no request is to be made.
func (r *responder) leftAlone(now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refusal(now)
}

// refusal is leftAlone; mu must be held.
func (r *responder) refusal(now time.Time) error {
	if r.fails >= failsBefore && now.Before(r.retryAt) {
		return wrong(KindBackOff, "it has failed %d times", r.fails)
	}
	return nil
}

// admit lets a request be made, or returns what leftAlone does. When the responder was left alone for long enough, one
// request tries whether it works again, and the others wait for what comes of it.
func (r *responder) admit(now time.Time) (trial bool, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refusal(now); err != nil {
		return false, err
	}
	if trial = r.fails >= failsBefore; trial {
		r.retryAt = now.Add(backOff(r.fails-failsBefore, minBackOff, maxBackOff))
	}
	return trial, nil
}

// note takes what came of a request that was admitted; nil = it was answered.
func (r *responder) note(err error, trial bool, now time.Time) {
	e, _ := errors.AsType[*Error](err)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case e != nil && e.Kind == KindCanceled:
	case e == nil || !e.down: // it works, whatever it says
		r.fails = 0
	case trial, r.fails < failsBefore: // of those that were under way when it was left alone, none counts
		if r.fails++; r.fails >= failsBefore {
			r.retryAt = now.Add(backOff(r.fails-failsBefore, minBackOff, maxBackOff))
		}
	}
}

// backOff returns how long to wait after the n-th failure beyond the first, give or take a fifth.
func backOff(n int, least, most time.Duration) time.Duration {
	d := most
	if n < 16 {
		d = min(most, least<<n)
	}
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}
