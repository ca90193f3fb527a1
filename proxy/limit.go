// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"

	"golang.org/x/time/rate"

	"github.com/vernegate/vernegate/proxy/limit"
)

// limits are what connections share. Each limit refuses as early as it can without turning away those it is
// meant to protect:
//
//   - an address, when it is known and before any cryptography, without a word;
//   - the handshake rate, with the ClientHello, after waiting in turn;
//   - owners and sessions, when the client has shown who it is and has said CONNECT, so that clients without a
//     certificate cannot use them up, and so that a client can be told why.
type limits struct {
	addresses  limit.Keyed[netip.Prefix] // connections of each block of addresses, see blockOf
	owners     limit.Keyed[string]       // sessions, from before the broker is dialed
	sessions   limit.Keyed[struct{}]     // the same, all together
	rate       *rate.Limiter             // of handshakes; nil = no limit
	handshakes *limit.PrioritySemaphore  // places for handshakes that compute
}

func newLimits(cfg *Config) *limits {
	l := &limits{
		addresses:  limit.Keyed[netip.Prefix]{Limit: cfg.MaxConnectionsPerIP},
		owners:     limit.Keyed[string]{Limit: cfg.MaxConnectionsPerOwner},
		sessions:   limit.Keyed[struct{}]{Limit: cfg.MaxConnections},
		handshakes: limit.NewPrioritySemaphore(handshakePlaces()),
	}
	if r := cfg.HandshakeRate; r > 0 {
		l.rate = rate.NewLimiter(rate.Limit(r), r)
	}
	return l
}

// handshakePlaces is how many handshakes may compute at a time. Half of the processors is enough to be busy with
// handshakes, as the other half is with what follows them, and leaves some that look after the network: a
// processor that always has something to run does so every 10 ms only.
func handshakePlaces() int { return max(1, runtime.GOMAXPROCS(0)/2) }

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
// a goodbye for each would cost what the limit is to save.
func (s *session) acquireIP() error {
	l, block := s.server.limits, blockOf(ipOf(s.client.RemoteAddr()))
	if !l.addresses.Acquire(block) {
		_ = s.client.Close()
		return because(RateLimited, fmt.Errorf("%d connections from %v already", l.addresses.Limit, block))
	}
	s.acquired.address = true
	return nil
}

// acquireSession is the end of step 6.
func (s *session) acquireSession() error {
	l := s.server.limits
	if !l.owners.Acquire(s.owner) {
		return because(LimitOwner, fmt.Errorf("%d connections of this owner already", l.owners.Limit))
	}
	s.acquired.owner = true
	if !l.sessions.Acquire(struct{}{}) {
		return because(LimitConnections, fmt.Errorf("%d connections already", l.sessions.Limit))
	}
	s.acquired.session = true
	return nil
}

// releaseLimits is the part of step 9 that makes room for others.
func (s *session) releaseLimits() {
	l := s.server.limits
	if s.acquired.address {
		l.addresses.Release(blockOf(ipOf(s.client.RemoteAddr())))
	}
	if s.acquired.owner {
		l.owners.Release(s.owner)
	}
	if s.acquired.session {
		l.sessions.Release(struct{}{})
	}
}

// errNoDescriptors is the detail of a session that cannot dial a broker.
var errNoDescriptors = errors.New("no file descriptor is left for the connection to a broker")

// errDisplaced is the detail of a connection that had to make room for a newer one.
var errDisplaced = errors.New("too many handshakes at a time, and this one waited for its client for longest")

// Displace implements limit.Displacer. It closes a connection that is not through its handshake, from any goroutine and at
// once: to wait for its client would take the memory that it has to give back.
func (s *session) Displace() {
	s.over(RateLimited, errDisplaced)
	s.cut()
}

// displaced reports whether Displace has closed the connection.
func (s *session) displaced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason == RateLimited
}
