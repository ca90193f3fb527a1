// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// eager answers every CONNECT on l, and echoes what follows until the end.
func eager(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				if _, err := io.ReadFull(c, make([]byte, len(connect5Owned))); err != nil {
					return
				}
				_, _ = c.Write(connack5)
				_, _ = io.Copy(c, c)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); conns.Wait() })
	return l.Addr().String()
}

// Everything that changes what sessions are bound to happens at once: full and resumed handshakes of many certificates,
// among them one that is in the bundle itself, new generations of trust that take some away, clients that leave, kicks,
// queries, and a drain at the end. The race detector looks on; afterwards nothing is left.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	plant := testPKI().ca.Intermediate("plant 7")
	inBundle := certtest.NewCA("admin:dev1", certtest.ExtKeyUsage(x509.ExtKeyUsageClientAuth))
	devices := []*certtest.Cert{{Leaf: inBundle.Cert, Key: inBundle.Key}}
	for i := range 12 {
		devices = append(devices, []*certtest.CA{testPKI().ca, plant}[i%2].Issue("admin:dev1"))
	}
	all := newTrust()
	all.pool.AddCert(inBundle.Cert)
	trusts := []*trust{all, {certs: all.certs, pool: all.pool, revoked: []*x509.Certificate{devices[1].Leaf, devices[2].Leaf}}, newTrust()}
	withdrawals := []proxy.Withdrawal{
		{}, {Revoked: revoking(devices[1].Leaf, devices[2].Leaf)}, {CAs: []*x509.Certificate{inBundle.Cert, plant.Cert}},
	}

	addr := eager(t)
	g := startGate(t, func(c *proxy.Config) {
		c.Lease = newTurns(addr).lease
		c.Recheck, c.MaxLifetime = 20*time.Millisecond, 100*time.Millisecond
	})
	g.trust.Store(all)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var running sync.WaitGroup
	var sessions, resumed atomic.Int32
	for i, device := range devices {
		for _, version := range bothVersions {
			config := clientConfig(device)
			config.MinVersion, config.MaxVersion = version, version
			config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			running.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					if n%5 == 4 { // else all would resume
						config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
					}
					comeAndGo(ctx, g.addr, config, &sessions, &resumed, i+n)
				}
			})
		}
	}
	enough := func() bool { return sessions.Load() > 0 && resumed.Load() > 0 }
	g.wearOut(ctx, cancel, &running, trusts, withdrawals, enough)
	if !enough() {
		t.Errorf("got %d sessions and %d resumed ones, want some", sessions.Load(), resumed.Load())
	}
}

// wearOut changes the trust all the time and kicks sessions while clients, which run until stop, come and go: for a moment,
// and on a busy machine until enough reports true or ctx ends. In the midst of it the gate drains. Afterwards nothing is left.
func (g *gate) wearOut(ctx context.Context, stop func(), running *sync.WaitGroup, trusts []*trust, withdrawals []proxy.Withdrawal, enough func() bool) {
	g.t.Helper()
	running.Go(func() {
		for n := 1; ctx.Err() == nil; n = (n + 1) % len(trusts) {
			g.trust.Store(trusts[n])
			running.Go(func() { g.Withdraw(ctx, withdrawals[n]) })
			sleep(ctx, 7*time.Millisecond)
		}
	})
	running.Go(func() {
		for ctx.Err() == nil {
			if page, _ := g.Sessions(proxy.Filter{}, 0, 10); len(page) > 0 {
				g.Kick(proxy.Filter{ID: page[rand.IntN(len(page))].ID}, nil)
			}
			for range g.Owners() {
			}
			sleep(ctx, 3*time.Millisecond)
		}
	})
	sleep(ctx, 1500*time.Millisecond)
	for !enough() && ctx.Err() == nil {
		sleep(ctx, 10*time.Millisecond)
	}
	g.Drain(ctx, 200*time.Millisecond)
	if err := g.Shutdown(g.t.Context()); err != nil {
		g.t.Error(err)
	}
	stop()
	running.Wait()
	if page, _ := g.Sessions(proxy.Filter{}, 0, 10); len(page) > 0 {
		g.t.Errorf("sessions that have ended are still there: %v", page)
	}
}

// comeAndGo has a device connect, say something, and leave in some way. That it is refused or ended is all right.
func comeAndGo(ctx context.Context, addr string, config *tls.Config, sessions, resumed *atomic.Int32, n int) {
	dialer := tls.Dialer{Config: config}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write(connect5); err != nil {
		return
	}
	if _, err := io.ReadFull(conn, make([]byte, len(connack5))); err != nil {
		return
	}
	sessions.Add(1)
	if conn.(*tls.Conn).ConnectionState().DidResume {
		resumed.Add(1)
	}
	_, _ = fmt.Fprintf(conn, "%s", pingreq)
	_, _ = io.ReadFull(conn, make([]byte, 2))
	switch n % 3 {
	case 0:
		_, _ = conn.Write(disconnect)
	case 1:
		_, _ = io.Copy(io.Discard, conn) // until it is ended
	}
}

// sleep waits for d, or less when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
