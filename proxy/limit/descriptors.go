// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package limit bounds what connections use at a time: file descriptors, handshakes that compute, handshakes that wait for
// their clients, and connections of one key. It knows no connection; what a refusal means to a client is its caller's
// business.
package limit

import "sync"

// Descriptors bounds the file descriptors that connections use, so that the process never runs out of them: out of
// descriptors, neither a certificate-acl request nor the reading of a new CRL would succeed.
//
// A connection takes one descriptor before it is accepted and waits for it; what waits is the kernel's backlog. It
// takes a second one when the broker is dialed, and does not wait then: the reserve is for clients that
// have shown who they are, so that silent strangers can use up the descriptors but not stop those already inside.
// A client that says nothing therefore costs one descriptor and not two.
//
// Methods may be called concurrently.
type Descriptors struct {
	limit int // Wait waits while this many are taken; 0 = no limit

	mu     sync.Mutex
	freed  sync.Cond // with mu; signals taken < limit, or closed
	taken  int
	closed bool
}

// NewDescriptors bounds descriptors to n, of which one in thirty-two is the reserve; 0 = no limit.
func NewDescriptors(n int) *Descriptors {
	d := &Descriptors{limit: n - n/32}
	d.freed.L = &d.mu
	return d
}

// Wait takes a descriptor as soon as there is one. When yields reports that a connection can be closed in favour of the
// next, it takes one of the reserve: overdrawn says that this has to be done. open is false after Close.
func (d *Descriptors) Wait(yields func() bool) (open, overdrawn bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.limit > 0 && d.taken >= d.limit && !d.closed && !yields() {
		d.freed.Wait()
	}
	if d.closed {
		return false, false
	}
	d.taken++
	return true, d.limit > 0 && d.taken > d.limit
}

// Taken returns how many descriptors are taken.
func (d *Descriptors) Taken() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.taken
}

// Take takes a descriptor at once, out of the reserve if need be.
func (d *Descriptors) Take() {
	d.mu.Lock()
	d.taken++
	d.mu.Unlock()
}

// Give gives a descriptor back.
func (d *Descriptors) Give() {
	d.mu.Lock()
	d.taken--
	d.mu.Unlock()
	d.freed.Signal()
}

// Close ends every Wait.
func (d *Descriptors) Close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.freed.Broadcast()
}
