// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// A Status is what there is to say about one broker.
type Status struct {
	Addr     string // IP address and port; of an unresolved name the name
	Name     string // host:port as configured
	Sessions int    // those being connected included
	State    State
	Since    time.Time // of the state; zero for Gone and Unresolved

	// Of an ejection, the last one if it is over.
	Reason    Reason         // "" = never ejected
	Detail    string         // the error behind Reason, if there was one; of an unresolved name, why
	NextTry   time.Time      // of one that is ejected; zero otherwise
	Ejections map[Reason]int // how many there were; the caller's to keep
}

// Status returns the status of every known broker, and of every name without one, ordered by name and address.
func (p *Pool) Status() []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []Status
	for _, m := range p.known {
		all = append(all, m.status())
	}
	for _, n := range p.names {
		if n.addrs == nil {
			all = append(all, n.status())
		}
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Addr, b.Addr)) })
	return all
}

// NoneUp returns since when there has been no broker that is up or returning; zero = there is one.
func (p *Pool) NoneUp() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	since := p.began
	for _, m := range p.members {
		if m.state != Ejected {
			return time.Time{}
		}
		if m.since.After(since) {
			since = m.since
		}
	}
	return since
}

func (m *member) status() Status {
	s := Status{
		Addr: m.addr, Name: m.name, Sessions: m.sessions, State: m.state, Since: m.since,
		Reason: m.reason, Ejections: maps.Clone(m.ejections),
	}
	if m.detail != nil {
		s.Detail = m.detail.Error()
	}
	switch {
	case m.gone:
		s.State, s.Since = Gone, time.Time{}
	case m.state == Ejected:
		s.NextTry = m.due
	}
	return s
}

func (n *name) status() Status {
	s := Status{Addr: n.configured, Name: n.configured, State: Unresolved}
	if n.failing != nil {
		s.Detail = n.failing.Error()
	}
	return s
}

// resolved reports whether any address of n is known.
func (p *Pool) resolved(n *name) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return n.addrs != nil
}
