// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vernegate/vernegate/internal/dial"
)

const (
	// resolveInterval is the pause between two look-ups of a name: the records of Kubernetes live for 5 s at
	// least, and a pod that is new gets no session before that.
	resolveInterval = 5 * time.Second
	// resolveAgain is the pause while nothing is known of a name.
	resolveAgain = time.Second
	// resolveTimeout is how long a look-up may take; the resolver's own is 5 s for each server and attempt.
	resolveTimeout = 5 * time.Second
)

// A name is one element of Config.Addrs, and what it stands for.
type name struct {
	configured string // host:port, or a Unix socket as in package dial
	host, port string // "" of a Unix socket

	// Guarded by the pool's mu. Once there are addresses, there always are: a look-up that fails leaves the last
	// ones, since what was a broker a moment ago is better than none.
	addrs   []string // IP:port, or the Unix socket
	failing error    // of the last look-up; nil = it succeeded
}

// newName splits host:port. What cannot be split is a host that will not be resolved.
func newName(configured string) *name {
	if dial.IsUnix(configured) {
		return &name{configured: configured, addrs: []string{configured}}
	}
	n := &name{configured: configured, host: configured}
	if host, port, err := net.SplitHostPort(configured); err == nil {
		n.host, n.port = host, port
	}
	if n.literal() {
		n.addrs = []string{net.JoinHostPort(n.host, n.port)}
	}
	return n
}

// literal reports whether the name is that of a Unix socket or the host is an IP address, which stand for themselves.
func (n *name) literal() bool {
	if n.host == "" {
		return true
	}
	_, err := netip.ParseAddr(n.host)
	return err == nil
}

// identity is what clients are at home with: the name if it stands for one broker alone, since a pod that was
// restarted has another address and still the sessions; else the address.
func (n *name) identity(addr string) string {
	if len(n.addrs) == 1 {
		return n.configured
	}
	return addr
}

// Resolve looks all names up once, at the same time, and returns when that is done or ctx is. To be called before
// the first lease is taken, or the first sessions find no broker.
func (p *Pool) Resolve(ctx context.Context) {
	var lookups sync.WaitGroup
	for _, n := range p.names {
		if !n.literal() {
			lookups.Go(func() { p.resolve(ctx, n) })
		}
	}
	lookups.Wait()
}

// keepResolved resolves n again and again until ctx is done.
func (p *Pool) keepResolved(ctx context.Context, n *name) {
	for {
		pause := resolveInterval
		if !p.resolved(n) {
			pause = resolveAgain
		}
		timer := time.NewTimer(jittered(pause))
		select {
		case <-timer.C:
			p.resolve(ctx, n)
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// resolve looks n up once, and has it stand for what was found.
func (p *Pool) resolve(ctx context.Context, n *name) {
	asking, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	addrs, err := p.cfg.Lookup(asking, n.host)
	if ctx.Err() != nil {
		return
	}
	if err == nil && len(addrs) == 0 {
		err = errors.New("the name has no addresses")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.unresolved(n, err)
		return
	}
	p.setAddrs(n, addrs)
}

// unresolved notes that n could not be looked up; p.mu is held.
func (p *Pool) unresolved(n *name, err error) {
	if n.failing == nil {
		p.cfg.Logger.Warn("resolving a backend's name failed", "name", n.configured, "known", n.addrs, "err", err)
	}
	n.failing = err
}

// setAddrs makes addrs what n stands for; p.mu is held.
func (p *Pool) setAddrs(n *name, addrs []netip.Addr) {
	found := n.dialable(addrs)
	first, changed := n.addrs == nil, !slices.Equal(found, n.addrs)
	if changed || n.failing != nil {
		p.cfg.Logger.Info("backend's name resolved", "name", n.configured, "addresses", found)
	}
	n.failing = nil
	if !changed {
		return
	}
	n.addrs = found
	if first {
		p.updateMembers(Up)
	} else {
		p.updateMembers(Returning)
	}
}

// dialable makes IP:port of addresses, in a stable order and each once. When there are both families, IPv6 is left out:
// they are the same brokers, which would be counted twice.
func (n *name) dialable(addrs []netip.Addr) []string {
	v4 := slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Unmap().Is4() })
	var found []string
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() || !v4 {
			found = append(found, net.JoinHostPort(a.String(), n.port))
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func lookUp(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}
