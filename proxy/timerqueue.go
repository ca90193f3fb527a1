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
type timers struct {
	mu     *sync.Mutex
	queue  timerQueue
	sooner chan struct{} // has room for one; says that another timer is the first now
}

func (t *timers) init(mu *sync.Mutex) { t.mu, t.sooner = mu, make(chan struct{}, 1) }

// set sets a timer, and wakes serve when that one is the first now. mu must be held.
func (t *timers) set(timer *timer, at time.Time) {
	if t.queue.set(timer, at) {
		select {
		case t.sooner <- struct{}{}:
		default:
		}
	}
}

// serve calls fire for each timer whose time has come, one after the other, until ctx ends.
func (t *timers) serve(ctx context.Context, fire func(*timer)) {
	first := time.NewTimer(0)
	defer first.Stop()
	for ctx.Err() == nil {
		t.mu.Lock()
		timer, wait := t.queue.due(time.Now())
		t.mu.Unlock()
		if timer != nil {
			fire(timer)
			continue
		}
		first.Reset(wait)
		select {
		case <-first.C:
		case <-t.sooner:
		case <-ctx.Done():
		}
	}
}

// A timerQueue holds what is to be done at some later time, the earliest first. One time.Timer serves all of it: one
// for each session would cost more memory than the rest of what is kept about it.
type timerQueue []*timer

// A timer is about one session, or about one client certificate and all its sessions. The zero value is in no queue.
type timer struct {
	at      time.Time
	session *session
	cert    *clientCert
	index   int // in the queue, counted from 1; 0 = in none
}

// set enters t, or moves it, to a time. It reports whether t comes first now.
func (q *timerQueue) set(t *timer, at time.Time) (first bool) {
	t.at = at
	if t.index == 0 {
		heap.Push(q, t)
	} else {
		heap.Fix(q, t.index-1)
	}
	return t.index == 1
}

// cancel takes t out, if it is in.
func (q *timerQueue) cancel(t *timer) {
	if t.index > 0 {
		heap.Remove(q, t.index-1)
	}
}

// due takes out and returns the first timer if its time has come; else nil, and how long that takes.
func (q *timerQueue) due(now time.Time) (t *timer, wait time.Duration) {
	if len(*q) == 0 {
		return nil, time.Hour // or until something is entered
	}
	if wait := (*q)[0].at.Sub(now); wait > 0 {
		return nil, wait
	}
	return heap.Pop(q).(*timer), 0
}

// The methods of heap.Interface; call none of them but through package heap.

func (q timerQueue) Len() int           { return len(q) }
func (q timerQueue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }

func (q timerQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i+1, j+1
}

func (q *timerQueue) Push(x any) {
	t := x.(*timer)
	*q = append(*q, t)
	t.index = len(*q)
}

func (q *timerQueue) Pop() any {
	last := len(*q) - 1
	t := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	t.index = 0
	return t
}
