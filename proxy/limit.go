// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"net/netip"
	"sync"

	"golang.org/x/time/rate"
)

// limits are what connections share. Each limit refuses as early as it can without turning away those it is
// meant to protect:
//
//   - an address, when it is known and before any cryptography, without a word;
//   - the handshake rate, with the ClientHello, after waiting in turn;
//   - owners and sessions, when the client has shown who it is and has said CONNECT, so that nobody without a
//     certificate can use them up, and so that a client can be told why.
type limits struct {
	addresses  tally[netip.Prefix] // connections of each block of addresses, see blockOf
	owners     tally[string]       // sessions, from before the broker is dialed
	sessions   tally[struct{}]     // the same, all together
	rate       *rate.Limiter       // of handshakes; nil = no limit
	handshakes *prioritySemaphore  // places for handshakes that compute
}

func newLimits(cfg *Config) *limits {
	l := &limits{
		addresses:  tally[netip.Prefix]{limit: cfg.MaxConnectionsPerIP},
		owners:     tally[string]{limit: cfg.MaxConnectionsPerOwner},
		sessions:   tally[struct{}]{limit: cfg.MaxConnections},
		handshakes: newPrioritySemaphore(handshakePlaces()),
	}
	if r := cfg.HandshakeRate; r > 0 {
		l.rate = rate.NewLimiter(rate.Limit(r), r)
	}
	return l
}

// A tally counts what there is of each kind and lets no more than limit of a kind be taken. What has been given
// back leaves nothing behind, so that a tally is never larger than what is there.
type tally[K comparable] struct {
	limit int // 0 = no limit, and nothing is counted

	mu     sync.Mutex
	counts map[K]int // of what has been taken, never 0
}

// take counts one more of a kind, unless there are too many.
func (t *tally[K]) take(kind K) bool {
	if t.limit == 0 {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts[kind] >= t.limit {
		return false
	}
	if t.counts == nil {
		t.counts = make(map[K]int)
	}
	t.counts[kind]++
	return true
}

// give takes one of a kind back that take has counted.
func (t *tally[K]) give(kind K) {
	if t.limit == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts[kind]--; t.counts[kind] == 0 {
		delete(t.counts, kind)
	}
}

// blockOf is what addresses are counted by: one IPv4 address, or the /64 that is the least that a host with IPv6
// has to itself (RFC 7934, RFC 4291 §2.5.1), since it can choose its address in there anew for each connection.
func blockOf(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 32
	}
	block, _ := a.Prefix(bits) // the zero Prefix for the zero Addr
	return block
}

// A holding is what one session has taken of its server's limits.
type holding struct{ address, owner, session bool }

// takeAddress is the end of step 2. A connection too many from one address is closed without ceremony, as
// whoever opens them would else be served with a goodbye for each.
func (s *session) takeAddress() error {
	l, block := s.server.limits, blockOf(ipOf(s.client.RemoteAddr()))
	if !l.addresses.take(block) {
		_ = s.client.Close()
		return because(RateLimited, fmt.Errorf("%d connections from %v already", l.addresses.limit, block))
	}
	s.holds.address = true
	return nil
}

// takeSession is the end of step 6.
func (s *session) takeSession() error {
	l := s.server.limits
	if !l.owners.take(s.owner) {
		return because(LimitOwner, fmt.Errorf("%d connections of this owner already", l.owners.limit))
	}
	s.holds.owner = true
	if !l.sessions.take(struct{}{}) {
		return because(LimitConnections, fmt.Errorf("%d connections already", l.sessions.limit))
	}
	s.holds.session = true
	return nil
}

// giveBack is the part of step 9 that makes room for others.
func (s *session) giveBack() {
	l := s.server.limits
	if s.holds.address {
		l.addresses.give(blockOf(ipOf(s.client.RemoteAddr())))
	}
	if s.holds.owner {
		l.owners.give(s.owner)
	}
	if s.holds.session {
		l.sessions.give(struct{}{})
	}
}
