// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ocsp

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
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

	// maxFailing bounds how many endpoints that fail are remembered of a responder: certificates name them. The one that
	// was not asked for the longest makes room, and is found out anew.
	maxFailing = 64
)

// A responder is one server that is asked. One that fails costs others nothing, and its own clients little: while it is
// left alone, nobody waits for it. It may answer for several CAs, so what it answers to one of them says nothing of the
// others; only a server that cannot be reached, or is silent, is left alone by all.
type responder struct {
	slots      chan struct{} // one element for each request under way
	background chan struct{} // likewise, for those that nobody waits for

	mu      sync.Mutex
	server  breaker
	failing *simplelru.LRU[endpoint, *breaker]
}

// An endpoint is a URL of a responder and the CA whose certificates it is asked about, hashed: strangers may have chosen
// both, and how long they are.
type endpoint [sha256.Size]byte

func endpointOf(target *url.URL, issuer *x509.Certificate) endpoint {
	return sha256.Sum256(slices.Concat([]byte(target.String()), []byte{0}, issuer.Raw))
}

func newResponder(maxInFlight int) *responder {
	failing, _ := simplelru.NewLRU[endpoint, *breaker](maxFailing, nil) // the error is for sizes that are not positive
	return &responder{
		slots:      make(chan struct{}, maxInFlight),
		background: make(chan struct{}, max(1, maxInFlight/2)),
		failing:    failing,
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

// leftAlone returns an *Error while no request to an endpoint is to be made.
func (r *responder) leftAlone(at endpoint, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refusal(at, now)
}

// refusal is leftAlone; mu must be held.
func (r *responder) refusal(at endpoint, now time.Time) error {
	if err := r.server.refusal(now); err != nil {
		return err
	}
	if b, ok := r.failing.Get(at); ok {
		return b.refusal(now)
	}
	return nil
}

// A trial says of what a request finds out whether it works again.
type trial struct{ server, endpoint bool }

// admit lets a request be made, or returns what leftAlone does. When the responder was left alone for long enough, one
// request tries whether it works again, and the others wait for what comes of it.
func (r *responder) admit(at endpoint, now time.Time) (t trial, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refusal(at, now); err != nil {
		return trial{}, err
	}
	t.server = r.server.admit(now)
	if b, ok := r.failing.Get(at); ok {
		t.endpoint = b.admit(now)
	}
	return t, nil
}

// note takes what came of a request that was admitted; nil = it was answered.
func (r *responder) note(at endpoint, err error, t trial, now time.Time) {
	e, _ := errors.AsType[*Error](err)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case e != nil && e.Kind == KindCanceled:
	case e != nil && e.unreached:
		r.server.failed(t.server, now)
	case e != nil && e.down:
		r.server = breaker{}
		b, ok := r.failing.Get(at)
		if !ok {
			b = new(breaker)
			r.failing.Add(at, b)
		}
		b.failed(t.endpoint, now)
	default: // it works, whatever it says
		r.server = breaker{}
		r.failing.Remove(at)
	}
}

// A breaker counts failures (a circuit breaker). The zero value has none.
type breaker struct {
	fails   int       // in a row
	retryAt time.Time // when the next request may be made; zero = at once
}

// refusal returns an *Error while no request is to be made.
func (b *breaker) refusal(now time.Time) error {
	if b.fails >= failsBefore && now.Before(b.retryAt) {
		return wrong(KindBackOff, "it has failed %d times", b.fails)
	}
	return nil
}

// admit notes that a request is made, and reports whether it is a trial.
func (b *breaker) admit(now time.Time) (trial bool) {
	if b.fails < failsBefore {
		return false
	}
	b.retryAt = now.Add(backOff(b.fails-failsBefore, minBackOff, maxBackOff))
	return true
}

// failed counts a request that failed. Of those that were under way when the responder was left alone, none counts.
func (b *breaker) failed(trial bool, now time.Time) {
	if !trial && b.fails >= failsBefore {
		return
	}
	if b.fails++; b.fails >= failsBefore {
		b.retryAt = now.Add(backOff(b.fails-failsBefore, minBackOff, maxBackOff))
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
