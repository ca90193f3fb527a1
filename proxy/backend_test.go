// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
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

// gateTo starts a gate to addresses of brokers that waits for a CONNACK no longer than a broker needs on a busy machine.
func gateTo(t *testing.T, addrs ...string) (*gate, *turns) {
	t.Helper()
	turns := newTurns(addrs...)
	return startGate(t, func(c *proxy.Config) {
		c.Lease = turns.lease
		c.ConnackTimeout = 2 * time.Second
	}), turns
}

// versions are CONNECTs, what the broker gets of them, and two of its answers.
var versions = map[string]struct{ connect, owned, accepted, unavailable []byte }{
	"3.1.1": {connect311, connect311Owned, connack311, []byte("\x20\x02\x00\x03")},
	"5.0":   {connect5, connect5Owned, connack5, []byte("\x20\x03\x00\x88\x00")},
}

func TestNoBackendIsUnavailable(t *testing.T) {
	t.Parallel()
	for name, v := range versions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, two := deadAddr(t), deadAddr(t)
			g, turns := gateTo(t, one, two)
			client := g.device(v.connect)
			wantBytes(t, client, v.unavailable)
			wantEOF(t, client)
			g.wantEnd(proxy.BackendUnavailable)
			turns.wantTold(t, "unreachable", one, "unreachable", two)
			turns.wantReleased(t)
		})
	}
}

func TestNoBackendKnownIsUnavailable(t *testing.T) {
	t.Parallel()
	g, _ := gateTo(t)
	client := g.device(connect311)
	wantBytes(t, client, versions["3.1.1"].unavailable)
	if got, want := g.wantEnd(proxy.BackendUnavailable)["err"], "no backend is known"; got != want {
		t.Errorf("got err %q, want %q", got, want)
	}
}

func TestSessionHasItsLeaseUntilItEnds(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g, turns := gateTo(t, b.addr())
	client, backend := session(g, b)
	if got := turns.leases[0].at; got != b.addr() {
		t.Errorf("the session counts on %q, want %q", got, b.addr())
	}
	if got := turns.leases[0].clientID; got != "c1" {
		t.Errorf("the lease was taken for client %q, want c1", got)
	}
	turns.wantTold(t, "succeeded", b.addr())
	_ = client.Close()
	wantEOF(t, backend)
	_ = backend.Close()
	turns.wantReleased(t)
}

func TestDeadBackendIsNotSeenByAClient(t *testing.T) {
	t.Parallel()
	dead, b := deadAddr(t), startBroker(t)
	g, turns := gateTo(t, dead, b.addr())
	session(g, b)
	turns.wantTold(t, "unreachable", dead, "succeeded", b.addr())
}

// A full VerneMQ lets TCP connect and then says nothing.
func TestSilentBackendIsPassedOver(t *testing.T) {
	t.Parallel()
	silent, b := startBroker(t), startBroker(t)
	g, turns := gateTo(t, silent.addr(), b.addr())
	client := g.device(connect311)
	wantBytes(t, silent.accept(), connect311Owned)
	b.greet(connect311Owned, connack311)
	wantBytes(t, client, connack311)
	turns.wantTold(t, "silent", silent.addr(), "succeeded", b.addr())
}

func TestSilentBackendEndsInTime(t *testing.T) {
	t.Parallel()
	for name, v := range versions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			silent := startBroker(t)
			g, turns := gateTo(t, silent.addr(), deadAddr(t)) // that another one is dead is not the news
			client := g.device(v.connect)
			wantBytes(t, client, v.unavailable)
			g.wantEnd(proxy.BackendSilent)
			turns.wantReleased(t)
		})
	}
}

// However many brokers there are, the client waits no longer than for one that takes all the time it has.
func TestFailoverEndsInTime(t *testing.T) {
	t.Parallel()
	all := []*broker{startBroker(t), startBroker(t), startBroker(t), startBroker(t)}
	turns := newTurns(all[0].addr(), all[1].addr(), all[2].addr(), all[3].addr())
	g := startGate(t, func(c *proxy.Config) {
		c.Lease = turns.lease
		c.DialTimeout = 1500 * time.Millisecond
		c.ConnackTimeout = 2 * time.Second
	})
	began := time.Now()
	client := g.device(connect311)
	wantBytes(t, client, versions["3.1.1"].unavailable)
	if took := time.Since(began); took < 3500*time.Millisecond || took > patience/2 {
		t.Errorf("refused after %v, want 3.5s", took)
	}
	g.wantEnd(proxy.BackendSilent)
	turns.wantTold(t, "silent", all[0].addr()) // the second one was not given all of its time
	for i, want := range []int32{1, 1, 0, 0} {
		if got := all[i].count.Load(); got != want {
			t.Errorf("broker %d got %d connections, want %d", i+1, got, want)
		}
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
			turns := newTurns(odd.addr(), b.addr())
			g := startGate(t, func(c *proxy.Config) { c.Lease = turns.lease })
			client := g.device(connect311)
			_ = odd.greet(connect311Owned, []byte(reply)).Close()
			b.greet(connect311Owned, connack311)
			wantBytes(t, client, connack311)
			turns.wantTold(t, "hung up", odd.addr(), "succeeded", b.addr())
		})
	}
}

// Who ends a session first says something about the broker, unless one side has said why.
func TestLeaseIsToldOfDroppedSessions(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end  func(client, backend net.Conn)
		told bool
	}{
		"the broker ends it":               {func(_, backend net.Conn) { _ = backend.Close() }, true},
		"the client ends it":               {func(client, _ net.Conn) { _ = client.Close() }, false},
		"the broker ends it with a reason": {func(_, backend net.Conn) { _, _ = backend.Write([]byte("\xe0\x01\x8b")); _ = backend.Close() }, false},
		"the client takes its leave": {func(client, backend net.Conn) {
			_, _ = client.Write([]byte("\xe0\x00"))
			_, _ = io.ReadFull(backend, make([]byte, 2))
			_ = backend.Close()
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g, turns := gateTo(t, b.addr())
			client, backend := session(g, b)
			test.end(client, backend)
			_, _ = io.Copy(io.Discard, client)
			_ = client.Close()
			_, _ = io.Copy(io.Discard, backend)
			_ = backend.Close()
			turns.wantReleased(t)
			want := []string{"succeeded", b.addr()}
			if test.told {
				want = append(want, "dropped", b.addr())
			}
			turns.wantTold(t, want...)
		})
	}
}

// A client may send what it has to say behind its CONNECT and leave, without waiting for the answer.
func TestWhatAClientHasSentBeforeItLeftReachesTheNextBroker(t *testing.T) {
	t.Parallel()
	silent, b := startBroker(t), startBroker(t)
	g, _ := gateTo(t, silent.addr(), b.addr())
	client := g.device(connect311)
	wantBytes(t, silent.accept(), connect311Owned)
	write(t, client, pingreq)
	_ = client.Close()
	next := b.accept()
	wantBytes(t, next, connect311Owned)
	write(t, next, connack311)
	wantBytes(t, next, pingreq)
	wantEOF(t, next)
	_ = next.Close()
	g.wantEnd(proxy.ClientClosed)
}

// A client that stays keeps what is left of its session for a while. That is not how long the broker kept it.
func TestTheTimeOfADropIsThatOfTheBrokersEnd(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g, turns := gateTo(t, b.addr())
	_, backend := session(g, b)
	_ = backend.Close()
	turns.wantReleased(t)
	turns.mu.Lock()
	defer turns.mu.Unlock()
	if turns.dropped < 500*time.Millisecond {
		t.Errorf("the drop was %v before it was told, want about the second that the client is waited for", turns.dropped)
	}
}

// What is most likely the matter stands in the log line, since neither side can find out by asking.
func TestHangUpNamesTheProxyProtocol(t *testing.T) {
	t.Parallel()
	for version, want := range map[byte]string{0: "it may expect a PROXY header", 2: "it may not expect the PROXY header"} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			turns := newTurns(b.addr())
			g := startGate(t, func(c *proxy.Config) { c.Lease, c.BackendProxyProtocol = turns.lease, version })
			g.device(connect311)
			_ = b.accept().Close()
			if got, _ := g.wantEnd(proxy.BackendUnavailable)["err"].(string); !strings.Contains(got, want) {
				t.Errorf("got err %q, want it to say that %s", got, want)
			}
		})
	}
}

// A refusal is an answer: asking another broker could turn "not authorized" into "come in".
func TestRefusingBackendIsNotPassedOver(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ connect, owned, refusal []byte }{
		"3.1.1 bad user name":        {connect311, connect311Owned, []byte("\x20\x02\x00\x04")},
		"3.1.1 not authorized":       {connect311, connect311Owned, []byte("\x20\x02\x00\x05")},
		"5.0 not authorized":         {connect5, connect5Owned, []byte("\x20\x03\x00\x87\x00")},
		"5.0 server busy":            {connect5, connect5Owned, []byte("\x20\x03\x00\x89\x00")},
		"5.0 with a code of 3.1.1":   {connect5, connect5Owned, []byte("\x20\x02\x00\x01")},
		"3.1.1 with a code of 5.0's": {connect311, connect311Owned, []byte("\x20\x02\x00\x88")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, two := startBroker(t), startBroker(t)
			g, turns := gateTo(t, one.addr(), two.addr())
			client := g.device(test.connect)
			one.greet(test.owned, test.refusal)
			wantBytes(t, client, test.refusal)
			if n := two.count.Load(); n != 0 {
				t.Errorf("the other backend got %d connections, want none", n)
			}
			turns.wantTold(t, "succeeded", one.addr())
		})
	}
}

// In a netsplit every node of a VerneMQ cluster answers so, in a restart one alone.
func TestUnavailableBackendIsPassedOver(t *testing.T) {
	t.Parallel()
	for name, v := range versions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			unwell, b := startBroker(t), startBroker(t)
			g, turns := gateTo(t, unwell.addr(), b.addr())
			client := g.device(v.connect)
			wantEOF(t, unwell.greet(v.owned, v.unavailable))
			b.greet(v.owned, v.accepted)
			wantBytes(t, client, v.accepted)
			turns.wantTold(t, "unavailable", unwell.addr(), "succeeded", b.addr())
		})
	}
}

func TestLastUnavailableBackendHasTheWord(t *testing.T) {
	t.Parallel()
	said := []byte("\x20\x0b\x00\x88\x08\x1f\x00\x05split") // with a reason string
	one, two := startBroker(t), startBroker(t)
	dead := deadAddr(t)
	g, turns := gateTo(t, one.addr(), two.addr(), dead)
	client := g.device(connect5)
	one.greet(connect5Owned, versions["5.0"].unavailable)
	two.greet(connect5Owned, said)
	wantBytes(t, client, said)
	wantEOF(t, client)
	if line := g.wantEnd(proxy.BackendUnavailable); line["connack"] != float64(0x88) {
		t.Errorf("got connack %v in the log, want %v", line["connack"], 0x88)
	}
	turns.wantTold(t, "unavailable", one.addr(), "unavailable", two.addr(), "unreachable", dead)
	turns.wantReleased(t)
}

// A shutdown says nothing about the broker that is being waited for.
func TestShutdownWhileABrokerIsSilent(t *testing.T) {
	t.Parallel()
	silent := startBroker(t)
	turns := newTurns(silent.addr(), silent.addr())
	g := startGate(t, func(c *proxy.Config) { c.Lease = turns.lease })
	client := g.device(connect311)
	wantBytes(t, silent.accept(), connect311Owned)
	if err := g.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	readShutdown(t, client)
	g.wantEnd(proxy.Shutdown)
	turns.wantTold(t)
	turns.wantReleased(t)
}

// readShutdown reads the end of a session that a shutdown kept from its broker.
func readShutdown(t *testing.T, client *tls.Conn) {
	t.Helper()
	got, err := io.ReadAll(client)
	if want := versions["3.1.1"].unavailable; err != nil || string(got) != string(want) {
		t.Errorf("got % x and %v, want % x and the end", got, err, want)
	}
}
