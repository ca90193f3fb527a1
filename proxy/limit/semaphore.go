// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"container/list"
	"context"
	"runtime"
	"sync"
)

// A PrioritySemaphore has a few places; handshakes that wait get one in the order in which they came. Without it, the
// handshakes of ten thousand devices that come back at once would all be runnable at once, and a message of a live
// session would have to wait behind all of them, as Go's scheduler runs goroutines in turn.
//
// Handshakes that have held a place before go first. A handshake computes at least twice, and what it has computed is
// lost if it cannot end in time: served in one queue, a storm would have all of them begin and few of them end.
//
// Methods may be called concurrently.
type PrioritySemaphore struct {
	mu    sync.Mutex
	free  int       // places; 0 while a handshake waits
	again list.List // of chan struct{}, closed when the place is handed over
	first list.List // the same, for those that have not held a place yet
}

// NewPrioritySemaphore makes one with that many places, at least one.
func NewPrioritySemaphore(places int) *PrioritySemaphore { return &PrioritySemaphore{free: places} }

// TryAcquire takes a place if one is free, which none is while a handshake waits.
func (p *PrioritySemaphore) TryAcquire() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free == 0 {
		return false
	}
	p.free--
	return true
}

// Acquire takes a place, or waits for one until ctx is done and then returns its error. again says that this handshake has
// held a place before.
func (p *PrioritySemaphore) Acquire(ctx context.Context, again bool) error {
	p.mu.Lock()
	if p.free > 0 {
		p.free--
		p.mu.Unlock()
		return nil
	}
	queue := &p.first
	if again {
		queue = &p.again
	}
	granted := make(chan struct{})
	waiting := queue.PushBack(granted)
	p.mu.Unlock()

	select {
	case <-granted:
		// Go runs next the goroutine that was woken last: without this, handshakes that wake each other would have a
		// processor to themselves.
		runtime.Gosched()
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-granted: // meanwhile
		p.handOver()
	default:
		queue.Remove(waiting)
	}
	return ctx.Err()
}

// Release gives a place to the next one that waits.
func (p *PrioritySemaphore) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handOver()
}

// handOver is Release; mu must be held.
func (p *PrioritySemaphore) handOver() {
	for _, queue := range []*list.List{&p.again, &p.first} {
		if next := queue.Front(); next != nil {
			close(queue.Remove(next).(chan struct{}))
			return
		}
	}
	p.free++
}
