// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// An ownerTable answers for each certificate, and can be changed.
type ownerTable struct {
	mu      sync.Mutex
	answers map[pki.Fingerprint]answer // admin:dev1 for others
	asked   []proxy.Peer
}

func (o *ownerTable) lookup(_ context.Context, peer proxy.Peer) (string, bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = append(o.asked, peer)
	if a, ok := o.answers[peer.Fingerprint]; ok {
		return a.owner, a.ok, a.err
	}
	return "admin:dev1", true, nil
}

func (o *ownerTable) set(cert *certtest.Cert, a answer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.answers == nil {
		o.answers = make(map[pki.Fingerprint]answer)
	}
	o.answers[pki.FingerprintOf(cert.Leaf)] = a
}

// questions returns how many there were of live sessions since the last call.
func (o *ownerTable) questions() (live int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, peer := range o.asked {
		if peer.Live {
			live++
		}
	}
	o.asked = nil
	return live
}

// never is a gate whose owners are not asked for by themselves.
func never(o *ownerTable, b *broker) func(*proxy.Config) {
	return func(c *proxy.Config) { brokers(b)(c); c.Owner = o.lookup; c.Recheck = 0 }
}

func TestRecheckNowEndsSessionsOfTheCertificate(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]answer{
		"somebody else": {"admin:dev2", true, nil},
		"nobody":        {"", false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := &ownerTable{}
			b := startBroker(t)
			g := startGate(t, never(table, b))
			device := testPKI().ca.Issue("admin:dev1")
			client, backend := session5(g, b, device)
			second, secondsEnd := session5(g, b, device)
			stayer, stayersEnd := session5(g, b, testPKI().ca.Issue("admin:dev1"))

			fp := pki.FingerprintOf(device.Leaf)
			if n := g.RecheckNow(fp); n != 0 {
				t.Errorf("%d sessions ended though nothing had changed", n)
			}
			table.set(device, change)
			if n := g.RecheckNow(fp); n != 2 {
				t.Errorf("%d sessions ended, want 2", n)
			}
			wantStopped(t, client, backend, 0x87)
			wantStopped(t, second, secondsEnd, 0x87)
			g.logs.await(t, func(l map[string]any) bool { return l["reason"] == "owner_changed" })
			write(t, stayer, pingreq)
			wantBytes(t, stayersEnd, pingreq)
		})
	}
}

func TestRecheckNowOfAnUnansweredOwnerEndsNothing(t *testing.T) {
	t.Parallel()
	table := &ownerTable{}
	b := startBroker(t)
	g := startGate(t, never(table, b))
	device := testPKI().ca.Issue("admin:dev1")
	client, backend := session5(g, b, device)
	table.set(device, answer{"", false, errors.New("certificate-acl is down")})
	if n := g.RecheckNow(pki.FingerprintOf(device.Leaf)); n != 0 {
		t.Errorf("%d sessions ended", n)
	}
	write(t, client, pingreq)
	wantBytes(t, backend, pingreq)
}

func TestRecheckOfAStrangerAsksNobody(t *testing.T) {
	t.Parallel()
	table := &ownerTable{}
	b := startBroker(t)
	g := startGate(t, never(table, b))
	session5(g, b, testPKI().device)
	table.questions()
	g.RecheckNow(pki.Fingerprint{1})
	g.RecheckSoon(proxy.Filter{Fingerprint: pki.Fingerprint{1}}, 0)
	g.RecheckSoon(proxy.Filter{Owner: "admin:dev2"}, 0)
	g.RecheckSoon(proxy.Filter{Text: "no such text"}, 0)
	g.RecheckSoon(proxy.Filter{Text: "no such text", Owner: "admin:dev1"}, 0)
	if n := table.questions(); n != 0 {
		t.Errorf("%d questions", n)
	}
}

func TestRecheckSoonLooksAtThoseThatMatch(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		filter func(*certtest.Cert) proxy.Filter
		over   time.Duration
		want   int
	}{
		"fingerprint":   {func(c *certtest.Cert) proxy.Filter { return proxy.Filter{Fingerprint: pki.FingerprintOf(c.Leaf)} }, 0, 1},
		"owner":         {func(*certtest.Cert) proxy.Filter { return proxy.Filter{Owner: "admin:dev1"} }, 0, 3},
		"all":           {func(*certtest.Cert) proxy.Filter { return proxy.Filter{} }, 0, 3},
		"all, spread":   {func(*certtest.Cert) proxy.Filter { return proxy.Filter{} }, 100 * time.Millisecond, 3},
		"text":          {func(*certtest.Cert) proxy.Filter { return proxy.Filter{Text: "DEV1"} }, 0, 3},
		"by a listener": {func(*certtest.Cert) proxy.Filter { role := proxy.Devices; return proxy.Filter{Listener: &role} }, 0, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := &ownerTable{}
			b := startBroker(t)
			g := startGate(t, never(table, b))
			device := testPKI().ca.Issue("admin:dev1")
			client, backend := session5(g, b, device)
			session5(g, b, testPKI().ca.Issue("admin:dev1"))
			session5(g, b, testPKI().ca.Issue("admin:dev1"))
			table.questions()
			table.set(device, answer{"admin:dev2", true, nil})
			if n := g.RecheckSoon(row.filter(device), row.over); n != row.want {
				t.Errorf("%d sessions, want %d", n, row.want)
			}
			wantStopped(t, client, backend, 0x87)
			asked := 0
			await(t, "all questions", func() bool { asked += table.questions(); return asked == row.want })
		})
	}
}

// An ordinary recheck is not put off by one that is spread over a longer time.
func TestRecheckSoonPutsNothingOff(t *testing.T) {
	t.Parallel()
	table := &ownerTable{}
	b := startBroker(t)
	g := startGate(t, func(c *proxy.Config) { never(table, b)(c); c.Recheck = 50 * time.Millisecond })
	session5(g, b, testPKI().device)
	asked := 0
	await(t, "three rechecks", func() bool {
		g.RecheckSoon(proxy.Filter{}, time.Hour)
		asked += table.questions()
		return asked >= 3
	})
}

// A table of owners that is replaced ends the sessions that it has another owner for, and asks about no others.
func TestRecheckWhereLooksAtThoseThatMayDiffer(t *testing.T) {
	t.Parallel()
	table := &ownerTable{}
	b := startBroker(t)
	g := startGate(t, never(table, b))
	lamp, door, bell := testPKI().ca.Issue("admin:dev1"), testPKI().ca.Issue("admin:dev1"), testPKI().ca.Issue("admin:dev1")
	lampClient, lampBackend := session5(g, b, lamp)
	secondClient, secondBackend := session5(g, b, lamp)
	doorClient, doorBackend := session5(g, b, door)
	bellClient, bellBackend := session5(g, b, bell)
	table.questions()
	table.set(lamp, answer{"admin:dev2", true, nil})
	table.set(door, answer{"", false, errors.New("not told")})
	table.set(bell, answer{"", false, nil}) // but differs does not say so
	looked := make(map[pki.Fingerprint]int)
	g.RecheckWhere(t.Context(), func(peer proxy.Peer) bool {
		looked[peer.Fingerprint]++
		if len(peer.Chain) != 2 || !peer.Live {
			t.Errorf("it is shown a chain of %d certificates, of live sessions: %v", len(peer.Chain), peer.Live)
		}
		return peer.Fingerprint != pki.FingerprintOf(bell.Leaf)
	})
	wantStopped(t, lampClient, lampBackend, 0x87)
	wantStopped(t, secondClient, secondBackend, 0x87)
	for _, stays := range []struct{ client, backend net.Conn }{{doorClient, doorBackend}, {bellClient, bellBackend}} {
		write(t, stays.client, pingreq)
		wantBytes(t, stays.backend, pingreq)
	}
	if n := table.questions(); n != 2 || len(looked) != 3 || looked[pki.FingerprintOf(lamp.Leaf)] != 1 {
		t.Errorf("%d questions after a look at %v, want 2 after 3 certificates", n, looked)
	}
}

// Sessions may be many, and what replaces the table may have to end.
func TestRecheckWhereEndsWithItsContext(t *testing.T) {
	t.Parallel()
	table := &ownerTable{}
	b := startBroker(t)
	g := startGate(t, never(table, b))
	for range 3 {
		session5(g, b, testPKI().ca.Issue("admin:dev1"))
	}
	table.questions()
	ctx, cancel := context.WithCancel(t.Context())
	looked := 0
	g.RecheckWhere(ctx, func(proxy.Peer) bool { looked++; cancel(); return true })
	if n := table.questions(); looked != 1 || n > 1 {
		t.Errorf("it looks at %d certificates and asks about %d, want one of three", looked, n)
	}
}

// What changes after the owner was asked for and before the broker has answered must not be missed.
func TestOwnerChangedWhileConnecting(t *testing.T) {
	t.Parallel()
	for name, look := range map[string]func(*gate, pki.Fingerprint){
		"now":         func(g *gate, fp pki.Fingerprint) { g.RecheckNow(fp) },
		"fingerprint": func(g *gate, fp pki.Fingerprint) { g.RecheckSoon(proxy.Filter{Fingerprint: fp}, time.Hour) },
		"owner":       func(g *gate, _ pki.Fingerprint) { g.RecheckSoon(proxy.Filter{Owner: "admin:dev1"}, time.Hour) },
		"all":         func(g *gate, _ pki.Fingerprint) { g.RecheckSoon(proxy.Filter{}, time.Hour) },
		"kick":        func(g *gate, _ pki.Fingerprint) { g.Kick(proxy.Filter{Owner: "admin:dev1"}, func(pki.Fingerprint) {}) },
		"where":       func(g *gate, _ pki.Fingerprint) { g.RecheckWhere(t.Context(), func(proxy.Peer) bool { return true }) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := &ownerTable{}
			b := startBroker(t)
			g := startGate(t, never(table, b))
			client := g.device(connect5)
			backend := b.accept()
			wantBytes(t, backend, connect5Owned)
			table.set(testPKI().device, answer{"admin:dev2", true, nil})
			look(g, pki.FingerprintOf(testPKI().device.Leaf))
			write(t, backend, connack5)
			wantBytes(t, client, connack5)
			wantStopped(t, client, backend, 0x87)
			g.wantEnd(proxy.OwnerChanged)
		})
	}
}

// An owner that may not be right any more lets a device in, and is asked for again soon.
func TestOwnerInDoubtIsAskedForAgainSoon(t *testing.T) {
	t.Parallel()
	for _, interval := range []time.Duration{0, 1000 * time.Hour} {
		t.Run(interval.String(), func(t *testing.T) {
			t.Parallel()
			table := &ownerTable{}
			b := startBroker(t)
			g := startGate(t, func(c *proxy.Config) { never(table, b)(c); c.Recheck = interval })
			device := testPKI().ca.Issue("admin:dev1")
			fp := pki.FingerprintOf(device.Leaf)
			wantSoon := func(is bool) {
				t.Helper()
				next := g.NextRecheck(fp)
				if soon := !next.IsZero() && time.Until(next) <= time.Minute; soon != is {
					t.Errorf("it is asked for again at %v, want soon: %t", next, is)
				}
			}
			session5(g, b, device)
			wantSoon(false)
			doubt := fmt.Errorf("%w: certificate-acl is down", proxy.ErrAskAgain)
			table.set(device, answer{"admin:dev1", true, doubt})
			client, backend := session5(g, b, device)
			wantSoon(true)
			if n := g.RecheckNow(fp); n != 0 {
				t.Errorf("%d sessions ended though nothing has changed", n)
			}
			table.set(device, answer{"admin:dev2", true, doubt})
			if n := g.RecheckNow(fp); n != 2 {
				t.Errorf("%d sessions ended, want 2", n)
			}
			wantStopped(t, client, backend, 0x87)
		})
	}
}

// What is asked for at once goes before all that is overdue.
func TestRecheckAtOnceIsTheNext(t *testing.T) {
	t.Parallel()
	table, b, device := &ownerTable{}, startBroker(t), testPKI().ca.Issue("admin:dev1")
	fp := pki.FingerprintOf(device.Leaf)
	answers, asked := make(chan struct{}), make(chan struct{}, 100)
	g := startGate(t, func(c *proxy.Config) {
		never(table, b)(c)
		c.Owner = func(ctx context.Context, peer proxy.Peer) (string, bool, error) {
			if peer.Live && peer.Fingerprint != fp {
				asked <- struct{}{}
				select {
				case <-answers:
				case <-ctx.Done():
				}
			}
			return table.lookup(ctx, peer)
		}
	})
	for range 40 {
		session5(g, b, testPKI().ca.Issue("admin:dev1"))
	}
	g.RecheckSoon(proxy.Filter{}, 1)
	for range proxy.Recheckers {
		<-asked
	}
	client, backend := session5(g, b, device)
	table.set(device, answer{"admin:dev2", true, nil})
	g.RecheckSoon(proxy.Filter{Fingerprint: fp}, 0)
	answers <- struct{}{} // then comes what is waiting for a rechecker already
	answers <- struct{}{}
	wantStopped(t, client, backend, 0x87)
}

// Owners of which certificate-acl does not tell hold up no others.
func TestRecheckOfHangingOwnersHoldsUpNoOthers(t *testing.T) {
	t.Parallel()
	table, b, device := &ownerTable{}, startBroker(t), testPKI().ca.Issue("admin:dev1")
	fp := pki.FingerprintOf(device.Leaf)
	var hangs atomic.Bool
	asked := make(chan struct{}, 100)
	g := startGate(t, func(c *proxy.Config) {
		never(table, b)(c)
		c.Owner = func(ctx context.Context, peer proxy.Peer) (string, bool, error) {
			if !peer.Live || peer.Fingerprint == fp {
				return table.lookup(ctx, peer)
			}
			asked <- struct{}{}
			if hangs.Load() {
				<-ctx.Done()
			}
			return "", false, errors.New("no answer")
		}
	})
	var others []pki.Fingerprint
	for range 40 {
		other := testPKI().ca.Issue("admin:dev1")
		others = append(others, pki.FingerprintOf(other.Leaf))
		session5(g, b, other)
	}
	client, backend := session5(g, b, device)
	g.RecheckSoon(proxy.Filter{}, 0)
	for _, other := range others {
		<-asked
		await(t, "the next time", func() bool { return !g.NextRecheck(other).IsZero() })
	}
	hangs.Store(true)
	g.RecheckSoon(proxy.Filter{}, 1)
	for range proxy.Recheckers {
		<-asked
	}
	table.set(device, answer{"admin:dev2", true, nil})
	g.RecheckSoon(proxy.Filter{Fingerprint: fp}, 1)
	wantStopped(t, client, backend, 0x87)
}

// TestRecheckFromAllSides lets changes and sessions come and go at once; it is for the race detector.
func TestRecheckFromAllSides(t *testing.T) {
	t.Parallel()
	table := &ownerTable{}
	b := startBroker(t)
	g := startGate(t, never(table, b))
	devices := make([]*certtest.Cert, 4)
	for i := range devices {
		devices[i] = testPKI().ca.Issue(fmt.Sprintf("admin:dev%d", i))
	}
	done := make(chan struct{})
	var changing sync.WaitGroup
	defer changing.Wait()
	defer close(done)
	for i := range devices {
		changing.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				fp := pki.FingerprintOf(devices[i].Leaf)
				g.RecheckNow(fp)
				g.RecheckSoon(proxy.Filter{Fingerprint: fp}, time.Millisecond)
				g.RecheckSoon(proxy.Filter{}, time.Millisecond)
				g.RecheckWhere(t.Context(), func(peer proxy.Peer) bool { return peer.Fingerprint == fp })
			}
		})
	}
	for range 10 {
		var clients []net.Conn
		for _, d := range devices {
			client, _ := session5(g, b, d)
			clients = append(clients, client)
		}
		for _, c := range clients {
			_ = c.Close()
		}
	}
}
