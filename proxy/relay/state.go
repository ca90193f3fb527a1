// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"runtime"
	"sync/atomic"
)

// A pipe is pumped by one goroutine at a time, or by none while there is nothing to carry: then a loop waits for it. Its
// state decides which one it is.
//
//	         readiness                         nothing to read
//	idle ───────────────► running: on its loop ───────────────► idle
//	 │                      │ has to wait for a socket to take bytes  ▲
//	 │ detach               ▼                     all bytes are taken │
//	 └─────────────────► running: on a goroutine of its own ──────────┘
//	                        │ detached: stays, and waits by itself
//	                        ▼
//	                      ended
//
// Whatever brings a session to its end detaches both pipes from their loop: what is left to do has deadlines, and is
// written for goroutines.
type pipeState struct {
	run      atomic.Uint32
	detached atomic.Bool // the loop is not to be returned to
	leaving  atomic.Bool // the source has ended, or is about to
}

const (
	running uint32 = iota // a goroutine pumps; so it is at the beginning
	pending               // running, and there was a readiness since
	idle                  // none does
)

// start reports whether the caller pumps now. If not, the goroutine that does looks again before it stops.
func (s *pipeState) start() bool {
	for {
		switch s.run.Load() {
		case idle:
			if s.run.CompareAndSwap(idle, running) {
				return true
			}
		case running:
			if s.run.CompareAndSwap(running, pending) {
				return false
			}
		default:
			return false
		}
	}
}

// stop reports whether the caller does not pump any more. If it still does, there was a readiness.
func (s *pipeState) stop() bool {
	if s.run.CompareAndSwap(running, idle) {
		return true
	}
	s.run.Store(running)
	return false
}

// pumpOnLoop pumps once, without waiting, and hands over to a goroutine what takes waiting. It returns false when there is
// more to carry; the loop goes on with that after it has served others.
func (p *Pipe) pumpOnLoop(s *scratch) (done bool) {
	if p.state.detached.Load() {
		go p.pumpAlone()
		return true
	}
	r := p.pump(s)
	switch {
	case r.Cause != None:
		go p.end(r)
	case r.stalled:
		go p.pumpAlone()
	case r.dry:
		return p.becomeIdle()
	default:
		return false
	}
	return true
}

// pumpAlone pumps on a goroutine of its own: until the loop can have the pipe again, or else until its end.
func (p *Pipe) pumpAlone() {
	for !p.state.detached.Load() {
		if err := p.flush(); err != nil {
			p.end(Result{Cause: DestinationFailed, Err: err})
			return
		}
		switch r := p.pumpOnce(); {
		case r.Cause != None:
			p.end(r)
			return
		case r.dry && !r.stalled && p.becomeIdle():
			return
		}
		runtime.Gosched() // others have their turn after one pump, as on a loop, and not after 10 ms
	}
	p.end(p.carry())
}

// becomeIdle leaves the pipe to its loop, unless there is something to do.
func (p *Pipe) becomeIdle() bool {
	if !p.state.stop() {
		return false
	}
	if p.state.detached.Load() && p.state.run.CompareAndSwap(idle, running) {
		go p.pumpAlone()
	}
	return true
}

// Detach takes the pipe from its loop for good. A pipe that waits for its source from then on obeys the deadlines of the
// connections. It may be called concurrently, and before the pipe is started.
func (p *Pipe) Detach() {
	p.state.detached.Store(true)
	if p.state.run.CompareAndSwap(idle, running) {
		go p.pumpAlone()
	}
}

// startAlone pumps each of the pipes on a goroutine of its own until it ends.
func startAlone(pipes ...*Pipe) {
	for _, p := range pipes {
		p.Detach()
		go p.pumpAlone()
	}
}
