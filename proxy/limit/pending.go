// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"container/list"
	"sync"
)

// PendingHandshakes are the connections that are not through their handshake, or have failed in it and are being closed.
// There are no more than limit, so that strangers cannot use up the memory: a silent one takes 13 kB, one after its
// ClientHello 30 kB, and one whose client sends as much as it may 120 kB.
//
// When there are as many, a newcomer takes the place of one whose client lets us wait. Those without a ClientHello and
// those that owe a later flight are queues of their own, and the longer of the two loses the one that has waited for
// longest: a flood of silent sockets pushes out silent sockets, and one of ClientHellos those that stopped behind it.
// Connections that wait for us, in the queue for a place to compute or while we compute, keep their places; when more than
// half do, the newcomer waits, and others in the kernel's backlog: what is left would be pushed out too soon.
//
// Methods may be called concurrently.
type PendingHandshakes struct {
	limit int    // 0 = no limit
	waits func() // is called when AnyWaits may report true, without mu

	mu      sync.Mutex
	freed   sync.Cond // with mu; signals that there may be room
	count   int
	silent  list.List // of *Handshake without a ClientHello, the oldest first
	stalled list.List // of *Handshake that wait for the client, the one that waits for longest first
	closed  bool
}

// A Handshake is a connection that is not through its handshake. The zero value is not counted.
type Handshake struct {
	Conn Displacer // is set before Add

	// Guarded by mu of PendingHandshakes.
	counted bool
	queue   *list.List // silent or stalled; nil = it waits for us
	element *list.Element
}

// A Displacer closes its connection at once, as a newer one needs its place.
type Displacer interface{ Displace() }

// NewPendingHandshakes bounds them to limit; 0 = no limit. waits is called after each change by which AnyWaits may have come
// to report true.
func NewPendingHandshakes(limit int, waits func()) *PendingHandshakes {
	p := &PendingHandshakes{limit: limit, waits: waits}
	p.freed.L = &p.mu
	return p
}

// Add counts a connection that is still silent, when there is room or it has made room.
func (p *PendingHandshakes) Add(h *Handshake) {
	p.mu.Lock()
	var displaced []*Handshake
	for p.limit > 0 && p.count >= p.limit && !p.closed {
		if victim := p.oldest(); victim != nil && p.silent.Len()+p.stalled.Len() > p.limit/2 {
			p.drop(victim)
			displaced = append(displaced, victim)
		} else {
			p.freed.Wait()
		}
	}
	p.count++
	h.counted = true
	p.move(h, &p.silent)
	p.mu.Unlock()
	p.waits()
	for _, victim := range displaced {
		victim.Conn.Displace()
	}
}

// DisplaceOne makes room for a newcomer for lack of something else than places, and reports whether there was a connection
// that it could close.
func (p *PendingHandshakes) DisplaceOne() bool {
	p.mu.Lock()
	victim := p.oldest()
	if victim != nil {
		p.drop(victim)
	}
	p.mu.Unlock()
	if victim != nil {
		victim.Conn.Displace()
	}
	return victim != nil
}

// AnyWaits reports whether there is a connection that DisplaceOne could close.
func (p *PendingHandshakes) AnyWaits() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.oldest() != nil
}

// oldest returns the connection that has to go first; nil = none may. mu must be held.
func (p *PendingHandshakes) oldest() *Handshake {
	queue := &p.silent
	if p.stalled.Len() > p.silent.Len() {
		queue = &p.stalled
	}
	if first := queue.Front(); first != nil {
		return first.Value.(*Handshake)
	}
	return nil
}

// WaitsForUs notes that the client has done its part.
func (p *PendingHandshakes) WaitsForUs(h *Handshake) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.counted {
		p.move(h, nil)
	}
}

// WaitsForClient notes that the client has to do the next step, also to close a connection that has failed.
func (p *PendingHandshakes) WaitsForClient(h *Handshake) {
	p.mu.Lock()
	if h.counted {
		p.move(h, &p.stalled)
		p.freed.Signal()
	}
	p.mu.Unlock()
	p.waits()
}

// Remove takes a connection out, if it is in.
func (p *PendingHandshakes) Remove(h *Handshake) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.counted {
		p.drop(h)
	}
}

// Close ends every wait for room.
func (p *PendingHandshakes) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.freed.Broadcast()
}

// drop is Remove; mu must be held.
func (p *PendingHandshakes) drop(h *Handshake) {
	p.move(h, nil)
	h.counted = false
	p.count--
	p.freed.Signal()
}

// move puts a connection at the end of a queue, or in none. mu must be held.
func (p *PendingHandshakes) move(h *Handshake, queue *list.List) {
	if h.queue != nil {
		h.queue.Remove(h.element)
	}
	h.queue = queue
	if queue != nil {
		h.element = queue.PushBack(h)
	}
}
