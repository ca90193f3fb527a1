// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/proxy"
)

// A pipeListener accepts net.Pipes: connections whose time is that of a synctest bubble.
type pipeListener struct {
	conns  chan net.Conn
	closed context.Context
	close  context.CancelFunc
}

func newPipeListener() *pipeListener {
	closed, cancel := context.WithCancel(context.Background())
	return &pipeListener{make(chan net.Conn), closed, cancel}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed.Done():
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.close(); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8883} }

func (l *pipeListener) dial() net.Conn {
	client, server := net.Pipe()
	l.conns <- server
	return client
}

// inBubble runs test with a gate whose clock is not real.
func inBubble(t *testing.T, change func(*proxy.Config), test func(t *testing.T, g *gate, l *pipeListener)) {
	t.Parallel()
	testPKI() // made outside, as it outlives the bubble
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		g := serveGate(t, l, proxy.Devices, change)
		test(t, g, l)
	})
}

// lasted is how long c stayed open from now on.
func lasted(c net.Conn) time.Duration {
	began := time.Now()
	_, _ = io.Copy(io.Discard, c)
	return time.Since(began)
}

func TestSilentClientIsClosedInTime(t *testing.T) {
	inBubble(t, func(c *proxy.Config) { c.HandshakeTimeout = 10 * time.Second }, func(t *testing.T, g *gate, l *pipeListener) {
		if got := lasted(l.dial()); got != 10*time.Second {
			t.Errorf("got %v, want 10s", got)
		}
		g.wantDetail(proxy.TLSTimeout, "not done within 10s (VERNEGATE_HANDSHAKE_TIMEOUT)")
	})
}

func TestHalfAHandshakeIsClosedInTime(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, g *gate, l *pipeListener) {
		c := l.dial()
		write(t, c, []byte("\x16\x03\x01\x02\x00\x01")) // a record of 512 bytes, of which one comes
		if got := lasted(c); got != 10*time.Second {
			t.Errorf("got %v, want 10s", got)
		}
		g.wantEnd(proxy.TLSTimeout)
	})
}

// One byte a second never ends; the time for the whole handshake does.
func TestDrippingHandshakeIsClosedInTime(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, g *gate, l *pipeListener) {
		began := time.Now()
		drip(l.dial(), []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaaaaaaaaa"))
		if got := time.Since(began); got > 11*time.Second {
			t.Errorf("got %v, want 10s", got)
		}
		g.wantEnd(proxy.TLSTimeout)
	})
}

// drip writes a byte a second until the other side has had enough.
func drip(c io.Writer, b []byte) {
	for i := range b {
		if _, err := c.Write(b[i : i+1]); err != nil {
			return
		}
		time.Sleep(time.Second) // of the bubble
	}
}

func TestSlowConnectIsClosedInTime(t *testing.T) {
	for name, send := range map[string]func(*tls.Conn){
		"silent":            func(*tls.Conn) {},
		"half a CONNECT":    func(c *tls.Conn) { _, _ = c.Write(connect5[:9]) },
		"one byte a second": func(c *tls.Conn) { drip(c, connect5) },
		"256 MiB announced": func(c *tls.Conn) { _, _ = c.Write([]byte("\x10\xff\xff\xff\x7f\x00\x04MQ")) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, g *gate, l *pipeListener) {
				c := tls.Client(l.dial(), clientConfig(testPKI().device))
				if err := c.Handshake(); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				sent := make(chan struct{})
				go func() { defer close(sent); send(c) }()
				got, _ := io.ReadAll(c)
				if took := time.Since(began); took != 5*time.Second {
					t.Errorf("closed after %v, want 5s", took)
				}
				if len(got) > 0 {
					t.Errorf("got % x, want nothing before a whole CONNECT", got)
				}
				g.wantDetail(proxy.ConnectTimeout, "no whole CONNECT within 5s (VERNEGATE_CONNECT_TIMEOUT)")
				<-sent
			})
		})
	}
}

// The look-up runs while the client takes its time over CONNECT: together they take the longer of the two.
func TestOwnerIsLookedUpWhileTheConnectIsRead(t *testing.T) {
	slow := func(c *proxy.Config) {
		c.Owner = func(context.Context, proxy.Peer) (string, bool, error) {
			time.Sleep(3 * time.Second) // of the bubble
			return "", false, nil
		}
	}
	inBubble(t, slow, func(t *testing.T, g *gate, l *pipeListener) {
		c := tls.Client(l.dial(), clientConfig(testPKI().device))
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		time.Sleep(3 * time.Second) // of the bubble
		write(t, c, connect311)
		wantBytes(t, c, []byte("\x20\x02\x00\x05"))
		if got := time.Since(began); got != 3*time.Second {
			t.Errorf("refused after %v, want 3s", got)
		}
		wantEOF(t, c)
	})
}

// A client that does not read its refusal cannot hold its connection for that.
func TestRefusedClientThatDoesNotReadIsClosedInTime(t *testing.T) {
	inBubble(t, nobody, func(t *testing.T, g *gate, l *pipeListener) {
		c := tls.Client(l.dial(), clientConfig(testPKI().device))
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		write(t, c, connect311) // a net.Pipe has no buffer: the CONNACK waits for a reader that does not come
		g.wantEnd(proxy.IdentityUnknown)
		if got := time.Since(began); got > 10*time.Second {
			t.Errorf("ended after %v, want less than 10s", got)
		}
	})
}
