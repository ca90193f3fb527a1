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

// A turnstile lets a few in at a time, the others in the order in which they came. Without it, the handshakes of
// ten thousand devices that come back at once would all be runnable at once, and a message of a live session
// would have to wait behind all of them, as Go's scheduler takes goroutines in turn.
//
// Those that have been in before go first. A handshake computes at least twice, and what it has computed is lost
// if it cannot end in time: served in one line, a storm would have all of them begin and few of them end.
type turnstile struct {
	mu    sync.Mutex
	free  int       // places; 0 while somebody waits
	again list.List // of chan struct{}, closed when the place is handed over
	first list.List // the same, for those who have not been in yet
}

func newTurnstile(places int) *turnstile { return &turnstile{free: places} }

// enterNow takes a place if one is free, which none is while somebody waits.
func (t *turnstile) enterNow() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free == 0 {
		return false
	}
	t.free--
	return true
}

// enter takes a place, or waits for one until ctx is done and then returns its error.
func (t *turnstile) enter(ctx context.Context, again bool) error {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return nil
	}
	line := &t.first
	if again {
		line = &t.again
	}
	turn := make(chan struct{})
	waiting := line.PushBack(turn)
	t.mu.Unlock()

	select {
	case <-turn:
		// Go runs next whom a goroutine has woken last, so that a line of handshakes that wake each other would
		// have a processor to itself.
		runtime.Gosched()
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-turn: // handed over meanwhile
		t.handOver()
	default:
		line.Remove(waiting)
	}
	return ctx.Err()
}

// leave gives a place to whoever is next.
func (t *turnstile) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.handOver()
}

// handOver is leave; mu must be held.
func (t *turnstile) handOver() {
	for _, line := range []*list.List{&t.again, &t.first} {
		if next := line.Front(); next != nil {
			close(line.Remove(next).(chan struct{}))
			return
		}
	}
	t.free++
}
