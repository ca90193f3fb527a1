// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"
)

const (
	// connectFailureLimit is how many CONNECTs in a row have to fail for an ejection: one may be the client's doing.
	connectFailureLimit = 3
	// probeFailureLimit is the same for probes, which do not depend on any client.
	probeFailureLimit = 2
	// clientLimit is how many different clients in a row have to be cut off for an ejection: without an answer to their
	// CONNECT, or soon after it. One client can bring that upon itself as often as it likes.
	clientLimit = 3

	// settleTime is how long a session has to last to prove anything: a VerneMQ that has been restarted accepts sessions
	// before its cluster is ready, and ends them 1.5 s to 5 s later.
	settleTime = 6 * time.Second
	// lastTime is after how long it is known that a session has lasted for that: the word of its end may come 10 s late.
	lastTime = settleTime + 10*time.Second

	// firstBackoff is how long a broker stays ejected at least: a restarting one is back within seconds.
	firstBackoff = time.Second
	// maxBackoff is how late a broker that is well again may be noticed.
	maxBackoff = 30 * time.Second

	// returnTime is how long a broker takes to get all of its sessions again: one that has just started is
	// still reading its store, joining its cluster and warming up.
	returnTime = 30 * time.Second
	// firstShare is what it begins with.
	firstShare = 0.1
)

// A State says what a broker is given.
type State uint8

// The states of brokers, the better ones first.
const (
	Up         State = iota // sessions like everybody else
	Returning               // few sessions at first
	Ejected                 // sessions only when there is nobody else
	Gone                    // no new ones: its name does not stand for it any more
	Unresolved              // none: its name was never resolved
)

// String returns a lower-case word.
func (s State) String() string {
	switch s {
	case Up:
		return "up"
	case Returning:
		return "returning"
	case Ejected:
		return "ejected"
	case Gone:
		return "gone"
	case Unresolved:
		return "unresolved"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// A Reason is what a broker was ejected for. It is fit for a metric label.
type Reason string

// The reasons.
const (
	Dial        Reason = "dial"        // it could not be dialed
	TLS         Reason = "tls"         // TLS with it did not come about
	Silent      Reason = "silent"      // it did not answer CONNECTs
	Unavailable Reason = "unavailable" // it answered CONNECTs with "server unavailable"
	Closed      Reason = "closed"      // it ended connections without an answer to the CONNECT
	Reset       Reason = "reset"       // it ended sessions soon after it had accepted them
	Health      Reason = "health"      // probes failed
)

// Reasons returns all reasons there are.
func Reasons() []Reason { return []Reason{Dial, TLS, Silent, Unavailable, Closed, Reset, Health} }

// A member is a broker at one address. The pool's mu guards it.
type member struct {
	addr     string // IP address and port
	name     string // the host:port it was found by
	home     uint64 // hash of what clients are at home with
	sessions int    // leases that have it
	excluded uint64 // the pool's mark, if the choice under way must pass it by
	gone     bool   // its name does not stand for it any more

	state           State // Up, Returning or Ejected
	since           time.Time
	epoch           uint64     // counts ejections and returns
	connectFailures int        // CONNECTs that failed since one was answered
	probeFailures   int        // probes that failed since one succeeded
	hangUps         clients    // whose CONNECTs were not answered since one was
	drops           clients    // whose sessions were dropped early since one was not
	firstDrop       time.Time  // when the first of these was
	live            *list.List // of *Lease: the sessions that it has accepted in this epoch, oldest first

	due     time.Time // for the next probe
	probing bool

	suspicion *suspicion // nil = none in this epoch
	confirmed time.Time  // when the last one was looked into; zero = never
	servedUs  bool       // Confirm has found nothing once

	// Since the last ejection or suspicion.
	served bool // it has answered the CONNECT of a client
	lasted bool // a session of a client has lasted, and is over

	// Of the last ejection.
	reason    Reason
	detail    error          // the error behind reason; nil = reason says it all
	relapses  int            // ejections and failed retries since it was up
	ejections map[Reason]int // all of them

	// While it is returning.
	trial    bool      // a session is on trial here
	answered time.Time // when it first answered one, and has not dropped one soon after since; zero = not yet
	repeats  int       // how often the trial began anew
	vouched  bool      // a session of our own has passed it
	credit   float64   // sessions it is owed, below 1
}

// clients are different clients, in the order in which they were added.
type clients []uint64

// add returns c with a client in it, unless there are enough already.
func (c clients) add(client uint64) clients {
	if len(c) >= clientLimit || slices.Contains(c, client) {
		return c
	}
	return append(c, client)
}

// setState changes the state and begins an epoch. Reports from the one before are ignored from now on.
func (m *member) setState(state State) {
	m.state, m.since = state, time.Now()
	m.epoch++
	m.connectFailures, m.probeFailures = 0, 0
	m.hangUps, m.drops, m.live = nil, nil, list.New()
	m.trial, m.answered, m.repeats, m.vouched, m.credit = false, time.Time{}, 0, false, 0
	m.suspicion, m.served, m.lasted = nil, false, false
}

// settled reports whether a session of this epoch has lasted: then m does not end the sessions of everybody.
func (m *member) settled(now time.Time) bool {
	oldest := m.live.Front()
	return oldest != nil && now.Sub(oldest.Value.(*Lease).began) >= settleTime
}

// proven reports whether m, which is returning, has passed its trial.
func (m *member) proven(now time.Time) bool {
	return m.vouched || !m.answered.IsZero() && now.Sub(m.answered) >= settleTime
}

// returned reports whether m has been returning for long enough.
func (m *member) returned(now time.Time) bool {
	return m.state == Returning && !m.answered.IsZero() && now.Sub(m.answered) >= settleTime+returnTime
}

// beginTrial reports whether the session that has just been given to m is its trial.
func (m *member) beginTrial() bool {
	if m.state != Returning || m.trial || m.proven(time.Now()) {
		return false
	}
	m.trial = true
	return true
}

// admits reports whether m, which is up or returning, takes a session that would be its own. Each question counts: of
// those, a returning member takes one in ten at first, and more and more.
func (m *member) admits() bool {
	now := time.Now()
	switch {
	case m.state == Up:
		return true
	case !m.proven(now):
		return !m.trial
	}
	returning := now.Sub(m.answered) - settleTime
	m.credit += firstShare + (1-firstShare)*returning.Seconds()/returnTime.Seconds()
	if m.credit < 1 {
		return false
	}
	m.credit = min(m.credit-1, 1) // its time may be over and not noticed yet
	return true
}

// succeeded is called when m has answered the CONNECT of l; p.mu is held.
func (p *Pool) succeeded(m *member, l *Lease, accepted bool) {
	m.connectFailures, m.hangUps, m.served = 0, nil, true
	if m.state == Ejected && !p.cfg.ProbeDecides && m.reason != Health {
		p.readmit(m) // it was chosen as a last resort, with success
		l.epoch, l.trial, m.trial = m.epoch, true, true
	}
	if m.state == Returning && m.answered.IsZero() {
		m.answered = time.Now()
	}
	if accepted {
		l.began, l.live = time.Now(), m.live.PushBack(l)
	}
}

// failed is called when a CONNECT to m was not answered, refused as unavailable, or could not be sent; p.mu is held.
func (p *Pool) failed(m *member, why Reason, err error) {
	m.connectFailures++
	onTrial := m.state == Returning && !m.proven(time.Now())
	switch {
	case m.state == Ejected:
	case why == Dial, why == TLS: // no client can bring that about
		p.eject(m, why, err)
	case onTrial, m.connectFailures >= connectFailureLimit:
		p.suspect(m, why, err)
	}
}

// hungUp is called when m has ended a connection without an answer to the client's CONNECT; p.mu is held.
func (p *Pool) hungUp(m *member, client uint64, err error) {
	if m.state == Ejected {
		return
	}
	if m.hangUps = m.hangUps.add(client); len(m.hangUps) >= clientLimit {
		p.suspect(m, Closed, err)
	}
}

// dropped is called when m has ended the session of l soon after it had accepted it. As long as other sessions last, that
// is the client's fault: VerneMQ ends the session of a client that publishes what it must not. Sessions that end together
// count once: a broker that was killed is found out by dialing it. p.mu is held.
func (p *Pool) dropped(m *member, l *Lease, at time.Time) {
	if m.state == Ejected || m.settled(at) {
		return
	}
	if m.state == Returning && !m.proven(at) {
		p.repeatTrial(m)
	}
	if len(m.drops) == 0 {
		m.firstDrop = at
	} else if !l.began.After(m.firstDrop) {
		return
	}
	if m.drops = m.drops.add(l.client); len(m.drops) >= clientLimit {
		p.suspect(m, Reset, fmt.Errorf("the sessions of %d clients in a row ended within %v of their CONNACK", len(m.drops), settleTime))
	}
}

// repeatTrial has the trial of m begin anew, as m has ended a session soon. One client can bring that about again and again,
// and keep everybody else from m. So the second time we find out as a client whether m is well; p.mu is held.
func (p *Pool) repeatTrial(m *member) {
	m.answered = time.Time{}
	if m.repeats++; m.repeats > 1 && p.cfg.Confirm != nil {
		p.suspect(m, Reset, fmt.Errorf("%d sessions on trial ended within %v of their CONNACK", m.repeats, settleTime))
	}
}

// probed is called with the outcome of a probe that was begun in the current epoch of m; p.mu is held.
func (p *Pool) probed(m *member, err error) {
	switch {
	case err == nil && m.state == Ejected:
		p.readmit(m)
	case err == nil:
		m.probeFailures = 0
	case m.state == Ejected:
		m.detail = err
		p.retryLater(m)
	default:
		m.probeFailures++
		m.due = time.Now().Add(jittered(probeAgain))
		if m.probeFailures >= probeFailureLimit {
			p.eject(m, Health, err)
		}
	}
}

// eject takes m out for a while; p.mu is held.
func (p *Pool) eject(m *member, why Reason, err error) {
	m.setState(Ejected)
	m.reason, m.detail = why, err
	if m.ejections == nil {
		m.ejections = make(map[Reason]int)
	}
	m.ejections[why]++
	p.retryLater(m)
	attrs := []any{"backend", m.addr, "name", m.name, "why", string(why), "sessions", m.sessions}
	if err != nil {
		attrs = append(attrs, "err", err)
	}
	p.cfg.Logger.Warn("backend is ejected", attrs...)
}

// retryLater puts the next attempt with an ejected member off, further each time, unless another member has just come
// back: then this one may follow within seconds; p.mu is held.
func (p *Pool) retryLater(m *member) {
	pause := probeAgain
	if !p.anyJustReturned() {
		pause = min(firstBackoff<<min(m.relapses, 10), maxBackoff)
		m.relapses++
	}
	m.due = time.Now().Add(jittered(pause))
	p.wakeRun()
}

// anyJustReturned reports whether a member has begun to return within returnTime; p.mu is held.
func (p *Pool) anyJustReturned() bool {
	return slices.ContainsFunc(p.members, func(m *member) bool {
		return m.state == Returning && time.Since(m.since) < returnTime
	})
}

// readmit begins the return of an ejected member, and has the other ejected ones probed at once: they may have been gone
// for the same reason; p.mu is held.
func (p *Pool) readmit(m *member) {
	p.cfg.Logger.Info("backend is returning", "backend", m.addr, "name", m.name, "ejected_for", time.Since(m.since).Round(time.Millisecond))
	m.setState(Returning)
	m.due = m.since.Add(jittered(probeInterval))
	for _, other := range p.members {
		if other.state == Ejected {
			other.due = m.since
		}
	}
	p.wakeRun()
}

// jittered returns d, a fifth more or less, so that not all vernegates probe a broker at the same moment.
func jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// isLocalError reports whether an error of dialing is not about the broker: the caller gave up, or this machine is out of
// descriptors, memory or local ports.
func isLocalError(err error) bool {
	return slices.ContainsFunc([]error{
		context.Canceled, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL,
	}, func(want error) bool { return errors.Is(err, want) })
}
