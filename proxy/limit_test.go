// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// greetAll answers every CONNECT in every version with its acceptance until the test ends.
func (b *broker) greetAll() {
	go func() {
		for c := range b.conns {
			b.t.Cleanup(func() { _ = c.Close() })
			go func() {
				connect := make([]byte, 256)
				n, err := c.Read(connect)
				if err != nil {
					return
				}
				connack := connack311
				if n > 8 && connect[8] == 5 {
					connack = connack5
				}
				_, _ = c.Write(connack)
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			}()
		}
	}()
}

// fullGate lets everybody in as change allows.
func fullGate(t *testing.T, change func(*proxy.Config)) *gate {
	t.Helper()
	b := startBroker(t)
	b.greetAll()
	return startGate(t, func(c *proxy.Config) { brokers(b)(c); change(c) })
}

// wantIn connects the device that cert is of, and wants it let in.
func (g *gate) wantIn(cert *certtest.Cert) *tls.Conn {
	g.t.Helper()
	c := g.dial(cert)
	write(g.t, c, connect311)
	wantBytes(g.t, c, connack311)
	return c
}

// wantFull wants that cert's device is told, in 3.1.1 and in 5.0, that there is no room for it.
func (g *gate) wantFull(cert *certtest.Cert, reason proxy.Reason) {
	g.t.Helper()
	for _, row := range []struct{ connect, connack []byte }{
		{connect311, []byte("\x20\x02\x00\x03")},
		{connect5, []byte("\x20\x03\x00\x97\x00")},
	} {
		c := g.dial(cert)
		write(g.t, c, row.connect)
		wantBytes(g.t, c, row.connack)
		wantEOF(g.t, c)
		_ = c.Close()
		line := g.logs.await(g.t, func(l map[string]any) bool { return l["remote"] == c.LocalAddr().String() })
		if line["reason"] != reason.String() || line["owner"] == nil {
			g.t.Errorf("got %v for the owner %v, want %v and an owner", line["reason"], line["owner"], reason)
		}
	}
}

// leave ends a session and waits until the gate has noticed.
func (g *gate) leave(c *tls.Conn) {
	g.t.Helper()
	_ = c.Close()
	g.logs.await(g.t, func(l map[string]any) bool { return l["remote"] == c.LocalAddr().String() })
}

func TestConnectionsAreLimited(t *testing.T) {
	t.Parallel()
	g := fullGate(t, func(c *proxy.Config) { c.MaxConnections = 2 })
	one := g.wantIn(testPKI().device)
	g.wantIn(testPKI().device)
	g.dial(testPKI().device) // who has not said CONNECT takes nobody's place
	g.wantFull(testPKI().device, proxy.LimitConnections)
	g.leave(one)
	g.wantIn(testPKI().device)
	g.wantFull(testPKI().device, proxy.LimitConnections)
}

func TestConnectionsOfAnOwnerAreLimited(t *testing.T) {
	t.Parallel()
	other := testPKI().ca.Issue("admin:dev2")
	g := fullGate(t, func(c *proxy.Config) {
		c.MaxConnectionsPerOwner = 2
		c.MaxConnections = 3
		c.Owner = func(_ context.Context, peer proxy.Peer) (string, bool, error) {
			if peer.Fingerprint == pki.FingerprintOf(other.Leaf) {
				return "admin:dev2", true, nil
			}
			return "admin:dev1", true, nil
		}
	})
	one := g.wantIn(testPKI().device)
	g.wantIn(testPKI().device)
	g.wantFull(testPKI().device, proxy.LimitOwner)
	g.wantIn(other)
	g.wantFull(other, proxy.LimitConnections)
	g.leave(one)
	g.wantIn(other) // and what was refused for the limit of all has not stayed counted as the owner's
	g.wantFull(other, proxy.LimitOwner)
}

// Who is not welcome is told so also when there is no room, and takes none.
func TestRefusedClientsTakeNoRoom(t *testing.T) {
	t.Parallel()
	g := startGate(t, func(c *proxy.Config) {
		nobody(c)
		c.MaxConnections, c.MaxConnectionsPerOwner = 1, 1
	})
	for range 3 {
		c := g.device(connect311)
		wantBytes(t, c, []byte("\x20\x02\x00\x05"))
		wantEOF(t, c)
	}
}

// header is a PROXY header for a client at addr.
func header(family, addr string) string {
	return fmt.Sprintf("PROXY %s %s %s 4711 8883\r\n", family, addr, addr)
}

// wantInFrom wants that the usual device is let in from behind header.
func (g *gate) wantInFrom(header string) *tls.Conn {
	g.t.Helper()
	c := tls.Client(g.dialHeaded(header), clientConfig(testPKI().device))
	write(g.t, c, connect311)
	wantBytes(g.t, c, connack311)
	return c
}

// wantNoWordFor wants that a connection from behind header ends without a byte, whatever it sends.
func (g *gate) wantNoWordFor(header string) {
	g.t.Helper()
	c := g.dialHeaded("")
	write(g.t, c, []byte(header))
	if got, _ := io.ReadAll(c); len(got) > 0 {
		g.t.Errorf("got % x, want nothing", got)
	}
}

func TestConnectionsFromAnAddressAreLimited(t *testing.T) {
	t.Parallel()
	g := fullGate(t, func(c *proxy.Config) { behindProxies(c); c.MaxConnectionsPerIP = 2 })
	v4, v6 := header("TCP4", "192.0.2.7"), header("TCP6", "2001:db8:1:2::7")

	one := g.wantInFrom(v4)
	silent := g.dialHeaded("")
	write(t, silent, []byte(v4)) // counts as well: that is what keeps one host from taking all descriptors
	await(t, "the third to be refused", func() bool {
		g.wantNoWordFor(v4)
		return g.logs.find(func(l map[string]any) bool { return l["reason"] == "rate_limited" }) != nil
	})
	g.wantInFrom(header("TCP4", "192.0.2.8"))
	g.wantInFrom(header("TCP6", "::ffff:192.0.2.8"))
	g.wantNoWordFor(header("TCP4", "192.0.2.8"))

	g.wantInFrom(v6)
	g.wantInFrom(header("TCP6", "2001:db8:1:2:ffff::8"))
	g.wantNoWordFor(header("TCP6", "2001:db8:1:2::9"))
	g.wantInFrom(header("TCP6", "2001:db8:1:3::9"))

	_ = one.Close()
	g.logs.await(t, func(l map[string]any) bool { return l["reason"] == "client_closed" && l["remote"] == "192.0.2.7:4711" })
	g.wantInFrom(v4)
}

// arrivals has n devices shake hands at the same time, and returns when, after the first, each was done; negative
// for those who were closed without a word.
func arrivals(t *testing.T, l *pipeListener, n int) []time.Duration {
	t.Helper()
	var (
		mu    sync.Mutex
		times []time.Duration
		all   sync.WaitGroup
	)
	began := time.Now()
	for range n {
		conn := l.dial()
		all.Go(func() {
			c := tls.Client(conn, clientConfig(testPKI().device))
			err := c.Handshake()
			took := time.Since(began)
			if err != nil {
				took = -took - 1
				if err != io.EOF {
					t.Errorf("got %v, want a close without a word", err)
				}
			}
			mu.Lock()
			times = append(times, took)
			mu.Unlock()
			_ = c.Close()
		})
	}
	all.Wait()
	slices.Sort(times)
	return times
}

// The clock of a bubble stands still while anything computes, so that times are exact.
func TestHandshakesBeyondTheRateWaitInTurn(t *testing.T) {
	rate := func(c *proxy.Config) { c.HandshakeRate, c.HandshakeTimeout = 4, 1900*time.Millisecond }
	inBubble(t, rate, func(t *testing.T, g *gate, l *pipeListener) {
		const now, refused = 0, -1
		var want []time.Duration
		for i := range 20 {
			switch {
			case i < 4: // the burst
				want = append(want, now)
			case i < 11: // one in a quarter of a second, as long as a handshake may take
				want = append(want, time.Duration(i-3)*250*time.Millisecond)
			default:
				want = append(want, refused)
			}
		}
		slices.Sort(want)
		if got := arrivals(t, l, 20); !slices.Equal(got, want) {
			t.Errorf("got\n%v, want\n%v", got, want)
		}
		for range 9 {
			g.wantEndOf("rate_limited")
		}
		line := g.logs.find(func(l map[string]any) bool { return l["reason"] == "rate_limited" })
		if want := "too many handshakes: no turn within 1.9s (VERNEGATE_HANDSHAKE_RATE=4)"; line["err"] != want {
			t.Errorf("got the error %q, want %q", line["err"], want)
		}
	})
}

// wantEndOf waits for the end of a connection with a reason.
func (g *gate) wantEndOf(slug string) {
	g.t.Helper()
	g.logs.await(g.t, func(l map[string]any) bool { return l["reason"] == slug })
}

// The time in the queue is not the client's: when its turn has come, it has all of its own time left.
func TestWaitingForATurnDoesNotCountAgainstTheClient(t *testing.T) {
	rate := func(c *proxy.Config) { c.HandshakeRate, c.HandshakeTimeout = 1, 10*time.Second }
	inBubble(t, rate, func(t *testing.T, g *gate, l *pipeListener) {
		arrivals(t, l, 1) // takes the one of this second
		conn := l.dial()
		go func() { _ = tls.Client(stallAfterWrite{conn}, clientConfig(testPKI().device)).Handshake() }()
		if got := lasted(conn); got != 11*time.Second {
			t.Errorf("closed after %v, want 11s: 1 s for the turn and 10 s for the rest", got)
		}
		g.wantEndOf("tls_timeout")
	})
}

// What a client has for its handshake begins when its connection has a place, and ends although it says something late.
func TestWaitingForAPlaceDoesNotCountAgainstTheClient(t *testing.T) {
	for name, test := range map[string]struct{ greets, closed time.Duration }{
		"at once": {0, 12 * time.Second},                        // 1 s for the place, 1 s for the turn, 10 s for the rest
		"late":    {10500 * time.Millisecond, 11 * time.Second}, // 1 s for the place, 10 s for the rest
	} {
		t.Run(name, func(t *testing.T) {
			one := func(c *proxy.Config) {
				c.HandshakeRate, c.MaxHandshakes, c.HandshakeTimeout = 1, 1, 10*time.Second
			}
			inBubble(t, one, func(t *testing.T, g *gate, l *pipeListener) {
				arrivals(t, l, 1) // takes the turn of this second
				began := time.Now()
				greet := func(c net.Conn) { _ = tls.Client(stallAfterWrite{c}, clientConfig(testPKI().device)).Handshake() }
				first := l.dial()
				go greet(first)
				synctest.Wait() // it has the only place, and waits for its turn
				conn := l.dial()
				_ = conn.SetDeadline(began.Add(time.Minute))
				go func() { time.Sleep(test.greets); greet(conn) }() // of the bubble
				if lasted(conn); time.Since(began) != test.closed {
					t.Errorf("closed after %v, want %v", time.Since(began), test.closed)
				}
				g.wantEndOf("tls_timeout")
			})
		})
	}
}

// stallAfterWrite is a client that sends its ClientHello and then nothing more. It leaves reading to others.
type stallAfterWrite struct{ net.Conn }

func (c stallAfterWrite) Read([]byte) (int, error) { return 0, io.EOF }
func (c stallAfterWrite) Close() error             { return nil }

// However many stall in the middle of their handshakes, others get through.
func TestStallingHandshakesHoldUpNobody(t *testing.T) {
	t.Parallel()
	g := fullGate(t, func(*proxy.Config) {})
	for range 4 * runtime.GOMAXPROCS(0) {
		conn, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = tls.Client(stallAfterWrite{conn}, clientConfig(testPKI().device)).Handshake()
		if _, err := conn.Read(make([]byte, 1)); err != nil { // the server's flight has begun to come
			t.Fatal(err)
		}
	}
	g.wantIn(testPKI().device)
}

// Stopping does not wait for those who wait.
func TestShutdownEndsWaitingForATurn(t *testing.T) {
	rate := func(c *proxy.Config) { c.HandshakeRate, c.HandshakeTimeout = 1, time.Hour }
	inBubble(t, rate, func(t *testing.T, g *gate, l *pipeListener) {
		began := time.Now()
		done := make(chan []time.Duration)
		go func() { done <- arrivals(t, l, 10) }()
		time.Sleep(1500 * time.Millisecond) // of the bubble
		if err := g.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-done
		if got := time.Since(began); got > 3*time.Second {
			t.Errorf("stopped after %v, want soon", got)
		}
		g.wantEndOf("shutdown")
	})
}
