// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"container/list"
	"errors"
	"sync"
)

// pendingHandshakes are the connections that are not through their handshake, or have failed in it and are being closed.
// There are no more than limit, so that strangers cannot use up the memory: a silent one takes 13 kB, one after its
// ClientHello 24 kB.
//
// When there are as many, a newcomer takes the place of one whose client lets us wait. Those without a ClientHello and
// those that owe a later flight are queues of their own, and the longer of the two loses the one that has waited for
// longest: a flood of silent sockets pushes out silent sockets, and one of ClientHellos those that stopped behind it.
// Connections that wait for us, in the queue for a handshake slot or while we compute, keep their places; when more than
// half do, the newcomer waits, and others in the kernel's backlog: what is left would be pushed out too soon.
//
// Methods may be called concurrently.
type pendingHandshakes struct {
	limit int // 0 = no limit

	mu      sync.Mutex
	freed   sync.Cond // with mu; signals that there may be room
	count   int
	silent  list.List // of *handshakeSlot without a ClientHello, the oldest first
	stalled list.List // of *handshakeSlot that wait for the client, the one that waits for longest first
	closed  bool
}

// A pendingState is the part of a handshakeSlot that mu of pendingHandshakes guards.
type pendingState struct {
	counted bool
	queue   *list.List // silent or stalled; nil = it waits for us
	element *list.Element
}

// errDisplaced is the detail of a connection that had to make room for a newer one.
var errDisplaced = errors.New("too many handshakes at a time, and this one waited for its client for longest")

func newPendingHandshakes(limit int) *pendingHandshakes {
	p := &pendingHandshakes{limit: limit}
	p.freed.L = &p.mu
	return p
}

// add counts a connection that is still silent, when there is room or it has made room.
func (p *pendingHandshakes) add(h *handshakeSlot) {
	p.mu.Lock()
	var displaced []*handshakeSlot
	for p.limit > 0 && p.count >= p.limit && !p.closed {
		if victim := p.oldest(); victim != nil && p.silent.Len()+p.stalled.Len() > p.limit/2 {
			p.drop(victim)
			displaced = append(displaced, victim)
		} else {
			p.freed.Wait()
		}
	}
	p.count++
	h.pending.counted = true
	p.move(h, &p.silent)
	p.mu.Unlock()
	for _, victim := range displaced {
		victim.session.displace()
	}
}

// displaceOne makes room for a newcomer for lack of something else than places.
func (p *pendingHandshakes) displaceOne() {
	p.mu.Lock()
	victim := p.oldest()
	if victim != nil {
		p.drop(victim)
	}
	p.mu.Unlock()
	if victim != nil {
		victim.session.displace()
	}
}

// anyWaits reports whether there is a connection that displaceOne could close.
func (p *pendingHandshakes) anyWaits() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.oldest() != nil
}

// oldest returns the connection that has to go first; nil = none may. mu must be held.
func (p *pendingHandshakes) oldest() *handshakeSlot {
	queue := &p.silent
	if p.stalled.Len() > p.silent.Len() {
		queue = &p.stalled
	}
	if first := queue.Front(); first != nil {
		return first.Value.(*handshakeSlot)
	}
	return nil
}

// waitsForUs notes that the client has done its part.
func (p *pendingHandshakes) waitsForUs(h *handshakeSlot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.pending.counted {
		p.move(h, nil)
	}
}

// waitsForClient notes that it is the client's turn, also to close a connection that has failed.
func (p *pendingHandshakes) waitsForClient(h *handshakeSlot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.pending.counted {
		p.move(h, &p.stalled)
		p.freed.Signal()
	}
}

// remove takes a connection out, if it is in.
func (p *pendingHandshakes) remove(h *handshakeSlot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.pending.counted {
		p.drop(h)
	}
}

// close ends every wait for room.
func (p *pendingHandshakes) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.freed.Broadcast()
}

// drop is remove; mu must be held.
func (p *pendingHandshakes) drop(h *handshakeSlot) {
	p.move(h, nil)
	h.pending.counted = false
	p.count--
	p.freed.Signal()
}

// move puts a connection at the end of a queue, or in none. mu must be held.
func (p *pendingHandshakes) move(h *handshakeSlot, queue *list.List) {
	if h.pending.queue != nil {
		h.pending.queue.Remove(h.pending.element)
	}
	h.pending.queue = queue
	if queue != nil {
		h.pending.element = queue.PushBack(h)
	}
}

// displace closes a connection that is not through its handshake, from any goroutine and at once: to wait for its client
// would take the memory that it has to give back.
func (s *session) displace() {
	s.over(RateLimited, errDisplaced)
	s.cut()
}

// displaced reports whether displace has closed the connection.
func (s *session) displaced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason == RateLimited
}
