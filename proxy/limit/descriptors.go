// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package limit bounds what connections use at a time: file descriptors, handshakes that compute, handshakes that wait for
// their clients, and connections of one key. It knows no connection; what a refusal means to a client is its caller's
// business.
package limit

import (
	"sync"
	"sync/atomic"
	"time"
)

// Descriptors bounds the file descriptors that connections use, so that the process never runs out of them: out of
// descriptors, neither a certificate-acl request nor the reading of a new CRL would succeed.
//
// A connection takes one descriptor before it is accepted and waits for it; what waits is the kernel's backlog. It
// takes a second one when the broker is dialed, and does not wait then: the reserve is for clients that
// have shown who they are, so that silent strangers can use up the descriptors but not stop those already inside.
// A client that says nothing therefore costs one descriptor and not two. When the reserve is used up, too, it is refused.
//
// Methods may be called concurrently.
type Descriptors struct {
	limit   int                    // Wait waits while this many are taken; 0 = no limit
	most    int                    // with the reserve
	changed func(usedUp time.Time) // nil = nobody is told

	waiting atomic.Int32 // how many wait, or are about to

	mu     sync.Mutex
	freed  sync.Cond // with mu; signals taken < limit, that something may yield, or closed
	taken  int
	usedUp time.Time // since when; zero = they are not
	closed bool

	telling sync.Mutex // is held around changed, and not with mu
	told    time.Time  // with telling
}

// leastReserve is the reserve where one in thirty-two would be less. It exceeds n, and is small against what the process
// keeps for itself.
const leastReserve = 8

// NewDescriptors bounds descriptors to n, of which one in thirty-two is the reserve; 0 = no limit.
//
// changed is called when they are used up, with the time, and with the zero time when that is over; nil = nobody is told.
// They are used up from when a connection has to wait for one that ends, until a tenth of them is free: in between, each
// connection that ends lets one in that waits, and there is nothing new to tell.
func NewDescriptors(n int, changed func(usedUp time.Time)) *Descriptors {
	d := &Descriptors{limit: n - n/32, changed: changed}
	d.most = d.limit + max(n/32, leastReserve)
	d.freed.L = &d.mu
	return d
}

// Wait takes a descriptor as soon as there is one. When yields reports that a connection can be closed in favour of the
// next, it takes one of the reserve: overdrawn says that this has to be done, unless Overdrawn says by then that there is no
// need any more. open is false after Close. Whoever makes yields report true calls MayYield.
func (d *Descriptors) Wait(yields func() bool) (open, overdrawn bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wait(func() bool { return d.taken < d.limit || yields() })
	if d.closed {
		return false, false
	}
	d.taken++
	return true, d.limit > 0 && d.taken > d.limit
}

// Overdrawn reports whether more are taken than Wait takes without closing a connection.
func (d *Descriptors) Overdrawn() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.limit > 0 && d.taken > d.limit
}

// WaitCovered waits until a descriptor that Wait has overdrawn is covered, as no connection was left that could be closed for
// it. Without this, connections that come one after the other would exceed every limit. open is false after Close.
func (d *Descriptors) WaitCovered() (open bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wait(func() bool { return d.taken <= d.limit })
	return !d.closed
}

// wait waits until there is room, or Close. mu must be held; it is not held while somebody is told.
func (d *Descriptors) wait(room func() bool) {
	d.waiting.Add(1)
	defer d.waiting.Add(-1)
	for d.limit > 0 && !d.closed && !room() {
		if d.usedUp.IsZero() {
			d.usedUp = time.Now()
			d.mu.Unlock()
			d.tell()
			d.mu.Lock()
			continue // there may be room by now
		}
		d.freed.Wait()
	}
}

// MayYield has those in Wait ask again whether a connection yields.
func (d *Descriptors) MayYield() {
	if d.waiting.Load() == 0 {
		return // who begins to wait after that asks after what has led to this call
	}
	d.mu.Lock() // nobody is between asking and waiting
	defer d.mu.Unlock()
	d.freed.Broadcast()
}

// Limit returns how many descriptors may be taken before Wait waits; 0 = no limit.
func (d *Descriptors) Limit() int { return d.limit }

// Taken returns how many descriptors are taken. Those of the reserve can make them more than Limit.
func (d *Descriptors) Taken() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.taken
}

// UsedUp returns since when the descriptors are used up; zero = they are not.
func (d *Descriptors) UsedUp() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.usedUp
}

// Take takes a descriptor at once, out of the reserve if need be, and reports whether there was one.
func (d *Descriptors) Take() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.limit > 0 && d.taken >= d.most {
		return false
	}
	d.taken++
	return true
}

// Give gives a descriptor back.
func (d *Descriptors) Give() {
	d.mu.Lock()
	d.taken--
	over := !d.usedUp.IsZero() && d.taken <= d.limit-(d.limit+9)/10
	if over {
		d.usedUp = time.Time{}
	}
	d.mu.Unlock()
	d.freed.Broadcast() // those that wait want different amounts
	if over {
		d.tell()
	}
}

// tell calls changed, unless it knows already. Calls come one at a time, so that the last one is right.
func (d *Descriptors) tell() {
	if d.changed == nil {
		return
	}
	d.telling.Lock()
	defer d.telling.Unlock()
	if now := d.UsedUp(); now != d.told {
		d.told = now
		d.changed(now)
	}
}

// Close ends every Wait.
func (d *Descriptors) Close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.freed.Broadcast()
}
