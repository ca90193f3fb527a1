// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/vernegate/vernegate/proxy"
)

// clientHello is what a client says first.
func clientHello(t *testing.T) []byte {
	t.Helper()
	return helloOf(t, clientConfig(nil))
}

// helloOf is what a client with this configuration says first.
func helloOf(t *testing.T, config *tls.Config) []byte {
	t.Helper()
	here, there := net.Pipe()
	go func() { _ = tls.Client(here, config).Handshake() }()
	defer here.Close()
	hello := make([]byte, 1<<14)
	n, err := there.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	return hello[:n]
}

// flood opens connections that say first and then nothing, one in each pause, until ctx ends.
func flood(ctx context.Context, addr string, first []byte, pause time.Duration) (wait func()) {
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			var open []net.Conn
			for ctx.Err() == nil {
				sleep(ctx, 4*pause)
				c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
				if err != nil {
					continue
				}
				_, _ = c.Write(first)
				if open = append(open, c); len(open) > 500 {
					_ = open[0].Close()
					open = open[1:]
				}
			}
			for _, c := range open {
				_ = c.Close()
			}
		})
	}
	return running.Wait
}

// comesIn reports whether a device gets a session.
func comesIn(ctx context.Context, addr string) bool {
	dialer := tls.Dialer{Config: clientConfig(testPKI().device)}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(connect5); err != nil {
		return false
	}
	_, err = io.ReadFull(conn, make([]byte, len(connack5)))
	return err == nil
}

// Strangers that fall silent hold no more than their budget, and keep no device out.
func TestFloodOfStrangersKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	const most = 100
	for name, test := range map[string]struct {
		first  []byte
		pause  time.Duration
		change func(*proxy.Config)
	}{
		"silent":                      {nil, time.Millisecond / 4, func(c *proxy.Config) { c.MaxHandshakes = most }},
		"silent behind a ClientHello": {clientHello(t), 10 * time.Millisecond, func(c *proxy.Config) { c.MaxHandshakes = most }},
		"no descriptors":              {nil, time.Millisecond / 4, func(c *proxy.Config) { c.MaxDescriptors = most }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broker := eager(t)
			g := startGate(t, func(c *proxy.Config) {
				c.Lease = newTurns(broker).lease
				c.Logger, c.HandshakeTimeout = nil, time.Hour
				test.change(c)
			})
			ctx, cancel := context.WithCancel(t.Context())
			wait := flood(ctx, g.addr, test.first, test.pause)
			defer func() { cancel(); wait() }()
			displaced := func() float64 {
				return counter(t, g.metrics, "vernegate_connections_ended_total", map[string]string{"listener": "devices", "reason": "rate_limited"})
			}
			await(t, "strangers that make room", func() bool { return displaced() > most/2 })
			await(t, "a device that comes in", func() bool { return comesIn(t.Context(), g.addr) })
			if used, _ := g.Descriptors(); used > 2*most { // those that are being closed are among them
				t.Errorf("got %d connections, want about %d", used, most)
			}
		})
	}
}

// The connection that has waited for its client for longest goes first; one that moves stays.
func TestThoseThatMoveAreServed(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, func(c *proxy.Config) { brokers(b)(c); c.MaxHandshakes = 2 })
	silent := dialRaw(t, g.addr)
	moving := dialRaw(t, g.addr)
	write(t, moving, clientHello(t))
	if _, err := io.ReadFull(moving, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	third := dialRaw(t, g.addr)
	wantClosed(t, silent)
	line := g.logs.await(t, func(l map[string]any) bool { return l["reason"] == "rate_limited" })
	if line["remote"] != silent.LocalAddr().String() {
		t.Errorf("%v was closed, want %v", line["remote"], silent.LocalAddr())
	}
	fourth := dialRaw(t, g.addr)
	wantClosed(t, third)
	client, _ := session(g, b) // in the place of the fourth
	wantClosed(t, fourth)
	write(t, client, pingreq)
}

func dialRaw(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// wantClosed wants the other side to close a connection without a word.
func wantClosed(t *testing.T, c net.Conn) {
	t.Helper()
	n, err := c.Read(make([]byte, 1))
	if timeout, is := err.(net.Error); n > 0 || is && timeout.Timeout() {
		t.Fatalf("got %d bytes and %v, want the end", n, err)
	}
}
