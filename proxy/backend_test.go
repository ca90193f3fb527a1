// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"net"
	"testing"
	"time"

	"github.com/vernegate/vernegate/proxy"
)

// deadAddr is an address that refuses connections.
func deadAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func TestNoBackendIsUnavailable(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ connect, connack string }{
		"3.1.1": {string(connect311), "\x20\x02\x00\x03"},
		"5.0":   {string(connect5), "\x20\x03\x00\x88\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startGate(t, func(c *proxy.Config) { c.Backends = []string{deadAddr(t), deadAddr(t)} })
			client := g.device([]byte(test.connect))
			wantBytes(t, client, []byte(test.connack))
			wantEOF(t, client)
			g.wantEnd(proxy.BackendUnavailable)
		})
	}
}

func TestBackendsTakeTurns(t *testing.T) {
	t.Parallel()
	one, two := startBroker(t), startBroker(t)
	g := startGate(t, brokers(one, two))
	for range 3 {
		session(g, one)
		session(g, two)
	}
}

func TestDeadBackendIsNotSeenByAClient(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, func(c *proxy.Config) { c.Backends = []string{deadAddr(t), b.addr()} })
	for range 4 {
		session(g, b)
	}
}

// A full VerneMQ lets TCP connect and then says nothing.
func TestSilentBackendIsPassedOver(t *testing.T) {
	t.Parallel()
	silent, b := startBroker(t), startBroker(t)
	g := startGate(t, func(c *proxy.Config) {
		brokers(silent, b)(c)
		c.ConnackTimeout = 50 * time.Millisecond
	})
	client := g.device(connect311)
	wantBytes(t, silent.accept(), connect311Owned)
	b.greet(connect311Owned, connack311)
	wantBytes(t, client, connack311)
}

func TestSilentBackendEndsInTime(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ connect, connack string }{
		"3.1.1": {string(connect311), "\x20\x02\x00\x03"},
		"5.0":   {string(connect5), "\x20\x03\x00\x88\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			silent := startBroker(t)
			g := startGate(t, func(c *proxy.Config) {
				brokers(silent)(c)
				c.Backends = append(c.Backends, deadAddr(t)) // that another one is dead is not the news
				c.ConnackTimeout = 50 * time.Millisecond
			})
			client := g.device([]byte(test.connect))
			wantBytes(t, client, []byte(test.connack))
			g.wantEnd(proxy.BackendSilent)
			silent.accept()
		})
	}
}

func TestBackendWithoutAConnackIsPassedOver(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]string{
		"closes":           "",
		"is no broker":     "HTTP/1.1 400 Bad Request\r\n\r\n",
		"sends a fragment": "\x20\x02",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			odd, b := startBroker(t), startBroker(t)
			g := startGate(t, brokers(odd, b))
			client := g.device(connect311)
			_ = odd.greet(connect311Owned, []byte(reply)).Close()
			b.greet(connect311Owned, connack311)
			wantBytes(t, client, connack311)
		})
	}
}

// A refusal is an answer: asking another broker could turn "not authorized" into "come in".
func TestRefusingBackendIsNotPassedOver(t *testing.T) {
	t.Parallel()
	one, two := startBroker(t), startBroker(t)
	g := startGate(t, brokers(one, two))
	client := g.device(connect311)
	one.greet(connect311Owned, []byte("\x20\x02\x00\x05"))
	wantBytes(t, client, []byte("\x20\x02\x00\x05"))
	if n := two.count.Load(); n != 0 {
		t.Errorf("the other backend got %d connections, want none", n)
	}
}
