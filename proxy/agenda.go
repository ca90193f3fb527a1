// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"container/heap"
	"time"
)

// An agenda holds what is to be done at some later time, the earliest first. One timer serves all of it: a timer
// for each session would cost more memory than the rest of what is kept about it.
type agenda []*appointment

// An appointment is about one session, or about all sessions of one bearer. The zero value is in no agenda.
type appointment struct {
	at      time.Time
	session *session
	bearer  *bearer
	place   int // in the agenda, counted from 1; 0 = in none
}

// put enters a, or moves it, to a time. It reports whether a comes first now.
func (g *agenda) put(a *appointment, at time.Time) (first bool) {
	a.at = at
	if a.place == 0 {
		heap.Push(g, a)
	} else {
		heap.Fix(g, a.place-1)
	}
	return a.place == 1
}

// cancel takes a out, if it is in.
func (g *agenda) cancel(a *appointment) {
	if a.place > 0 {
		heap.Remove(g, a.place-1)
	}
}

// due takes out and returns the first appointment if its time has come; else nil, and how long that takes.
func (g *agenda) due(now time.Time) (a *appointment, wait time.Duration) {
	if len(*g) == 0 {
		return nil, time.Hour // or until something is entered
	}
	if wait := (*g)[0].at.Sub(now); wait > 0 {
		return nil, wait
	}
	return heap.Pop(g).(*appointment), 0
}

// The methods of heap.Interface; not for anybody else.

func (g agenda) Len() int           { return len(g) }
func (g agenda) Less(i, j int) bool { return g[i].at.Before(g[j].at) }

func (g agenda) Swap(i, j int) {
	g[i], g[j] = g[j], g[i]
	g[i].place, g[j].place = i+1, j+1
}

func (g *agenda) Push(x any) {
	a := x.(*appointment)
	*g = append(*g, a)
	a.place = len(*g)
}

func (g *agenda) Pop() any {
	last := len(*g) - 1
	a := (*g)[last]
	(*g)[last] = nil
	*g = (*g)[:last]
	a.place = 0
	return a
}
