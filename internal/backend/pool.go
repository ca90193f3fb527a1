// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package backend knows the brokers: which addresses there are, which of them are well, and which one the next
// session goes to.
//
// A [Pool] is made of what the operator configured. A host that is a name is resolved again and again, so that
// the pods behind a headless Service come and go; an address that left takes no new sessions, and those it has
// stay. A session takes a [Lease]: the lease names one broker after the other until one has answered, is told
// what became of each, and counts as a session of its broker until it is released.
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
//   - A broker that is [Up] is [Ejected] when it cannot be dialed, when TLS with it does not come about, when three
//     CONNECTs in a row were met with silence or "server unavailable", when it ended the connections of three different
//     clients in a row without an answer, or their sessions soon after it had accepted them, or when two probes in a row
//     failed.
//   - An ejected broker is probed after a back-off of one second, then twice that and so on up to 30 s. When that
//     succeeds, it is [Returning], and all other ejected brokers are probed at once.
//   - A returning broker is up again after some 30 s, or ejected again, with the back-off going on from where it was.
//
// A returning broker gets one session at a time, on trial, until 6 s have passed since it accepted one: a VerneMQ that
// has been restarted accepts sessions before its cluster is ready, and ends them a few seconds later. Then it gets a
// tenth of the sessions that would be its own, and more and more until after 30 s it gets all of them. A broker that
// joins later than the others of its name begins like that, too. A trial goes on when all other brokers are ejected,
// but not when there is no other broker.
//
// A client can make a broker be silent, or end its connection or session: only what happens to several clients in a row
// counts. An answer to any CONNECT starts the count anew, and early ends of sessions do not count while others last. And as a
// few clients may do so together, again and again, the broker is ejected only if [Config.Confirm], a client of ours, meets
// the same.
//
// Ejected brokers are the last resort: when all are ejected, the reason may well be on this side, and a session that
// fails there would have been refused anyway.
//
// The package does not speak MQTT and opens no connections but those of its probes: the holder of a Lease does, and Confirm.
package backend

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vernegate/vernegate/internal/dial"
)

// Config says which brokers there are and how to find out whether they are well. The zero value of all but Addrs is
// useful.
type Config struct {
	// Addrs are the brokers as host:port, the host an IP address or a name, or Unix sockets as in package dial; at least one.
	Addrs []string
	// Balance is how a broker is chosen.
	Balance Balance
	// Probe asks whether a broker is well; nil = DialProbe(nil, nil). It is called for different brokers at a time.
	Probe Probe
	// Confirm decides whether a broker is ejected for what happened to clients, and, beside Probe, whether it then returns, as
	// long as no other client is served; nil = it is, and Probe decides. It is called by Run, for different brokers at a time.
	Confirm Confirm
	// ConfirmTimeout is how long a broker has to answer a CONNECT of Confirm; 0 = 5 s.
	ConfirmTimeout time.Duration
	// ProbeDecides has ejected brokers return by a probe alone, as Probe knows more than whether they can be dialed.
	// Otherwise one that answers a CONNECT, sent to it for want of another, returns unless probes have ejected it.
	ProbeDecides bool
	// Lookup resolves a name; nil = the system's resolver. It is called for different names at a time.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Logger gets one line for every change of state; nil = discard.
	Logger *slog.Logger
}

// A Pool is the brokers. Its methods may be called concurrently.
type Pool struct {
	cfg   Config
	names []*name
	wake  chan struct{} // holds an element when Run has to look at the members again
	began time.Time

	mu      sync.Mutex
	members []*member          // what sessions may go to, in the order of their addresses
	known   map[string]*member // by address: members, and those that left and have sessions
	choices int                // made so far; ties between members are broken by it
	mark    uint64             // counts exclusions; see member.excluded
}

// New makes a Pool. The brokers that were given as IP addresses can be chosen at once, names once Resolve or Run
// has found out what they stand for.
func New(cfg Config) *Pool {
	if cfg.Probe == nil {
		cfg.Probe = DialProbe(nil, nil)
	}
	if cfg.ConfirmTimeout == 0 {
		cfg.ConfirmTimeout = defaultConfirmTimeout
	}
	if cfg.Lookup == nil {
		cfg.Lookup = lookUp
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Pool{cfg: cfg, wake: make(chan struct{}, 1), began: time.Now(), known: make(map[string]*member)}
	for _, addr := range cfg.Addrs {
		p.names = append(p.names, newName(addr))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.updateMembers(Up)
	return p
}

// Run keeps names resolved and brokers probed until ctx is done, and returns once all look-ups and probes have ended.
// Leases can be taken without it, and after it.
func (p *Pool) Run(ctx context.Context) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	for _, n := range p.names {
		if !n.literal() {
			tasks.Go(func() { p.keepResolved(ctx, n) })
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
		due, suspects, pause := p.dueProbes()
		for _, m := range due {
			tasks.Go(func() { p.probe(ctx, m) })
		}
		for _, m := range suspects {
			tasks.Go(func() { p.confirm(ctx, m) })
		}
		timer.Reset(pause)
	}
}

// dueProbes ends the return of members that have been returning for long enough. It returns the members to probe now,
// those to confirm, and for how long nothing else is due.
func (p *Pool) dueProbes() (due, suspects []*member, pause time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	pause = probeInterval
	for _, m := range p.members {
		if m.returned(now) {
			m.state, m.since, m.relapses = Up, now, 0 // the epoch goes on
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
	return due, p.suspects(), pause
}

// wakeRun makes Run look at the members again.
func (p *Pool) wakeRun() {
	select {
	case p.wake <- struct{}{}:
	default: // it is woken already
	}
}

// updateMembers makes the members those that the names stand for. New ones begin with state; p.mu is held.
func (p *Pool) updateMembers(state State) {
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
	p.wakeRun()
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
		m.setState(state)
		m.due = m.since.Add(jittered(probeInterval))
	}
	return m
}

// Host returns the host that a broker was configured by, a name or an IP address: of the broker that Next or Status has
// called addr, or else the host of addr itself. One at a Unix socket has none.
func (p *Pool) Host(addr string) string {
	p.mu.Lock()
	if m := p.known[addr]; m != nil {
		addr = m.name
	}
	p.mu.Unlock()
	if dial.IsUnix(addr) {
		return ""
	}
	host, _, _ := net.SplitHostPort(addr)
	return host
}

// forget drops a member that left and has no sessions any more; p.mu is held.
func (p *Pool) forget(m *member) {
	if m.gone && m.sessions == 0 {
		delete(p.known, m.addr)
	}
}
