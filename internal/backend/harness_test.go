// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/internal/backend"
)

// settleTime is how long a session has to last to prove anything.
const settleTime = 6 * time.Second

// Brokers of most tests.
const (
	one   = "192.0.2.1:1883"
	two   = "192.0.2.2:1883"
	three = "192.0.2.3:1883"
	four  = "192.0.2.4:1883"
)

var errRefused = errors.New("connection refused")

// A fleet is a pool with brokers that are well or not as the test says, and the names of a DNS that the test keeps.
type fleet struct {
	*backend.Pool
	t    testing.TB
	logs logs

	mu     sync.Mutex
	dead   map[string]bool
	probes map[string][]time.Time
	dns    map[string][]string // of hosts; without an entry, a look-up fails
	asked  map[string]int
}

// newFleet makes a pool. change may be nil.
func newFleet(t testing.TB, change func(*backend.Config), addrs ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, dead: map[string]bool{}, probes: map[string][]time.Time{}, dns: map[string][]string{}, asked: map[string]int{}}
	cfg := backend.Config{
		Addrs:  addrs,
		Probe:  f.probe,
		Lookup: f.lookUp,
		Logger: slog.New(slog.NewJSONHandler(&f.logs, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	f.Pool = backend.New(cfg)
	return f
}

func byClientID(c *backend.Config) { c.Balance = backend.ByClientID }

// inBubble runs test with a fleet that is kept until the test ends, in a time of its own.
func inBubble(t *testing.T, test func(t *testing.T, f *fleet), addrs ...string) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, nil, addrs...)
		f.keep()
		test(t, f)
	})
}

// keep runs the pool until the test ends, by when nothing of it may be left.
func (f *fleet) keep() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Run(ctx)
	}()
	f.t.Cleanup(func() {
		cancel()
		<-done
	})
}

func (f *fleet) probe(_ context.Context, addr string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.probes[addr] = append(f.probes[addr], time.Now())
	if f.dead[addr] {
		return errRefused
	}
	return nil
}

// setDead makes probes of a broker fail, or not.
func (f *fleet) setDead(addr string, dead bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead[addr] = dead
}

// probed is when a broker was probed.
func (f *fleet) probed(addr string) []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.probes[addr])
}

func (f *fleet) lookUp(_ context.Context, host string) ([]netip.Addr, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[host]++
	texts, ok := f.dns[host]
	if !ok {
		return nil, errors.New("no such host")
	}
	var addrs []netip.Addr
	for _, text := range texts {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	return addrs, nil
}

// setName makes a name stand for addresses, which may be none; nil: it does not resolve.
func (f *fleet) setName(host string, addrs ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if addrs == nil {
		delete(f.dns, host)
		return
	}
	f.dns[host] = addrs
}

// enter takes a lease for a client and moves it on to its first broker, which has to be there.
func (f *fleet) enter(clientID string) (*backend.Lease, string) {
	f.t.Helper()
	p := f.Lease("acme:lamp", clientID)
	addr, ok := p.Next()
	if !ok {
		f.t.Fatal("no broker to be had")
	}
	return p, addr
}

// succeeded has a broker accept the session of a lease.
func succeeded(l *backend.Lease) { l.Succeeded(true) }

// answeredAt makes a session find that addr answers.
func (f *fleet) answeredAt(addr string) {
	f.t.Helper()
	f.at(addr, succeeded)
}

// passTrial has a session at addr, which is returning, last until addr is proven. It takes settleTime.
func (f *fleet) passTrial(addr string) {
	f.t.Helper()
	f.answeredAt(addr)
	time.Sleep(settleTime)
}

// at takes leases until one is at addr, does something with that one and releases them all.
func (f *fleet) at(addr string, do func(*backend.Lease)) {
	f.t.Helper()
	for range 1000 {
		p, got := f.enter("")
		defer p.Release()
		if got == addr {
			do(p)
			return
		}
	}
	f.t.Fatalf("nobody comes to %s", addr)
}

// refuse makes a session find that addr cannot be dialed.
func (f *fleet) refuse(addr string) {
	f.t.Helper()
	f.at(addr, func(p *backend.Lease) { p.Unreachable(errRefused) })
}

// share is how many of n sessions that come and go at once go to addr.
func (f *fleet) share(addr string, n int) int {
	f.t.Helper()
	count := 0
	for range n {
		p, got := f.enter("")
		if got == addr {
			count++
		}
		p.Release()
	}
	return count
}

// status is that of the broker at addr.
func (f *fleet) status(addr string) backend.Status {
	f.t.Helper()
	all := f.Status()
	i := slices.IndexFunc(all, func(s backend.Status) bool { return s.Addr == addr })
	if i < 0 {
		f.t.Fatalf("no status of %s in %+v", addr, all)
	}
	return all[i]
}

func (f *fleet) wantState(addr string, want backend.State) {
	f.t.Helper()
	if got := f.status(addr).State; got != want {
		f.t.Errorf("%s is %v, want %v", addr, got, want)
	}
}

// addrs are the addresses that have a status.
func (f *fleet) addrs() []string {
	var addrs []string
	for _, s := range f.Status() {
		addrs = append(addrs, s.Addr)
	}
	return addrs
}

func (f *fleet) wantAddrs(want ...string) {
	f.t.Helper()
	if got := f.addrs(); !slices.Equal(got, want) {
		f.t.Errorf("known are %q, want %q", got, want)
	}
}

// logs collects JSON lines.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// with are the lines with this message.
func (l *logs) with(t testing.TB, message string) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []map[string]any
	for line := range bytes.Lines(l.buf.Bytes()) {
		var attrs map[string]any
		if err := json.Unmarshal(line, &attrs); err != nil {
			t.Fatal(err)
		}
		if attrs["msg"] == message {
			found = append(found, attrs)
		}
	}
	return found
}

func (l *logs) wantCount(t testing.TB, message string, want int) {
	t.Helper()
	if got := l.with(t, message); len(got) != want {
		t.Errorf("logged %q %d times, want %d: %v", message, len(got), want, got)
	}
}
