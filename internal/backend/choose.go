// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"time"
)

// Balance is how a broker is chosen for a session.
type Balance uint8

// Ways to balance. The zero value is LeastConnections.
const (
	LeastConnections Balance = iota
	ByClientID
)

// String returns the balance as it is configured: "least-connections" or "client-id".
func (b Balance) String() string {
	switch b {
	case LeastConnections:
		return "least-connections"
	case ByClientID:
		return "client-id"
	}
	return fmt.Sprintf("Balance(%d)", uint8(b))
}

// UnmarshalText accepts exactly what String returns for the known ways.
func (b *Balance) UnmarshalText(text []byte) error {
	switch string(text) {
	case "least-connections":
		*b = LeastConnections
	case "client-id":
		*b = ByClientID
	default:
		return fmt.Errorf("%q is neither least-connections nor client-id", text)
	}
	return nil
}

const (
	// loadFactor is how many times the average a client's home may carry: "Consistent Hashing with Bounded
	// Loads" (Mirrokni, Thorup, Zadimoghaddam, 2017) with c = 1.25.
	loadFactor = 1.25
	// loadSlack is by how many sessions more than the average a home is never overloaded: with a few sessions,
	// chance alone makes loads differ by more than a quarter, and a hundred are no load for a broker.
	loadSlack = 100
)

// choose returns the member for one more session of a client, none of tried, or nil. client is 0 for a client that has no
// home. A member that is returning gets less than its due as long as another one is up, and an ejected one nothing as long
// as there is another one; p.mu is held.
func (p *Pool) choose(client uint64, tried []*member) *member {
	p.choices++
	p.exclude(tried)
	for m := p.best(client, Returning); m != nil; m = p.best(client, Returning) {
		if m.admits() {
			return m
		}
		m.excluded = p.mark
	}
	p.exclude(tried)
	if m := p.best(client, Returning); m != nil {
		if !p.heldToTrial(m) {
			return m
		}
		m.excluded = p.mark
	}
	return p.best(client, Ejected)
}

// heldToTrial reports whether m gets no session but the one on trial although no other member is up, because all others
// are ejected. The first broker of a cluster to come back accepts sessions before the cluster is ready, and ends them
// again; without this it would get the sessions of all.
func (p *Pool) heldToTrial(m *member) bool {
	if m.state != Returning || m.proven(time.Now()) || len(p.members) == 1 {
		return false
	}
	return !slices.ContainsFunc(p.members, func(other *member) bool { return other != m && other.state != Ejected })
}

// exclude takes all of these and nobody else out of what best chooses from.
func (p *Pool) exclude(members []*member) {
	p.mark++
	for _, m := range members {
		m.excluded = p.mark
	}
}

// best returns the first choice among the members whose state is worst or better.
func (p *Pool) best(client uint64, worst State) *member {
	if client == 0 {
		return p.leastBusy(worst)
	}
	return p.home(client, worst)
}

// offers reports whether best may choose m.
func (p *Pool) offers(m *member, worst State) bool {
	return m.state <= worst && m.excluded != p.mark
}

// leastBusy returns the member with the fewest sessions; among those with equally many, each comes first in turn.
func (p *Pool) leastBusy(worst State) (least *member) {
	n := len(p.members)
	for i := range n {
		m := p.members[(p.choices+i)%n]
		if p.offers(m, worst) && (least == nil || m.sessions < least.sessions) {
			least = m
		}
	}
	return least
}

// home returns the member with the highest weight for a client among those that are not overloaded.
func (p *Pool) home(client uint64, worst State) (home *member) {
	limit := p.loadLimit(worst)
	var heaviest uint64
	for _, m := range p.members {
		if !p.offers(m, worst) || m.sessions >= limit {
			continue
		}
		if w := mix(client ^ m.home); home == nil || w > heaviest {
			home, heaviest = m, w
		}
	}
	return home
}

// loadLimit is how many sessions overload a member. One of those that are averaged over is always below.
func (p *Pool) loadLimit(worst State) int {
	sessions, members := 1, 0 // with the one to come
	for _, m := range p.members {
		if p.offers(m, worst) {
			sessions += m.sessions
			members++
		}
	}
	average := float64(sessions) / float64(max(members, 1))
	return int(max(loadFactor*average, average+loadSlack) + 1)
}

// hash is FNV-1a of 64 bits, mixed. Vernegates of different releases have to agree on it: a client that reconnects
// through another one finds its session only at the same broker.
func hash(s string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, s) // never fails
	return mix(h.Sum64())
}

// mix is the finalizer of splitmix64: every bit of h changes half of the result.
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
