// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"hash/maphash"
	"sync"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
)

// A registry knows the live sessions: those whose broker has let them in. It finds them by certificate, by what
// a CRL calls a certificate (issuer and serial number), by the CAs above it, and by owner, so that an ending
// that concerns a few does not look at the rest. Entering and leaving are O(1), but for the agenda's logarithm.
//
// Its methods may be called concurrently, and do not call out while they hold the lock.
type registry struct {
	seed maphash.Seed // of certNames; written once

	mu       sync.Mutex
	trust    Trust // what was last looked at by withdraw; see add
	bearers  map[pki.Fingerprint]*bearer
	names    map[certName]*bearer
	lineages map[pki.Fingerprint]*lineage
	above    map[certName]int // names of CAs, with how many lineages have them
	owners   map[string][]*session
	roll     roll
	count    [Services + 1]int
	agenda   agenda
	sooner   chan struct{} // has room for one; says that the agenda's first appointment is another one now
}

// A certName is what a CRL calls a certificate by: a hash of its issuer's name and its serial number. Two
// certificates may share one, so that it points out candidates and decides nothing.
type certName uint64

// A bearer is a client certificate with its live sessions.
type bearer struct {
	certificate
	name     certName
	sameName *bearer // the next one with the same name
	sessions []*session
	lineage  *lineage
	place    int // in lineage.bearers
	recheck  appointment
}

// A lineage is the CA certificates above a client certificate, in all chains that led from it to the bundle.
// Most clients share a few of them.
type lineage struct {
	key     pki.Fingerprint // of all its certificates together
	cas     map[pki.Fingerprint]struct{}
	names   map[certName]struct{} // of those that a CRL can revoke
	issuer  string                // of the certificates below, as in Connection
	bearers []*bearer
}

// A registration is a session's part in a registry; mu of the registry guards it.
type registration struct {
	id          SessionID // stays when the session leaves; 0 = was never in the registry
	bearer      *bearer   // nil = not in the registry
	place       int       // in bearer.sessions
	ownersPlace int       // in registry.owners
	end         appointment
}

func newRegistry() *registry {
	return &registry{
		seed:     maphash.MakeSeed(),
		bearers:  make(map[pki.Fingerprint]*bearer),
		names:    make(map[certName]*bearer),
		lineages: make(map[pki.Fingerprint]*lineage),
		above:    make(map[certName]int),
		owners:   make(map[string][]*session),
		roll:     newRoll(),
		sooner:   make(chan struct{}, 1),
	}
}

// name hashes an issuer's raw name and a serial number, big-endian and without leading zeros.
func (r *registry) name(issuer, serial []byte) certName {
	var h maphash.Hash
	h.SetSeed(r.seed)
	_, _ = h.Write(issuer)
	_ = h.WriteByte(byte(len(serial)))
	_, _ = h.Write(serial)
	return certName(h.Sum64())
}

func (r *registry) nameOf(cert *x509.Certificate) certName {
	return r.name(cert.RawIssuer, cert.SerialNumber.Bytes())
}

// add enters a session with an end appointed, and an owner to be rechecked at some time, if those are not zero.
// verified is what its certificate was verified against; stale tells that withdraw has moved on since, and that
// the caller has to verify again.
func (r *registry) add(s *session, verified Trust, state *tls.ConnectionState, end, recheck time.Time) (stale bool) {
	fp := pki.FingerprintOf(state.PeerCertificates[0])
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.bearers[fp]
	if b == nil {
		b = r.addBearer(fp, state)
		if !recheck.IsZero() {
			r.appoint(&b.recheck, recheck)
		}
	}
	s.live.id = r.roll.enter(s)
	r.count[s.role]++
	s.certificate = &b.certificate
	s.live.bearer, s.live.place = b, len(b.sessions)
	b.sessions = append(b.sessions, s)
	s.live.ownersPlace = len(r.owners[s.owner])
	r.owners[s.owner] = append(r.owners[s.owner], s)
	if !end.IsZero() {
		s.live.end.session = s
		r.appoint(&s.live.end, end)
	}
	return r.trust != nil && r.trust != verified
}

func (r *registry) addBearer(fp pki.Fingerprint, state *tls.ConnectionState) *bearer {
	leaf := state.PeerCertificates[0]
	b := &bearer{certificate: summarize(state.PeerCertificates), name: r.nameOf(leaf)}
	b.fp = fp
	b.recheck.bearer = b
	b.sameName, r.names[b.name] = r.names[b.name], b
	b.lineage = r.lineageOf(state.VerifiedChains)
	b.issuer = b.lineage.issuerOf(leaf)
	b.place = len(b.lineage.bearers)
	b.lineage.bearers = append(b.lineage.bearers, b)
	r.bearers[fp] = b
	return b
}

// lineageOf finds or makes the lineage of a leaf with these chains.
func (r *registry) lineageOf(chains [][]*x509.Certificate) *lineage {
	h := sha256.New()
	for _, chain := range chains {
		for _, ca := range chain[1:] {
			_, _ = h.Write(ca.Raw)
		}
	}
	key := pki.Fingerprint(h.Sum(nil))
	if l := r.lineages[key]; l != nil {
		return l
	}
	l := &lineage{key: key, cas: make(map[pki.Fingerprint]struct{}), names: make(map[certName]struct{})}
	for _, chain := range chains {
		for _, ca := range chain[1:] {
			l.cas[pki.FingerprintOf(ca)] = struct{}{}
			l.names[r.nameOf(ca)] = struct{}{}
		}
	}
	r.lineages[key] = l
	for name := range l.names {
		r.above[name]++
	}
	return l
}

// issuerOf tells who has issued a certificate with this lineage. To spell that takes longer than all else that is noted of
// a session.
func (l *lineage) issuerOf(leaf *x509.Certificate) string {
	if len(l.cas) == 0 { // of those without chains
		return issuerOf(leaf)
	}
	if l.issuer == "" {
		l.issuer = issuerOf(leaf)
	}
	return l.issuer
}

// remove takes a session out, if it is in.
func (r *registry) remove(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := s.live.bearer
	if b == nil {
		return
	}
	r.agenda.cancel(&s.live.end)
	r.roll.leave(s.live.id)
	r.count[s.role]--
	b.sessions = cutOut(b.sessions, s.live.place, func(moved *session, to int) { moved.live.place = to })
	same := cutOut(r.owners[s.owner], s.live.ownersPlace, func(moved *session, to int) { moved.live.ownersPlace = to })
	if r.owners[s.owner] = same; len(same) == 0 {
		delete(r.owners, s.owner)
	}
	if len(b.sessions) == 0 {
		r.removeBearer(b)
	}
	s.live.bearer = nil
}

func (r *registry) removeBearer(b *bearer) {
	r.agenda.cancel(&b.recheck)
	delete(r.bearers, b.fp)
	r.unname(b)
	l := b.lineage
	l.bearers = cutOut(l.bearers, b.place, func(moved *bearer, to int) { moved.place = to })
	if len(l.bearers) == 0 {
		r.removeLineage(l)
	}
}

func (r *registry) removeLineage(l *lineage) {
	delete(r.lineages, l.key)
	for name := range l.names {
		if r.above[name]--; r.above[name] == 0 {
			delete(r.above, name)
		}
	}
}

// unname takes b out of those with its name.
func (r *registry) unname(b *bearer) {
	first := r.names[b.name]
	switch {
	case first == b && b.sameName == nil:
		delete(r.names, b.name)
	case first == b:
		r.names[b.name] = b.sameName
	default:
		for first.sameName != b {
			first = first.sameName
		}
		first.sameName = b.sameName
	}
}

// cutOut removes the element at a place by moving the last one there, and tells the moved one its new place.
func cutOut[T any](list []T, place int, moved func(T, int)) []T {
	last := len(list) - 1
	list[place] = list[last]
	moved(list[place], place)
	clear(list[last:])
	return list[:last]
}

// appoint enters something into the agenda and wakes who keeps it when it comes first. mu must be held.
func (r *registry) appoint(a *appointment, at time.Time) {
	if r.agenda.put(a, at) {
		select {
		case r.sooner <- struct{}{}:
		default:
		}
	}
}

// postpone enters an appointment again, unless what it is about has gone meanwhile.
func (r *registry) postpone(a *appointment, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a.bearer != nil && r.bearers[a.bearer.fp] == a.bearer || a.session != nil && a.session.live.bearer != nil {
		r.appoint(a, at)
	}
}

// due returns the next appointment whose time has come, or how long it takes to the first.
func (r *registry) due(now time.Time) (*appointment, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.agenda.due(now)
}

// sessionsOf returns the live sessions of a bearer, which may have none any more.
func (r *registry) sessionsOf(b *bearer) []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*session(nil), b.sessions...)
}

// all returns every live session, in no order.
func (r *registry) all() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*session, 0, len(r.bearers))
	for _, b := range r.bearers {
		list = append(list, b.sessions...)
	}
	return list
}

// withdraw notes that sessions are entered under trust from now on, and returns the bearers that may have lost
// theirs: those whose certificate, or one above it, is named by w.
func (r *registry) withdraw(trust Trust, w Withdrawal) []*bearer {
	r.mu.Lock()
	r.trust = trust
	r.mu.Unlock()

	var candidates []*bearer
	if w.Revoked != nil {
		for issuer, serial := range w.Revoked {
			candidates = append(candidates, r.named(r.name(issuer, serial))...)
		}
	}
	for _, ca := range w.CAs {
		candidates = append(candidates, r.below(pki.FingerprintOf(ca))...)
	}
	return candidates
}

// named returns the bearers with a name, and those below a CA with it.
func (r *registry) named(name certName) (found []*bearer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for b := r.names[name]; b != nil; b = b.sameName {
		found = append(found, b)
	}
	if r.above[name] == 0 {
		return found
	}
	for _, l := range r.lineages {
		if _, is := l.names[name]; is {
			found = append(found, l.bearers...)
		}
	}
	return found
}

// below returns the bearers below a CA.
func (r *registry) below(ca pki.Fingerprint) (found []*bearer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lineages {
		if _, is := l.cas[ca]; is {
			found = append(found, l.bearers...)
		}
	}
	return found
}
