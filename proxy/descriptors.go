// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import "sync"

// slots bounds the file descriptors that connections use, so that the process never runs out of them: out of
// descriptors, neither a certificate-acl request nor the reading of a new CRL would succeed.
//
// A connection takes one slot before it is accepted and waits for it; what waits is the kernel's backlog. It
// takes a second one when the broker is dialed, and is not made to wait then: the reserve is for those, who
// have shown who they are, so that silent strangers can use up the slots but not stop those already inside.
// A client that says nothing therefore costs one descriptor and not two.
type slots struct {
	limit int // Accept waits while this many are taken; 0 = no limit

	mu     sync.Mutex
	freed  sync.Cond // with mu; signals taken < limit, or closed
	taken  int
	closed bool
}

// newSlots divides a number of descriptors: one in thirty-two is the reserve.
func newSlots(descriptors int) *slots {
	s := &slots{limit: descriptors - descriptors/32}
	s.freed.L = &s.mu
	return s
}

// wait takes a slot as soon as there is one. When yields reports that a connection can be closed in favour of the next,
// it takes one of the reserve: overdrawn says that this has to be done. open is false when the slots were closed.
func (s *slots) wait(yields func() bool) (open, overdrawn bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.limit > 0 && s.taken >= s.limit && !s.closed && !yields() {
		s.freed.Wait()
	}
	if s.closed {
		return false, false
	}
	s.taken++
	return true, s.limit > 0 && s.taken > s.limit
}

// take takes a slot at once, out of the reserve if need be.
func (s *slots) take() {
	s.mu.Lock()
	s.taken++
	s.mu.Unlock()
}

// give gives a slot back.
func (s *slots) give() {
	s.mu.Lock()
	s.taken--
	s.mu.Unlock()
	s.freed.Signal()
}

// close ends every wait.
func (s *slots) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.freed.Broadcast()
}
