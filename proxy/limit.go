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
	addresses  keyedLimiter[netip.Prefix] // connections of each block of addresses, see blockOf
	owners     keyedLimiter[string]       // sessions, from before the broker is dialed
	sessions   keyedLimiter[struct{}]     // the same, all together
	rate       *rate.Limiter              // of handshakes; nil = no limit
	handshakes *prioritySemaphore         // places for handshakes that compute
}

func newLimits(cfg *Config) *limits {
	l := &limits{
		addresses:  keyedLimiter[netip.Prefix]{limit: cfg.MaxConnectionsPerIP},
		owners:     keyedLimiter[string]{limit: cfg.MaxConnectionsPerOwner},
		sessions:   keyedLimiter[struct{}]{limit: cfg.MaxConnections},
		handshakes: newPrioritySemaphore(handshakePlaces()),
	}
	if r := cfg.HandshakeRate; r > 0 {
		l.rate = rate.NewLimiter(rate.Limit(r), r)
	}
	return l
}

// A keyedLimiter lets no more than limit of each key be acquired at a time. A key of which nothing is acquired takes no
// memory.
type keyedLimiter[K comparable] struct {
	limit int // 0 = no limit, and nothing is counted

	mu     sync.Mutex
	counts map[K]int // of what is acquired, never 0
}

// acquire counts one more of a key, unless there are too many.
func (l *keyedLimiter[K]) acquire(key K) bool {
	if l.limit == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts[key] >= l.limit {
		return false
	}
	if l.counts == nil {
		l.counts = make(map[K]int)
	}
	l.counts[key]++
	return true
}

// release gives back one of a key that was acquired.
func (l *keyedLimiter[K]) release(key K) {
	if l.limit == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts[key]--; l.counts[key] == 0 {
		delete(l.counts, key)
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

// acquired is what one session has acquired of its server's limits.
type acquired struct{ address, owner, session bool }

// acquireIP is the end of step 2. A connection too many from one address is closed without ceremony, as
// whoever opens them would else be served with a goodbye for each.
func (s *session) acquireIP() error {
	l, block := s.server.limits, blockOf(ipOf(s.client.RemoteAddr()))
	if !l.addresses.acquire(block) {
		_ = s.client.Close()
		return because(RateLimited, fmt.Errorf("%d connections from %v already", l.addresses.limit, block))
	}
	s.acquired.address = true
	return nil
}

// acquireSession is the end of step 6.
func (s *session) acquireSession() error {
	l := s.server.limits
	if !l.owners.acquire(s.owner) {
		return because(LimitOwner, fmt.Errorf("%d connections of this owner already", l.owners.limit))
	}
	s.acquired.owner = true
	if !l.sessions.acquire(struct{}{}) {
		return because(LimitConnections, fmt.Errorf("%d connections already", l.sessions.limit))
	}
	s.acquired.session = true
	return nil
}

// releaseLimits is the part of step 9 that makes room for others.
func (s *session) releaseLimits() {
	l := s.server.limits
	if s.acquired.address {
		l.addresses.release(blockOf(ipOf(s.client.RemoteAddr())))
	}
	if s.acquired.owner {
		l.owners.release(s.owner)
	}
	if s.acquired.session {
		l.sessions.release(struct{}{})
	}
}
