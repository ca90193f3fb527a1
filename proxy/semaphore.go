// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"container/list"
	"context"
	"runtime"
	"sync"
)

// handshakePlaces is how many handshakes may compute at a time. Half of the processors is enough to be busy with
// handshakes, as the other half is with what follows them, and leaves some that look after the network: a
// processor that always has something to run does so every 10 ms only.
func handshakePlaces() int { return max(1, runtime.GOMAXPROCS(0)/2) }

// A prioritySemaphore has a few places; those who wait get one in the order in which they came. Without it, the
// handshakes of ten thousand devices that come back at once would all be runnable at once, and a message of a live
// session would have to wait behind all of them, as Go's scheduler runs goroutines in turn.
//
// Handshakes that have held a place before go first. A handshake computes at least twice, and what it has computed is
// lost if it cannot end in time: served in one queue, a storm would have all of them begin and few of them end.
type prioritySemaphore struct {
	mu    sync.Mutex
	free  int       // places; 0 while somebody waits
	again list.List // of chan struct{}, closed when the place is handed over
	first list.List // the same, for those that have not held a place yet
}

func newPrioritySemaphore(places int) *prioritySemaphore { return &prioritySemaphore{free: places} }

// tryAcquire takes a place if one is free, which none is while somebody waits.
func (p *prioritySemaphore) tryAcquire() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free == 0 {
		return false
	}
	p.free--
	return true
}

// acquire takes a place, or waits for one until ctx is done and then returns its error.
func (p *prioritySemaphore) acquire(ctx context.Context, again bool) error {
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

// release gives a place to the next one that waits.
func (p *prioritySemaphore) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handOver()
}

// handOver is release; mu must be held.
func (p *prioritySemaphore) handOver() {
	for _, queue := range []*list.List{&p.again, &p.first} {
		if next := queue.Front(); next != nil {
			close(queue.Remove(next).(chan struct{}))
			return
		}
	}
	p.free++
}
