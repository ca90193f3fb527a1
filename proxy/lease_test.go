// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vernegate/vernegate/proxy"
)

// turns are addresses of brokers that sessions begin with in turn, and try one after the other.
type turns struct {
	addrs []string

	mu     sync.Mutex
	leases []*turn
	told   []string // what leases were told, in order: the name of the method and the address

	dropped time.Duration // how long before a lease was told so
}

func newTurns(addrs ...string) *turns { return &turns{addrs: addrs} }

// A turn is a lease of them.
type turn struct {
	*turns
	clientID string
	left     []string // yet to try
	at       string   // "" = none
}

func (t *turns) lease(owner, clientID string) proxy.Lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := &turn{turns: t, clientID: clientID}
	if n := len(t.addrs); n > 0 {
		first := len(t.leases) % n
		p.left = slices.Concat(t.addrs[first:], t.addrs[:first])
	}
	t.leases = append(t.leases, p)
	return p
}

func (p *turn) Next() (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = ""
	if len(p.left) == 0 {
		return "", false
	}
	p.at, p.left = p.left[0], p.left[1:]
	return p.at, true
}

func (p *turn) Succeeded(bool)        { p.hear("succeeded") }
func (p *turn) Unreachable(err error) { p.hear("unreachable") }
func (p *turn) HandshakeFailed(error) { p.hear("handshake failed") }
func (p *turn) Silent()               { p.hear("silent") }
func (p *turn) Unavailable()          { p.hear("unavailable") }

func (p *turn) HungUp(err error) { p.hear("hung up") }
func (p *turn) Dropped(at time.Time) {
	p.mu.Lock()
	p.turns.dropped = time.Since(at)
	p.mu.Unlock()
	p.hear("dropped")
}

func (p *turn) hear(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, what+" "+p.at)
}

func (p *turn) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = ""
}

// wantTold checks all that has been heard of brokers, pairs of a word and an address.
func (t *turns) wantTold(tb testing.TB, pairs ...string) {
	tb.Helper()
	var want []string
	for pair := range slices.Chunk(pairs, 2) {
		want = append(want, fmt.Sprintf("%s %s", pair[0], pair[1]))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Equal(t.told, want) {
		tb.Errorf("the lease was told %q, want %q", t.told, want)
	}
}

// wantReleased waits until no session counts on a broker.
func (t *turns) wantReleased(tb testing.TB) {
	tb.Helper()
	await(tb, "all leases to be released", func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return !slices.ContainsFunc(t.leases, func(p *turn) bool { return p.at != "" })
	})
}
