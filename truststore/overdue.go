// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"log/slog"
	"time"
)

// lateness is how far a CRL is past its nextUpdate.
type lateness uint8

const (
	onTime  lateness = iota
	inGrace          // overdue, and still used
	tooLate          // overdue, and all clients of its CA are refused
)

// lateness returns the state of a list at the given time.
func (r rules) lateness(list *list, now time.Time) lateness {
	switch {
	case list.NextUpdate.IsZero() || !now.After(list.NextUpdate):
		return onTime
	case now.After(r.limit(list)):
		return tooLate
	}
	return inGrace
}

// limit returns until when a list with a nextUpdate is used.
func (r rules) limit(list *list) time.Time {
	if r.expired == Allow {
		return earlier(list.NextUpdate.Add(r.grace), endOfTime)
	}
	return list.NextUpdate
}

// endOfTime is the last moment that ASN.1 and JSON have; CAs write it for "never".
var endOfTime = time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)

// nextLateness returns when the state of any list changes next; zero if never.
func (g *Generation) nextLateness(now time.Time) time.Time {
	var next time.Time
	for _, list := range g.lists {
		if list.NextUpdate.IsZero() {
			continue
		}
		for _, end := range []time.Time{list.NextUpdate, g.rules.limit(list)} {
			// A list is good up to and including that moment.
			if !now.After(end) {
				next = earlier(next, end.Add(1))
			}
		}
	}
	return next
}

// logOverdue tells when a CRL gets overdue, when it gets useless, and when it
// has been replaced.
func (s *Store) logOverdue(now time.Time) {
	g := s.Current()
	if g == nil {
		return
	}
	states := make(map[seriesID]lateness, len(g.lists))
	for _, list := range g.lists {
		key := list.series()
		states[key] = g.rules.lateness(list, now)
		if states[key] != s.overdue[key] {
			s.logLateness(list, states[key], g.rules.limit(list))
		}
	}
	s.overdue = states
}

func (s *Store) logLateness(list *list, state lateness, limit time.Time) {
	log := s.log.With(slog.String("file", list.path), slog.String("ca", list.Issuer), slog.Time("next_update", list.NextUpdate))
	switch state {
	case onTime:
		log.Info("CRL is no longer overdue")
	case inGrace:
		log.Warn("CRL is overdue, it is used until its grace ends", "until", limit)
	case tooLate:
		log.Error("CRL is overdue, clients of its CA are refused")
	}
}
