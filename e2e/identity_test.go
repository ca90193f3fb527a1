// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/vernegate/vernegate/e2e/stack"
)

// hellos are CONNECTs with every kind of username, and with everything beside it
// that must stay as it is.
var hellos = map[string]func(*connectPacket){
	"no username":        func(*connectPacket) {},
	"impostor":           func(c *connectPacket) { c.username = "acme:door" },
	"impostor, password": func(c *connectPacket) { c.username, c.password = "admin", "hunter2" },
	"the right username": func(c *connectPacket) { c.username = "acme:lamp" },
	"a longer username":  func(c *connectPacket) { c.username = "acme:lamp-and-a-hundred-more-letters" },
	"persistent, with will": func(c *connectPacket) {
		c.persistent = true
		c.will = &stack.Message{Topic: "acme:door/attrs", Payload: "\x00\xFF", QoS: 2, Retain: true}
	},
}

func TestBrokerGetsTheOwnerAndEveryOtherByteAsSent(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := newFixture(t, fake.Addr)
	dial := s.through(s.device("acme:lamp"), 0)
	for _, v := range versions {
		for name, edit := range hellos {
			t.Run(fmt.Sprintf("%v/%s", v, name), func(t *testing.T) {
				t.Parallel()
				sent := connectPacket{version: v, clientID: unique()}
				edit(&sent)
				want := sent
				want.username = "acme:lamp"
				checkConnect(t, fake, dial, sent, want)
			})
		}
	}
	t.Run("5.0/password alone, properties", func(t *testing.T) {
		t.Parallel()
		sent := connectPacket{version: stack.V5, clientID: unique(), password: "token"}
		sent.properties = []byte{0x11, 0, 0, 0, 60, 0x26, 0, 1, 'k', 0, 1, 'v', 0x26, 0, 1, 'k', 0, 1, 'w'}
		want := sent
		want.username = "acme:lamp"
		checkConnect(t, fake, dial, sent, want)
	})
	t.Run("5.0/will with all of its properties", func(t *testing.T) {
		t.Parallel()
		sent := connectPacket{version: stack.V5, clientID: unique(), username: "acme:door"}
		sent.will = &stack.Message{Topic: "acme:lamp/attrs", Payload: "gone", QoS: 1}
		sent.willProperties = slices.Concat(
			[]byte{0x18, 0, 0, 0, 30}, // will delay interval
			[]byte{0x01, 1},           // payload format indicator
			[]byte{0x02, 0, 0, 0, 60}, // message expiry interval
			appendString([]byte{0x03}, "text/plain"),
			appendString([]byte{0x08}, "acme:lamp/answers"),
			appendString([]byte{0x09}, "\x00\xFF"),
			appendString(appendString([]byte{0x26}, "k"), "v"),
		)
		want := sent
		want.username = "acme:lamp"
		checkConnect(t, fake, dial, sent, want)
	})
	t.Run("3.1.1/a bridge", func(t *testing.T) {
		t.Parallel()
		sent := connectPacket{version: 0x80 | stack.V311, clientID: unique(), username: "bridge"}
		want := sent
		want.username = "acme:lamp"
		checkConnect(t, fake, dial, sent, want)
	})
}

// checkConnect sends one CONNECT; want must be what reaches the broker.
func checkConnect(t *testing.T, fake *stack.FakeBroker, dial stack.Dial, sent, want connectPacket) {
	t.Helper()
	w := dialWire(t, dial)
	if err := w.Send(sent.bytes()); err != nil {
		t.Fatal(err)
	}
	connack := accepted(sent.version & 0x7F)
	if got := must(w.ReadN(len(connack)))(t); !bytes.Equal(got, connack) {
		t.Fatalf("the client got % X, the broker answered % X", got, connack)
	}
	if got := received(fake, sent.clientID); !bytes.Equal(got, want.bytes()) {
		t.Errorf("the broker got\n% X, want\n% X", got, want.bytes())
	}
}

// received is what has come on the connection to the fake that carries a client
// id; nil if none does.
func received(fake *stack.FakeBroker, clientID string) []byte {
	if s := sessionAt(fake, clientID); s != nil {
		return s.Bytes()
	}
	return nil
}

// sessionAt is the connection to the fake that carries a client id; nil if none does.
func sessionAt(fake *stack.FakeBroker, clientID string) *stack.FakeSession {
	for _, s := range fake.Sessions() {
		if bytes.Contains(s.Bytes(), []byte(clientID)) {
			return s
		}
	}
	return nil
}

// needMosquitto skips a test that reads Mosquitto's log when there is none.
func needMosquitto(t *testing.T) {
	t.Helper()
	if mosquitto == nil {
		t.Skip("E2E_BROKER keeps its log to itself; TestBrokerGetsTheOwnerAndEveryOtherByteAsSent shows the same with a fake")
	}
}

func TestMosquittoSeesTheOwner(t *testing.T) {
	needMosquitto(t)
	t.Parallel()
	s := newFixture(t, broker)
	dial := s.through(s.device("acme:lamp"), 0)
	for _, v := range versions {
		for _, username := range []string{"", "acme:door"} {
			t.Run(fmt.Sprintf("%v/sent %q", v, username), func(t *testing.T) {
				t.Parallel()
				id := unique()
				connect(t, dial, stack.Options{Version: v, ClientID: id, Username: username})
				if got := must(mosquitto.Username(within(t, stepTime), id))(t); got != "acme:lamp" {
					t.Errorf("the broker saw username %q, want acme:lamp", got)
				}
			})
		}
	}
}

// TestTopicRulesApplyToTheOwner has the broker hold the rules that devices of the
// platform live under, on the username: a device reaches its own topics, whoever it
// says it is.
func TestTopicRulesApplyToTheOwner(t *testing.T) {
	t.Parallel()
	rules := "pattern write %u/attrs\npattern read %u/config\nuser hub\ntopic readwrite #\n"
	ruled := must(stack.StartMosquitto(within(t, stepTime), t.TempDir(), rules))(t)
	t.Cleanup(ruled.Kill)
	s := newFixture(t, ruled.Addr)
	hub := connect(t, s.through(s.device("hub"), 0), stack.Options{Version: stack.V311, ClientID: "hub"})
	ctx := within(t, stepTime)
	if _, err := hub.Subscribe(ctx, "+/attrs", 1); err != nil {
		t.Fatal(err)
	}
	lamp := connect(t, s.through(s.device("acme:lamp"), 0),
		stack.Options{Version: stack.V311, ClientID: "lamp", Username: "acme:door"})

	for _, topic := range []string{"acme:door/attrs", "acme:lamp/attrs"} {
		if err := lamp.Publish(ctx, stack.Message{Topic: topic, Payload: "21.5", QoS: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if m := must(hub.Receive(ctx))(t); m.Topic != "acme:lamp/attrs" {
		t.Errorf("a device published to %s, want its own topic alone", m.Topic)
	}
}

func TestServiceListenerIsForServices(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := newFixture(t, fake.Addr)
	toServices := func(owner string) stack.Dial {
		return stack.Through(s.Services, s.clientTLS(s.device(owner), 0))
	}
	for _, v := range versions {
		t.Run(v.String()+"/service", func(t *testing.T) {
			t.Parallel()
			sent := connectPacket{version: v, clientID: unique(), username: "acme:lamp"}
			want := sent
			want.username = "v2k-bridge"
			checkConnect(t, fake, toServices("v2k-bridge"), sent, want)
		})
		t.Run(v.String()+"/service among devices", func(t *testing.T) {
			t.Parallel()
			sent := connectPacket{version: v, clientID: unique()}
			want := sent
			want.username = "v2k-bridge"
			checkConnect(t, fake, s.through(s.device("v2k-bridge"), 0), sent, want)
		})
		t.Run(v.String()+"/device", func(t *testing.T) {
			t.Parallel()
			id := unique()
			_, err := stack.Connect(within(t, stepTime), toServices("acme:lamp"),
				stack.Options{Version: v, ClientID: id, Username: "v2k-bridge"})
			var refusal *stack.RefusedError
			want := codeOf(v, 5, 0x87)
			if !errors.As(err, &refusal) || refusal.Code != want {
				t.Errorf("a device on the service listener got %v, want CONNACK 0x%02X", err, want)
			}
			if received(fake, id) != nil {
				t.Error("the broker heard of a device on the service listener")
			}
		})
	}
}
