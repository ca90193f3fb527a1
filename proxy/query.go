// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
)

// A Filter selects live sessions. Every field that is not zero has to match; the zero Filter matches all.
type Filter struct {
	ID          SessionID
	Owner       string
	ClientID    string
	Fingerprint pki.Fingerprint
	Address     netip.Prefix // that the client's address is in
	Listener    *Role
	// Text is part of something that is known of the session, in any case: of its owner (and so its tenant), client id, subject,
	// issuer, serial number, fingerprint, id, the client's address or the broker's; or it is a prefix that the client's address
	// is in.
	Text string

	search *search // for Text, see searchFor
}

// searchFor returns the search for Text. It is made when the first session is looked at, so that no way to a session is without.
func (f *Filter) searchFor() *search {
	if f.search == nil {
		f.search = newSearch(f.Text)
	}
	return f.search
}

// matches needs mu of the registry when there is a Fingerprint.
func (f *Filter) matches(s *session) bool {
	return (f.ID == 0 || s.live.id == f.ID) &&
		(f.Owner == "" || s.owner == f.Owner) &&
		(f.ClientID == "" || s.clientID == f.ClientID) &&
		(f.Fingerprint == pki.Fingerprint{} || s.live.cert != nil && s.live.cert.fp == f.Fingerprint) &&
		(!f.Address.IsValid() || f.Address.Contains(ipOf(s.client.RemoteAddr()))) &&
		(f.Listener == nil || s.role == *f.Listener) &&
		(f.Text == "" || f.searchFor().finds(s))
}

// Sessions describes up to limit live sessions that match, in the order of their ids and beginning behind after.
// more reports whether others follow. Sessions that come and go meanwhile do not move the others.
//
// With an ID, a Fingerprint or an Owner it looks at those sessions alone. No session has to wait for it longer
// than it takes to look at a few hundred others.
func (s *Server) Sessions(f Filter, after SessionID, limit int) (page []SessionInfo, more bool) {
	found := s.live.find(&f, after, limit+1)
	more = len(found) > limit
	page = make([]SessionInfo, 0, min(len(found), limit))
	for _, c := range found[:min(len(found), limit)] {
		page = append(page, c.describe())
	}
	return page, more
}

// Count returns how many live sessions came by listeners with a role.
func (s *Server) Count(role Role) int {
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	return s.live.count[role]
}

// Descriptors returns how many file descriptors connections use, and with how many no other connection is accepted;
// 0 = no limit. Sessions that are accepted already can use more, out of a reserve.
func (s *Server) Descriptors() (used, limit int) {
	return s.descriptors.Taken(), s.descriptors.Limit()
}

// UsedUp returns since when new connections wait for file descriptors; zero = they do not.
func (s *Server) UsedUp() time.Time { return s.descriptors.UsedUp() }

// Newest describes the live sessions that began last, up to n of them, the last one first.
func (s *Server) Newest(n int) []SessionInfo {
	s.live.mu.Lock()
	found := s.live.list.newest(n)
	s.live.mu.Unlock()
	list := make([]SessionInfo, len(found))
	for i, c := range found {
		list[i] = c.describe()
	}
	return list
}

// Kick ends the live sessions that match, on behalf of an operator, and returns how many. It does not keep their
// devices from coming back. Before it ends the first one, it calls forget, unless that is nil, with each of their
// certificates once, so that who comes back can be asked about anew. So are those then whose sessions match and were
// being established: they may have been let in by what was forgotten.
func (s *Server) Kick(f Filter, forget func(pki.Fingerprint)) int {
	found := s.live.find(&f, 0, -1)
	if forget != nil {
		certs := make(map[pki.Fingerprint]struct{})
		for _, c := range found {
			certs[c.certificate.fp] = struct{}{}
		}
		for fp := range certs {
			forget(fp)
		}
	}
	for _, c := range found {
		c.stop(AdminKick, nil)
	}
	if forget != nil {
		s.RecheckSoon(f, 0)
	}
	return len(found)
}

// Owners yields each owner with live sessions, and how many those are, in no order. Sessions can come and go
// while it does.
func (s *Server) Owners() iter.Seq2[string, int] { return s.live.ownerCounts }

// stride is how many entries a query looks at before it unlocks the registry for a moment.
const stride = 512

// find returns up to n live sessions that match behind an id, in order; n < 0 means all.
func (r *registry) find(f *Filter, after SessionID, n int) []*session {
	if f.ID != 0 || f.Owner != "" || f.Fingerprint != (pki.Fingerprint{}) {
		return r.lookUp(f, after, n)
	}
	var found []*session
	for chunk := range r.walk(after) {
		for _, s := range chunk {
			if f.matches(s) {
				if found = append(found, s); len(found) == n {
					return found
				}
			}
		}
	}
	return found
}

// lookUp is find for filters that name the candidates.
func (r *registry) lookUp(f *Filter, after SessionID, n int) (found []*session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.candidates(f) {
		if s.live.id > after && f.matches(s) {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b *session) int { return cmp.Compare(a.live.id, b.live.id) })
	if n >= 0 && len(found) > n {
		found = found[:n]
	}
	return found
}

// candidates are the sessions among which those that f names are. mu must be held.
func (r *registry) candidates(f *Filter) []*session {
	if f.ID != 0 {
		return r.list.after(nil, f.ID-1, 1)
	}
	if f.Fingerprint != (pki.Fingerprint{}) {
		if c := r.certs[f.Fingerprint]; c != nil {
			return c.sessions
		}
		return nil
	}
	return r.owners[f.Owner]
}

// walk yields the live sessions behind an id in order, some at a time. The lock is not held while it yields. A
// chunk is valid until the next one.
func (r *registry) walk(after SessionID) iter.Seq[[]*session] {
	return func(yield func([]*session) bool) {
		chunk := make([]*session, 0, stride)
		for {
			r.mu.Lock()
			chunk = r.list.after(chunk[:0], after, stride)
			r.mu.Unlock()
			if len(chunk) == 0 || !yield(chunk) {
				return
			}
			after = chunk[len(chunk)-1].live.id
		}
	}
}

// ownerCounts is Server.Owners.
func (r *registry) ownerCounts(yield func(string, int) bool) {
	type count struct {
		owner    string
		sessions int
	}
	counts := make([]count, 0, stride)
	flush := func() bool {
		for _, c := range counts {
			if !yield(c.owner, c.sessions) {
				return false
			}
		}
		counts = counts[:0]
		return true
	}
	r.mu.Lock()
	for owner, sessions := range r.owners {
		if counts = append(counts, count{owner, len(sessions)}); len(counts) < stride {
			continue
		}
		r.mu.Unlock() // a map may change between two steps of an iteration
		if !flush() {
			return
		}
		r.mu.Lock()
	}
	r.mu.Unlock()
	flush()
}
