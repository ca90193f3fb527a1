// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/vernegate/vernegate/proxy"
)

func TestDrainEndsSessionsEvenly(t *testing.T) {
	t.Parallel()
	const sessions, over = 20, time.Second
	b := startBroker(t)
	g := startGate(t, brokers(b))
	var ended [sessions]time.Duration
	var all sync.WaitGroup
	clients := make([]net.Conn, sessions)
	for i := range clients {
		client, backend := session5(g, b, testPKI().device)
		clients[i] = client
		go func() { _, _ = io.Copy(io.Discard, backend); _ = backend.Close() }()
	}
	began := time.Now()
	for i, client := range clients {
		all.Go(func() {
			got, err := io.ReadAll(client)
			ended[i] = time.Since(began)
			if string(got) != "\xe0\x01\x8b" || err != nil {
				t.Errorf("got % x and %v, want a DISCONNECT and the end", got, err)
			}
		})
	}
	g.Drain(t.Context(), over)
	all.Wait()
	quarters := [4]int{}
	for _, d := range ended {
		quarters[min(int(4*d/over), 3)]++
	}
	for _, n := range quarters {
		if n < sessions/8 {
			t.Errorf("got %v sessions ended by quarter of the time, want about %d in each", quarters, sessions/4)
			break
		}
	}
	if _, err := net.Dial("tcp", g.addr); err == nil {
		t.Error("got a connection while draining")
	}
}

func TestDrainSendsClientsToAnotherServer(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, func(c *proxy.Config) { brokers(b)(c); c.ServerReference = "gate2:8883" })
	client, backend := session5(g, b, testPKI().device)
	g.Drain(t.Context(), 0)
	wantBytes(t, client, []byte("\xe0\x0f\x9c\x0d\x1c\x00\x0agate2:8883"))
	wantEOF(t, client)
	wantEOF(t, backend)
	_ = backend.Close()
	g.wantEnd(proxy.Shutdown)
}

// A client that was refused by the broker, or goes on authenticating, has no session that a DISCONNECT could end.
func TestNoDisconnectBeforeTheConnack(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]string{
		"refused":        "\x20\x03\x00\x87\x00",
		"authenticating": "\xf0\x02\x18\x00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startGate(t, brokers(b))
			client := g.device(connect5)
			backend := b.greet(connect5Owned, []byte(reply))
			wantBytes(t, client, []byte(reply))
			g.Drain(t.Context(), 0)
			wantEOF(t, client)
			_ = backend.Close()
		})
	}
}

func TestDrainDoesNotWaitForThoseWhoLeft(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	var clients, backends []net.Conn
	for range 3 {
		client, backend := session5(g, b, testPKI().device)
		clients, backends = append(clients, client), append(backends, backend)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		g.Drain(t.Context(), time.Hour)
	}()
	for i := range clients {
		_ = clients[i].Close()
		_ = backends[i].Close()
	}
	select {
	case <-drained:
	case <-time.After(patience):
		t.Error("draining goes on though all clients have left")
	}
}
