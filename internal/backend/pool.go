// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package backend knows the brokers: which addresses there are, which of them are well, and which one the next
// session goes to.
//
// A [Pool] is made of what the operator configured. A host that is a name is resolved again and again, so that
// the pods behind a headless Service come and go; an address that left takes no new sessions, and those it has
// stay. A session takes a [Place]: the place names one broker after the other until one has answered, is told
// what became of each, and counts on its broker until the session ends.
//
// # Choice
//
// [LeastConnections] is the broker with the fewest sessions, those that are still connecting included, so that
// a reconnect storm spreads. [ByClientID] is the client's home: the broker with the highest rendezvous weight
// for that client id, which is the same for every vernegate and every start, unless the home has a quarter more
// sessions than the average. When brokers come or go, only the clients of those move.
//
// # Health
//
//   - A broker that is [Up] is [Ejected] when it cannot be dialed, when three CONNECTs in a row were met with silence
//     or "server unavailable", or when two probes in a row failed.
//   - An ejected broker is probed after a back-off of one second, then twice that and so on up to 30 s. When that
//     succeeds, it is [Returning].
//   - A returning broker is up again after 30 s, or ejected again, with the back-off going on from where it was.
//
// A returning broker gets one session on trial. Once that has been answered, it gets a tenth of the sessions that
// would be its own, and more and more until after 30 s it gets all of them. A broker that joins later than the
// others of its name begins like that, too.
//
// A client can make a broker be silent or hang up on it; only what several CONNECTs in a row say counts, and an
// answer to any of them starts the count again. A broker that hangs up without a CONNACK is passed over but not
// ejected at all.
//
// Ejected brokers are the last resort, but they are one: what everybody says of all brokers may be wrong, and
// a session that fails there would have been refused anyway.
//
// The package speaks no MQTT; whoever takes a Place does.
package backend

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config says which brokers there are and how to tell whether they are well. The zero value of all but Addrs is
// useful.
type Config struct {
	// Addrs are the brokers as host:port, the host an IP address or a name; at least one.
	Addrs []string
	// Balance is how a broker is chosen.
	Balance Balance
	// Probe asks whether a broker is well; nil = DialProbe(nil). It is called for different brokers at a time.
	Probe Probe
	// Lookup resolves a name; nil = the system's resolver. It is called for different names at a time.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Logger hears of every change, once; nil = discard.
	Logger *slog.Logger
}

// A Pool is the brokers. Its methods may be called concurrently.
type Pool struct {
	cfg   Config
	names []*name
	wake  chan struct{} // holds an element when Run has to look at the members again

	mu      sync.Mutex
	members []*member          // what sessions may go to, in the order of their addresses
	known   map[string]*member // by address: members, and those that left and have sessions
	turn    int                // counts choices, so that ties take turns
	mark    uint64             // counts exclusions; see member.excluded
}

// New makes a Pool. The brokers that were given as IP addresses can be chosen at once, names once Resolve or Run
// has found out what they stand for.
func New(cfg Config) *Pool {
	if cfg.Probe == nil {
		cfg.Probe = DialProbe(nil)
	}
	if cfg.Lookup == nil {
		cfg.Lookup = lookUp
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Pool{cfg: cfg, wake: make(chan struct{}, 1), known: make(map[string]*member)}
	for _, addr := range cfg.Addrs {
		p.names = append(p.names, newName(addr))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settle(Up)
	return p
}

// Run keeps names resolved and brokers probed until ctx is done, and returns once nothing of that goes on any
// more. Places can be taken without it, and after it.
func (p *Pool) Run(ctx context.Context) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	for _, n := range p.names {
		if !n.literal() {
			tasks.Go(func() { p.follow(ctx, n) })
		}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-p.wake:
		case <-ctx.Done():
			return
		}
		due, pause := p.look()
		for _, m := range due {
			tasks.Go(func() { p.probe(ctx, m) })
		}
		timer.Reset(pause)
	}
}

// look moves on what has waited long enough. It returns the members to probe now and when to look again.
func (p *Pool) look() (due []*member, pause time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	pause = probeInterval
	for _, m := range p.members {
		if m.returned(now) {
			m.enter(Up)
			m.relapses = 0
			p.cfg.Logger.Info("backend has returned", "backend", m.addr, "name", m.name)
		}
		if m.probing {
			continue // its end wakes Run
		}
		if left := m.due.Sub(now); left > 0 {
			pause = min(pause, left)
			continue
		}
		m.probing, m.due = true, now.Add(jittered(probeInterval))
		due = append(due, m)
	}
	return due, pause
}

// stir makes Run look at the members again.
func (p *Pool) stir() {
	select {
	case p.wake <- struct{}{}:
	default: // it is about to
	}
}

// settle makes the members those that the names stand for. What is new begins with state; p.mu is held.
func (p *Pool) settle(state State) {
	wanted := make(map[string]*member)
	for _, n := range p.names {
		for _, addr := range n.addrs {
			if _, twice := wanted[addr]; !twice {
				wanted[addr] = p.member(addr, n, state)
			}
		}
	}
	for addr, m := range p.known {
		if wanted[addr] == nil {
			m.gone = true
			p.forget(m)
		}
	}
	p.members = p.members[:0:0]
	for _, m := range wanted {
		p.members = append(p.members, m)
	}
	slices.SortFunc(p.members, func(a, b *member) int { return strings.Compare(a.addr, b.addr) })
	p.stir()
}

// member returns the member with an address of n, made or brought back if need be; p.mu is held.
func (p *Pool) member(addr string, n *name, state State) *member {
	m := p.known[addr]
	if m == nil {
		m = &member{addr: addr, gone: true}
		p.known[addr] = m
	}
	m.name, m.home = n.configured, hash(n.identity(addr))
	if m.gone {
		m.gone = false
		m.enter(state)
		m.due = m.since.Add(jittered(probeInterval))
	}
	return m
}

// forget drops a member that left and has no sessions any more; p.mu is held.
func (p *Pool) forget(m *member) {
	if m.gone && m.sessions == 0 {
		delete(p.known, m.addr)
	}
}
