// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"
)

const (
	// strikeLimit is how many CONNECTs in a row have to fail for an ejection: one may be the client's doing.
	strikeLimit = 3
	// missLimit is the same for probes, which no client has a part in.
	missLimit = 2

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
	Silent      Reason = "silent"      // it did not answer CONNECTs
	Unavailable Reason = "unavailable" // it answered CONNECTs with "server unavailable"
	Health      Reason = "health"      // probes failed
)

// Reasons returns all reasons there are.
func Reasons() []Reason { return []Reason{Dial, Silent, Unavailable, Health} }

// A member is a broker at one address. The pool's mu guards it.
type member struct {
	addr     string // IP address and port
	name     string // the host:port it was found by
	home     uint64 // hash of what clients are at home with
	sessions int    // places that are here
	excluded uint64 // the pool's mark, if the choice under way must pass it by
	gone     bool   // its name does not stand for it any more

	state   State // Up, Returning or Ejected
	since   time.Time
	era     uint64 // counts the changes of state
	strikes int    // CONNECTs that failed since one was answered
	misses  int    // probes that failed since one succeeded

	due     time.Time // for the next probe
	probing bool

	// Of the last ejection.
	reason    Reason
	detail    error          // the error behind reason; nil = reason says it all
	relapses  int            // ejections and failed retries since it was up
	ejections map[Reason]int // all of them

	// While it is returning.
	trial  bool      // one session is here to see how it fares
	proven time.Time // when it answered one; zero = not yet
	credit float64   // sessions it is owed, below 1
}

// enter changes the state. All that is under way in the old one is old news from now on.
func (m *member) enter(state State) {
	m.state, m.since = state, time.Now()
	m.era++
	m.strikes, m.misses = 0, 0
	m.trial, m.proven, m.credit = false, time.Time{}, 0
}

// returned tells whether m has been returning for long enough.
func (m *member) returned(now time.Time) bool {
	return m.state == Returning && !m.proven.IsZero() && now.Sub(m.proven) >= returnTime
}

// beginTrial tells whether the session that has just come is the trial of m.
func (m *member) beginTrial() bool {
	if m.state != Returning || !m.proven.IsZero() || m.trial {
		return false
	}
	m.trial = true
	return true
}

// admits tells whether m, which is up or returning, takes a session that would be its own. Each question counts: of
// those, a returning member takes one in ten at first, and more and more.
func (m *member) admits() bool {
	switch {
	case m.state == Up:
		return true
	case m.proven.IsZero():
		return !m.trial
	}
	m.credit += firstShare + (1-firstShare)*time.Since(m.proven).Seconds()/returnTime.Seconds()
	if m.credit < 1 {
		return false
	}
	m.credit = min(m.credit-1, 1) // its time may be over and not noticed yet
	return true
}

// answered is the pool's news that m answered a CONNECT; p.mu is held.
func (p *Pool) answered(m *member) {
	m.strikes = 0
	if m.state == Ejected { // chosen as a last resort, and well
		p.readmit(m)
	}
	if m.state == Returning && m.proven.IsZero() {
		m.proven = time.Now()
	}
}

// failed is the pool's news that a CONNECT to m came to nothing; p.mu is held.
func (p *Pool) failed(m *member, why Reason, err error) {
	m.strikes++
	onTrial := m.state == Returning && m.proven.IsZero()
	if m.state != Ejected && (why == Dial || onTrial || m.strikes >= strikeLimit) {
		p.eject(m, why, err)
	}
}

// probed is the outcome of a probe that was begun in the current era of m; p.mu is held.
func (p *Pool) probed(m *member, err error) {
	switch {
	case err == nil && m.state == Ejected:
		p.readmit(m)
	case err == nil:
		m.misses = 0
	case m.state == Ejected:
		m.detail = err
		p.retryLater(m)
	default:
		m.misses++
		m.due = time.Now().Add(jittered(probeAgain))
		if m.misses >= missLimit {
			p.eject(m, Health, err)
		}
	}
}

// eject takes m out for a while; p.mu is held.
func (p *Pool) eject(m *member, why Reason, err error) {
	m.enter(Ejected)
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

// retryLater puts the next attempt with an ejected member off, further each time; p.mu is held.
func (p *Pool) retryLater(m *member) {
	m.due = time.Now().Add(jittered(min(firstBackoff<<min(m.relapses, 10), maxBackoff)))
	m.relapses++
	p.stir()
}

// readmit begins the return of an ejected member; p.mu is held.
func (p *Pool) readmit(m *member) {
	p.cfg.Logger.Info("backend is returning", "backend", m.addr, "name", m.name, "ejected_for", time.Since(m.since).Round(time.Millisecond))
	m.enter(Returning)
	m.due = m.since.Add(jittered(probeInterval))
}

// jittered is d, a fifth more or less, so that vernegates and brokers do not fall into step.
func jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// ownWant tells whether an error of dialing is not about the broker: the caller gave up, or this machine is out of
// descriptors, memory or local ports.
func ownWant(err error) bool {
	return slices.ContainsFunc([]error{
		context.Canceled, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL,
	}, func(want error) bool { return errors.Is(err, want) })
}
