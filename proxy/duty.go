// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import "sync/atomic"

// A pipe is carried by one goroutine at a time, or by none while there is nothing to carry: then a poller waits for
// it. Who is on duty is decided here.
//
//	            readiness                        nothing to read
//	resting ───────────────► busy: a loop of the poller ───────────────► resting
//	   │                       │ has to wait for a socket to take bytes     ▲
//	   │ relieve               ▼                        all bytes are taken │
//	   └───────────────► busy: a goroutine of its own ──────────────────────┘
//	                           │ relieved: stays, and waits by itself
//	                           ▼
//	                         ended
//
// Whatever brings a session to its end relieves the poller of both pipes: what is left to do has deadlines, and is
// written for goroutines.
type duty struct {
	state    atomic.Uint32
	relieved atomic.Bool // the poller is not to be returned to
}

const (
	busy    uint32 = iota // someone is on duty; so it is at the beginning
	recall                // busy, and there was a readiness since
	resting               // nobody is
)

// take reports whether the caller is on duty now. If not, whoever is looks again before resting.
func (d *duty) take() bool {
	for {
		switch d.state.Load() {
		case resting:
			if d.state.CompareAndSwap(resting, busy) {
				return true
			}
		case busy:
			if d.state.CompareAndSwap(busy, recall) {
				return false
			}
		default:
			return false
		}
	}
}

// leave reports whether the caller is off duty now. If not, there was a readiness.
func (d *duty) leave() bool {
	if d.state.CompareAndSwap(busy, resting) {
		return true
	}
	d.state.Store(busy)
	return false
}

// serve carries without waiting, on a loop of the poller, and hands over what takes waiting. It returns false when
// there is more to carry; the caller, who stays on duty, does the rest after it has served others.
func (p *pipe) serve(ws *workspace) (done bool) {
	if p.duty.relieved.Load() {
		go p.work()
		return true
	}
	r := p.turn(ws)
	switch {
	case r.ender != nobody:
		go p.end(r)
	case r.stalled:
		go p.work()
	case r.dry:
		return p.rest()
	default:
		return false
	}
	return true
}

// work carries on a goroutine of its own: until the poller can have the pipe again, or else until its end.
func (p *pipe) work() {
	for !p.duty.relieved.Load() {
		if err := p.drain(); err != nil {
			p.end(result{ender: byDestination, err: err})
			return
		}
		switch r := p.borrow(); {
		case r.ender != nobody:
			p.end(r)
			return
		case r.dry && !r.stalled && p.rest():
			return
		}
	}
	p.end(p.carry())
}

// rest leaves the duty to the poller, unless there is something to do.
func (p *pipe) rest() bool {
	if !p.duty.leave() {
		return false
	}
	if p.duty.relieved.Load() && p.duty.state.CompareAndSwap(resting, busy) {
		go p.work()
	}
	return true
}

// relieve takes the pipe from the poller, for good.
func (p *pipe) relieve() {
	p.duty.relieved.Store(true)
	if p.duty.state.CompareAndSwap(resting, busy) {
		go p.work()
	}
}
