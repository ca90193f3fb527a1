// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/vernegate/vernegate/e2e/stack"
)

// startMosquitto starts a Mosquitto of this test's own.
func startMosquitto(t *testing.T) *stack.Mosquitto {
	t.Helper()
	if mosquitto == nil {
		t.Skip("needs Mosquittos that can be killed; what vernegate does then is tested in proxy and backend, too")
	}
	m := must(stack.StartMosquitto(within(t, stepTime), t.TempDir(), ""))(t)
	t.Cleanup(m.Kill)
	return m
}

// sessionsAt is how many sessions vernegate has at a broker.
func (s *fixture) sessionsAt(t *testing.T, addr string) int {
	t.Helper()
	metrics := must(s.Metrics(within(t, stepTime)))(t)
	return int(metrics.Sum("vernegate_backend_sessions", `backend="`+addr+`"`))
}

// connectMany connects clients of all versions, one after the other.
func connectMany(t *testing.T, dial stack.Dial, n int) []*stack.Client {
	t.Helper()
	var clients []*stack.Client
	for i := range n {
		clients = append(clients, connect(t, dial, stack.Options{Version: versions[i%len(versions)], ClientID: unique()}))
	}
	return clients
}

// talk publishes one message after the other until the client is cut off or ctx
// ends.
func talk(ctx context.Context, c *stack.Client) {
	for c.Publish(ctx, stack.Message{Topic: "talk/" + unique(), Payload: "21.5", QoS: 1}) == nil {
	}
}

// dropped returns how many of the clients have been cut off.
func dropped(clients []*stack.Client) (n int) {
	for _, c := range clients {
		select {
		case <-c.Dropped():
			n++
		default:
		}
	}
	return n
}

// TestBrokerIsKilledUnderLoad kills one of two brokers while clients talk and others
// connect, and starts it again.
func TestBrokerIsKilledUnderLoad(t *testing.T) {
	t.Parallel()
	stays, failing := startMosquitto(t), startMosquitto(t)
	s := newFixture(t, stays.Addr+","+failing.Addr)
	dial := s.through(s.device("acme:lamp"), 0)

	const each = 15
	clients := connectMany(t, dial, 2*each)
	if a, b := s.sessionsAt(t, stays.Addr), s.sessionsAt(t, failing.Addr); a != each || b != each {
		t.Fatalf("the brokers have %d and %d sessions, want %d each", a, b, each)
	}
	talking, hush := context.WithCancel(t.Context())
	defer hush()
	for _, c := range clients {
		go talk(talking, c)
	}

	// While it is killed and thereafter, no client sees that: each gets its CONNACK.
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		failing.Kill()
	}()
	newcomers := connectMany(t, dial, 2*each)
	<-killed
	newcomers = append(newcomers, connectMany(t, dial, each)...)

	eventually(t, stepTime, "the sessions of the killed broker end", func() bool { return s.sessionsAt(t, failing.Addr) == 0 })
	fell := each + dropped(newcomers) // some may have come before the end
	eventually(t, stepTime, "its clients notice", func() bool { return dropped(clients) == each })
	if got, want := s.sessionsAt(t, stays.Addr), 5*each-fell; got != want {
		t.Errorf("the broker that stays has %d sessions, want all of the other %d", got, want)
	}
	ejected := s.Records(func(r stack.Record) bool { return r.Has("msg", "backend is ejected") })
	if len(ejected) != 1 || !ejected[0].Has("backend", failing.Addr) || !ejected[0].Has("why", "dial") {
		t.Errorf("the log says %v, want that %s is ejected, once", ejected, failing.Addr)
	}

	// Back again, it has the fewest sessions by far, and gets one, then a tenth.
	t.Cleanup(must(failing.Restart(within(t, stepTime)))(t).Kill)
	must(s.WaitRecord(within(t, stepTime), "the broker's return", func(r stack.Record) bool {
		return r.Has("msg", "backend is returning") && r.Has("backend", failing.Addr)
	}))(t)
	connectMany(t, dial, 2*each)
	if got := s.sessionsAt(t, failing.Addr); got < 1 || got > each {
		t.Errorf("back again it got %d of %d sessions, want a few", got, 2*each)
	}
}

// TestPersistentSessionsComeHome has clients with sessions that live in one of two
// brokers which know nothing of each other.
func TestPersistentSessionsComeHome(t *testing.T) {
	t.Parallel()
	one, two := startMosquitto(t), startMosquitto(t)
	brokers := one.Addr + "," + two.Addr
	s, other := newFixture(t, brokers, "VERNEGATE_BALANCE", "client-id"), newFixture(t, brokers, "VERNEGATE_BALANCE", "client-id")
	there, back := s.through(s.device("acme:lamp"), 0), other.through(other.device("acme:lamp"), 0)
	at := map[bool]int{}
	for i := range 20 {
		o := stack.Options{Version: stack.V311, ClientID: fmt.Sprint("home-", i), Persistent: true}
		before := s.sessionsAt(t, one.Addr)
		connect(t, there, o)
		at[s.sessionsAt(t, one.Addr) > before]++
		if !connect(t, back, o).SessionPresent {
			t.Errorf("%s did not find its session through another vernegate", o.ClientID)
		}
	}
	if len(at) != 2 {
		t.Error("all clients are at home at one broker: this shows nothing")
	}
}

// TestUnavailableBroker has a broker that refuses everybody, as every node of a
// cluster does in a netsplit.
func TestUnavailableBroker(t *testing.T) {
	t.Parallel()
	split, well := must(stack.StartFakeBroker())(t), must(stack.StartFakeBroker())(t)
	t.Cleanup(func() { split.Close(); well.Close() })
	split.SetBehavior(stack.Behavior{Connack: refused(stack.V311, 3, 0x88), AfterConnack: []byte{}})
	s := newFixture(t, split.Addr+","+well.Addr)
	dial := s.through(s.device("acme:lamp"), 0)
	answer := func() []byte {
		w := dialWire(t, dial)
		if err := w.Send(connectPacket{version: stack.V311, clientID: unique()}.bytes()); err != nil {
			t.Fatal(err)
		}
		return must(w.ReadN(4))(t)
	}
	for range 10 {
		if got, want := answer(), accepted(stack.V311); !bytes.Equal(got, want) {
			t.Errorf("the client got % X, want % X of the broker that is well", got, want)
		}
	}
	must(s.WaitRecord(within(t, stepTime), "the ejection", func(r stack.Record) bool {
		return r.Has("msg", "backend is ejected") && r.Has("backend", split.Addr) && r.Has("why", "unavailable")
	}))(t)
	well.SetBehavior(stack.Behavior{Connack: refused(stack.V311, 3, 0x88), AfterConnack: []byte{}})
	if got, want := answer(), refused(stack.V311, 3, 0x88); !bytes.Equal(got, want) {
		t.Errorf("with no other broker the client got % X, want % X", got, want)
	}
}

func TestBrokerByName(t *testing.T) {
	t.Parallel()
	fake := must(stack.StartFakeBroker())(t)
	t.Cleanup(func() { fake.Close() })
	_, port, err := net.SplitHostPort(fake.Addr)
	if err != nil {
		t.Fatal(err)
	}
	s := newFixture(t, "localhost:"+port)
	connect(t, s.through(s.device("acme:lamp"), 0), stack.Options{Version: stack.V5, ClientID: unique()})
	if got := s.sessionsAt(t, fake.Addr); got != 1 {
		t.Errorf("%d sessions at %s, want 1", got, fake.Addr)
	}
}
