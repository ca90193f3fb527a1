// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// timers are a timerQueue and what it takes to serve it. A mutex of its owner guards the queue.
type timers[T any] struct {
	mu     *sync.Mutex
	queue  timerQueue[T]
	sooner chan struct{} // has room for one; says that another timer is the first now
	now    func() time.Time
}

func (t *timers[T]) init(mu *sync.Mutex) {
	t.mu, t.sooner, t.now = mu, make(chan struct{}, 1), time.Now
}

// set sets a timer, and wakes serve when that one is the first now. mu must be held.
func (t *timers[T]) set(timer *timer[T], at time.Time) {
	if t.queue.set(timer, at) {
		select {
		case t.sooner <- struct{}{}:
		default:
		}
	}
}

// longestSleep is how late a timer may be whose time comes all at once, as the clock was set forward or the machine was
// suspended: a time.Timer knows nothing of that.
const longestSleep = time.Minute

// serve calls fire with what each timer is about whose time has come, one after the other, until ctx ends.
func (t *timers[T]) serve(ctx context.Context, fire func(*T)) {
	first := time.NewTimer(0)
	defer first.Stop()
	for ctx.Err() == nil {
		t.mu.Lock()
		timer, wait := t.queue.due(t.now())
		t.mu.Unlock()
		if timer != nil {
			fire(timer.about)
			continue
		}
		first.Reset(min(wait, longestSleep))
		select {
		case <-first.C:
		case <-t.sooner:
		case <-ctx.Done():
		}
	}
}

// A timerQueue holds what is to be done at some later time, the earliest first. One time.Timer serves all of it: one
// for each session would cost more memory than the rest of what is kept about it.
type timerQueue[T any] []*timer[T]

// A timer is about one T. The zero value is in no queue.
type timer[T any] struct {
	at    time.Time
	about *T
	index int // in the queue, counted from 1; 0 = in none
}

// set enters t, or moves it, to a time. It reports whether t comes first now.
func (q *timerQueue[T]) set(t *timer[T], at time.Time) (first bool) {
	t.at = at
	if t.index == 0 {
		heap.Push(q, t)
	} else {
		heap.Fix(q, t.index-1)
	}
	return t.index == 1
}

// cancel takes t out, if it is in.
func (q *timerQueue[T]) cancel(t *timer[T]) {
	if t.index > 0 {
		heap.Remove(q, t.index-1)
	}
}

// due takes out and returns the first timer if its time has come; else nil, and how long that takes.
func (q *timerQueue[T]) due(now time.Time) (t *timer[T], wait time.Duration) {
	if len(*q) == 0 {
		return nil, time.Hour // or until something is entered
	}
	if wait := (*q)[0].at.Sub(now); wait > 0 {
		return nil, wait
	}
	return heap.Pop(q).(*timer[T]), 0
}

// The methods of heap.Interface; call none of them but through package heap.

func (q timerQueue[T]) Len() int           { return len(q) }
func (q timerQueue[T]) Less(i, j int) bool { return q[i].at.Before(q[j].at) }

func (q timerQueue[T]) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i+1, j+1
}

func (q *timerQueue[T]) Push(x any) {
	t := x.(*timer[T])
	*q = append(*q, t)
	t.index = len(*q)
}

func (q *timerQueue[T]) Pop() any {
	last := len(*q) - 1
	t := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	t.index = 0
	return t
}
