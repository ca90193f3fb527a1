// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
)

// TestEverythingInOneRecord sends CONNECT, SUBSCRIBE and PUBLISH in one TLS record.
// VerneMQ leaves what is coalesced behind CONNECT lying, so a broker that has this
// fake broker answers all three only if CONNECT came alone.
func TestEverythingInOneRecord(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := newFixture(t, fake.Addr)
	dial := s.through(s.device("acme:lamp"), 0)
	for _, v := range versions {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			sent := connectPacket{version: v, clientID: unique()}
			rest := slices.Concat(subscribePacket(v, "acme:lamp/config"), publishPacket(v, "acme:lamp/attrs", "21.5"))
			w := dialWire(t, dial)
			if err := w.Send(slices.Concat(sent.bytes(), rest)); err != nil {
				t.Fatal(err)
			}
			want := slices.Concat(accepted(v), subscribed(v), []byte{0x40, 2, 0, 2})
			if got := must(w.ReadN(len(want)))(t); !bytes.Equal(got, want) {
				t.Errorf("the client got % X, want CONNACK, SUBACK and PUBACK: % X", got, want)
			}
			sent.username = "acme:lamp"
			if got, want := received(fake, sent.clientID), slices.Concat(sent.bytes(), rest); !bytes.Equal(got, want) {
				t.Errorf("the broker got\n% X, want\n% X", got, want)
			}
		})
	}
}

// TestFakeBrokerBehavesLikeVerneMQ checks that: without vernegate between them, a
// client that sends all in one write gets a CONNACK and then nothing.
func TestFakeBrokerBehavesLikeVerneMQ(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	w := dialWire(t, stack.Direct(fake.Addr))
	hello := connectPacket{version: stack.V311, clientID: "x"}.bytes()
	if err := w.Send(append(hello, subscribePacket(stack.V311, "t")...)); err != nil {
		t.Fatal(err)
	}
	if got := must(w.ReadN(4))(t); !bytes.Equal(got, accepted(stack.V311)) {
		t.Fatalf("got % X, want a CONNACK", got)
	}
	if !w.ReadQuiet(200 * time.Millisecond) {
		t.Fatal("the fake answered what was coalesced behind CONNECT")
	}
	if err := w.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := w.Send([]byte{0xC0, 0}); err != nil { // more bytes: PINGREQ
		t.Fatal(err)
	}
	if want, got := append(subscribed(stack.V311), 0xD0, 0), must(w.ReadN(7))(t); !bytes.Equal(got, want) {
		t.Errorf("after more bytes got % X, want SUBACK and PINGRESP: % X", got, want)
	}
}

// subscribed is the SUBACK for subscribePacket.
func subscribed(v stack.Version) []byte {
	if v == stack.V5 {
		return []byte{0x90, 4, 0, 1, 0, 1}
	}
	return []byte{0x90, 3, 0, 1, 1}
}

func TestFullBrokerIsLeftForTheOther(t *testing.T) {
	t.Parallel()
	full, other := startFakeBroker(t), startFakeBroker(t)
	full.SetBehavior(stack.Behavior{Silent: true})
	s := newFixture(t, full.Addr+","+other.Addr, "VERNEGATE_CONNACK_TIMEOUT", "2s")
	dial := s.through(s.device("acme:lamp"), 0)
	for i := range 4 { // at a time, so that some begin at the full one
		for _, v := range versions {
			t.Run(fmt.Sprint(v, " ", i), func(t *testing.T) {
				t.Parallel()
				w := dialWire(t, dial)
				hello := connectPacket{version: v, clientID: unique()}
				if err := w.Send(hello.bytes()); err != nil {
					t.Fatal(err)
				}
				want := accepted(v)
				if got := must(w.ReadN(len(want)))(t); !bytes.Equal(got, want) {
					t.Fatalf("the client got % X, want % X", got, want)
				}
				if received(other, hello.clientID) == nil {
					t.Error("the broker with room never heard of the client")
				}
			})
		}
	}
	t.Cleanup(func() {
		if len(full.Sessions()) == 0 {
			t.Error("nobody ever came to the full broker: this shows nothing")
		}
	})
}

func TestClosedBrokerIsLeftForTheOther(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := newFixture(t, must(stack.FreeAddr())(t)+","+fake.Addr)
	dial := s.through(s.device("acme:lamp"), 0)
	for range 6 {
		connect(t, dial, stack.Options{Version: stack.V311, ClientID: unique()})
	}
	if n := len(fake.Sessions()); n != 6 {
		t.Errorf("%d clients reached the broker that is there, want all 6", n)
	}
}

func TestBrokersLastWordsReachTheClient(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	farewell := publishPacket(stack.V311, "acme:lamp/config", string(bytes.Repeat([]byte("last words "), 1<<10)))
	fake.SetBehavior(stack.Behavior{AfterConnack: farewell})
	s := newFixture(t, fake.Addr)
	dial := s.through(s.device("acme:lamp"), 0)
	for range 20 { // RST races with the bytes before it
		w := dialWire(t, dial)
		if err := w.Send(connectPacket{version: stack.V311, clientID: "x"}.bytes()); err != nil {
			t.Fatal(err)
		}
		want := slices.Concat(accepted(stack.V311), farewell)
		if got, err := w.ReadToEnd(); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("the client got %d bytes and then %v, want the %d that the broker sent before its RST", len(got), err, len(want))
		}
		w.Close()
		s.ending(t, w.LocalAddr(), "backend_closed")
	}
	s.checkCounts(t, "backend_closed")
}

func TestBrokersRefusalReachesTheClient(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := newFixture(t, fake.Addr)
	dial := s.through(s.device("acme:lamp"), 0)
	for _, v := range versions {
		connack := refused(v, 4, 0x86)
		fake.SetBehavior(stack.Behavior{Connack: connack, AfterConnack: []byte{}})
		w := dialWire(t, dial)
		if err := w.Send(connectPacket{version: v, clientID: "x"}.bytes()); err != nil {
			t.Fatal(err)
		}
		if got := must(w.ReadToEnd())(t); !bytes.Equal(got, connack) {
			t.Errorf("%v: the client got % X, the broker answered % X", v, got, connack)
		}
		w.Close()
		s.ending(t, w.LocalAddr(), "backend_closed")
	}
}

// TestClientsLastWordsReachTheBroker sends and closes at once: VerneMQ takes FIN
// for a full close, so every byte has to be out before.
func TestClientsLastWordsReachTheBroker(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := newFixture(t, fake.Addr)
	dial := s.through(s.device("acme:lamp"), 0)
	sent := connectPacket{version: stack.V311, clientID: unique()}
	rest := publishPacket(stack.V311, "acme:lamp/attrs", string(bytes.Repeat([]byte("last words "), 20<<10)))
	rest[0] = 0x30 // QoS 0 has no packet id: two bytes more of payload
	w := dialWire(t, dial)
	if err := w.Send(slices.Concat(sent.bytes(), rest)); err != nil {
		t.Fatal(err)
	}
	must(w.ReadN(4))(t)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	sent.username = "acme:lamp"
	want := slices.Concat(sent.bytes(), rest)
	err := fake.Wait(within(t, stepTime), "the client's last byte", func([]*stack.FakeSession) bool {
		return len(received(fake, sent.clientID)) >= len(want)
	})
	if err != nil || !bytes.Equal(received(fake, sent.clientID), want) {
		t.Errorf("the broker got %d bytes (%v), want the %d that the client sent", len(received(fake, sent.clientID)), err, len(want))
	}
	s.ending(t, w.LocalAddr(), "client_closed")
}
