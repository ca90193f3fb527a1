// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/sha256"
	"crypto/x509"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
)

// A registry knows the live sessions: those whose broker has let them in. It finds them by certificate, by what
// a CRL calls a certificate (issuer and serial number), by the CAs of the chain that was accepted, and by owner, so that
// an ending that concerns a few does not look at the rest. Adding and removing are O(1), but for the timer queue's
// logarithm.
//
// Its methods may be called concurrently, and do not call out while they hold the lock.
type registry struct {
	seed maphash.Seed // of certNames; written once

	mu     sync.Mutex
	certs  map[pki.Fingerprint]*clientCert
	names  map[certName]*clientCert // the first of each name
	chains map[pki.Fingerprint]*issuerChain
	above  map[certName]map[*issuerChain]struct{} // by the names of CAs, the chains that have them
	owners map[string][]*session
	list   sessionList
	count  [endOfRoles]int

	lifetimes      timers[session]    // end sessions
	expiries       timers[clientCert] // end those of a certificate
	rechecks       timers[clientCert] // of owners
	authorizations timers[clientCert] // when Authorize is asked again
}

// A certName is what a CRL calls a certificate by: a hash of its issuer's name and its serial number. Two
// certificates may share one, so that it points out candidates and decides nothing.
type certName uint64

// A registration is a session's part in a registry; mu of the registry guards it.
type registration struct {
	id         SessionID   // stays when the session leaves; 0 = was never in the registry
	cert       *clientCert // nil = not in the registry
	index      int         // in cert.sessions
	ownerIndex int         // in registry.owners
	lifetime   timer[session]
}

func newRegistry() *registry {
	r := &registry{
		seed:   maphash.MakeSeed(),
		certs:  make(map[pki.Fingerprint]*clientCert),
		names:  make(map[certName]*clientCert),
		chains: make(map[pki.Fingerprint]*issuerChain),
		above:  make(map[certName]map[*issuerChain]struct{}),
		owners: make(map[string][]*session),
	}
	r.lifetimes.init(&r.mu)
	r.expiries.init(&r.mu)
	r.rechecks.init(&r.mu)
	r.authorizations.init(&r.mu)
	return r
}

// name hashes an issuer's canonical name and a serial number, big-endian and without leading zeros.
func (r *registry) name(issuer string, serial []byte) certName {
	var h maphash.Hash
	h.SetSeed(r.seed)
	_, _ = h.WriteString(issuer)
	_ = h.WriteByte(byte(len(serial)))
	_, _ = h.Write(serial)
	return certName(h.Sum64())
}

// nameOf takes much longer than name: it is not for each certificate of a client.
func (r *registry) nameOf(cert *x509.Certificate) certName {
	return r.name(pki.CanonicalName(cert.RawIssuer), cert.SerialNumber.Bytes())
}

// times are when something is to be done about a session that enters the registry; zero = never.
type times struct {
	lifetime  time.Time // it ends
	recheck   time.Time // its owner is looked up again
	authorize time.Time // Authorize is asked again
}

// add enters a session whose client has sent peer, of which chain was accepted. All sessions of the certificate are bound
// to that chain from now on. Without a chain there is no session: the error is errNoChain.
func (r *registry) add(s *session, peer, chain []*x509.Certificate, at times) (*clientCert, error) {
	if len(chain) == 0 {
		return nil, errNoChain
	}
	fp := pki.FingerprintOf(chain[0])
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.certs[fp]
	if c == nil {
		c = r.addCert(chain[0])
		if !at.recheck.IsZero() {
			r.rechecks.set(&c.recheck, at.recheck)
		}
	}
	if t := &c.authorize; !at.authorize.IsZero() && (t.index == 0 || at.authorize.Before(t.at)) {
		r.authorizations.set(t, at.authorize)
	}
	if r.bind(c, chain) {
		c.sent = boundedSent(peer)
	} else {
		r.expireAt(c, expiryOf(chain))
	}
	r.addSession(c, s)
	if !at.lifetime.IsZero() {
		s.live.lifetime.about = s
		r.lifetimes.set(&s.live.lifetime, at.lifetime)
	}
	return c, nil
}

func (r *registry) addCert(leaf *x509.Certificate) *clientCert {
	c := newClientCert(leaf)
	r.certs[c.fp] = c
	return c
}

// nameCert notes by which name a certificate is found.
func (r *registry) nameCert(c *clientCert, name certName) {
	c.name = name
	if first := r.names[name]; first != nil {
		c.next, first.prev = first, c
	}
	r.names[name] = c
}

func (r *registry) addSession(c *clientCert, s *session) {
	s.live.id = r.list.add(s)
	r.count[s.role]++
	s.certificate = &c.certificate
	s.live.cert, s.live.index = c, len(c.sessions)
	c.sessions = append(c.sessions, s)
	s.live.ownerIndex = len(r.owners[s.owner])
	r.owners[s.owner] = append(r.owners[s.owner], s)
}

// expireAt has it looked at a time whether a certificate is still trusted, unless that is to be sooner anyway: it may have been
// looked at when the time had come and this session was not there yet. mu must be held.
func (r *registry) expireAt(c *clientCert, at time.Time) {
	if c.expiry.index == 0 || at.Before(c.expiry.at) {
		r.expiries.set(&c.expiry, at)
	}
}

// rebind is bind for a certificate that may have lost its last session meanwhile.
func (r *registry) rebind(c *clientCert, chain []*x509.Certificate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.certs[c.fp] == c {
		r.bind(c, chain)
	}
}

// bind binds the sessions of a certificate to a chain that was accepted, and reports whether it is another one than
// before. mu must be held.
func (r *registry) bind(c *clientCert, chain []*x509.Certificate) bool {
	cas := issuersIn(chain)
	if c.issuers != nil && slices.EqualFunc(c.issuers.cas, cas, (*x509.Certificate).Equal) {
		return false
	}
	r.unbind(c)
	l := r.chainOf(chain[0], cas)
	if c.issuers == nil {
		c.issuer = l.issuer
		r.nameCert(c, r.name(l.issuerName, chain[0].SerialNumber.Bytes()))
	}
	c.issuers, c.index = l, len(l.certs)
	l.certs = append(l.certs, c)
	r.expiries.set(&c.expiry, expiryOf(chain))
	return true
}

// unbind takes a certificate out of its chain, if it has one. mu must be held.
func (r *registry) unbind(c *clientCert) {
	l := c.issuers
	if l == nil {
		return
	}
	l.certs = cutOut(l.certs, c.index, func(moved *clientCert, to int) { moved.index = to })
	if len(l.certs) == 0 {
		r.removeChain(l)
	}
}

// chainOf finds or makes the issuerChain of a client's certificate below these CAs.
func (r *registry) chainOf(leaf *x509.Certificate, cas []*x509.Certificate) *issuerChain {
	h := sha256.New()
	_, _ = h.Write(leaf.RawIssuer)
	for _, ca := range cas {
		_, _ = h.Write(ca.Raw)
	}
	key := pki.Fingerprint(h.Sum(nil))
	if l := r.chains[key]; l != nil {
		return l
	}
	// To spell names takes longer than all else that is noted of a session.
	l := &issuerChain{key: key, cas: slices.Clone(cas), issuer: issuerOf(leaf), issuerName: pki.CanonicalName(leaf.RawIssuer)}
	r.chains[key] = l
	for _, ca := range cas {
		name := r.nameOf(ca)
		l.names = append(l.names, name)
		if r.above[name] == nil {
			r.above[name] = make(map[*issuerChain]struct{})
		}
		r.above[name][l] = struct{}{}
	}
	return l
}

func (r *registry) removeChain(l *issuerChain) {
	delete(r.chains, l.key)
	for _, name := range l.names {
		if delete(r.above[name], l); len(r.above[name]) == 0 {
			delete(r.above, name)
		}
	}
}

// remove takes a session out, if it is in.
func (r *registry) remove(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := s.live.cert
	if c == nil {
		return
	}
	r.lifetimes.queue.cancel(&s.live.lifetime)
	r.list.remove(s.live.id)
	r.count[s.role]--
	c.sessions = cutOut(c.sessions, s.live.index, func(moved *session, to int) { moved.live.index = to })
	same := cutOut(r.owners[s.owner], s.live.ownerIndex, func(moved *session, to int) { moved.live.ownerIndex = to })
	if r.owners[s.owner] = same; len(same) == 0 {
		delete(r.owners, s.owner)
	}
	if len(c.sessions) == 0 {
		r.removeCert(c)
	}
	s.live.cert = nil
}

func (r *registry) removeCert(c *clientCert) {
	r.expiries.queue.cancel(&c.expiry)
	r.rechecks.queue.cancel(&c.recheck)
	r.authorizations.queue.cancel(&c.authorize)
	delete(r.certs, c.fp)
	r.unbind(c)
	if c.next != nil {
		c.next.prev = c.prev
	}
	switch {
	case c.prev != nil:
		c.prev.next = c.next
	case c.next != nil:
		r.names[c.name] = c.next
	default:
		delete(r.names, c.name)
	}
}

// cutOut removes the element at an index by moving the last one there, and calls moved with that one and its new index.
func cutOut[T any](list []T, index int, moved func(T, int)) []T {
	last := len(list) - 1
	list[index] = list[last]
	moved(list[index], index)
	clear(list[last:])
	return list[:last]
}

// resetTimer sets a timer of a certificate that has fired, unless it has been set meanwhile or the certificate has no
// session any more.
func (r *registry) resetTimer(to *timers[clientCert], t *timer[clientCert], at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.index == 0 && r.certs[t.about.fp] == t.about {
		to.set(t, at)
	}
}

// peerOf returns the client of a certificate with live sessions, as Config.Owner knows it.
func (r *registry) peerOf(c *clientCert) (Peer, error) {
	leaf, err := c.parse()
	if err != nil {
		return Peer{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	chain := []*x509.Certificate{leaf}
	if len(c.issuers.cas) != 1 || !c.issuers.cas[0].Equal(leaf) {
		chain = append(chain, c.issuers.cas...)
	}
	return Peer{Chain: chain, Fingerprint: c.fp, Live: true}, nil
}

// sessionsOf returns the live sessions of a certificate, which may have none any more.
func (r *registry) sessionsOf(c *clientCert) []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(c.sessions)
}

// sentWith returns what the client has sent beside its certificate.
func (r *registry) sentWith(c *clientCert) []*x509.Certificate {
	r.mu.Lock()
	defer r.mu.Unlock()
	return c.sent
}

// affected returns the certificates that may be trusted no longer: those that w names, and those of whose chain it names
// a CA.
func (r *registry) affected(w Withdrawal) (certs []*clientCert) {
	if w.Revoked != nil {
		for issuer, serial := range w.Revoked {
			certs = append(certs, r.named(r.name(issuer, serial))...)
		}
	}
	for _, ca := range w.CAs {
		certs = append(certs, r.below(ca)...)
	}
	return certs
}

// named returns the certificates with a name, and those below a CA with it.
func (r *registry) named(name certName) (found []*clientCert) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := r.names[name]; c != nil; c = c.next {
		found = append(found, c)
	}
	for l := range r.above[name] {
		found = append(found, l.certs...)
	}
	return found
}

// below returns the certificates that are bound to a chain with a CA in it.
func (r *registry) below(ca *x509.Certificate) (found []*clientCert) {
	name := r.nameOf(ca)
	r.mu.Lock()
	defer r.mu.Unlock()
	for l := range r.above[name] {
		if slices.ContainsFunc(l.cas, ca.Equal) {
			found = append(found, l.certs...)
		}
	}
	return found
}
