// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// Headers for a client at 192.0.2.7:4711 that connected to 198.51.100.1:8883.
const (
	headerV1    = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 8883\r\n"
	headerV2    = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\x12\x67\x22\xb3"
	behindProxy = "192.0.2.7:4711"
)

// throughProxy is the way of a device to its listener by a load balancer that sends
// header first, in these pieces.
func (s *fixture) throughProxy(device *certtest.Cert, header ...string) stack.Dial {
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := stack.Direct(s.Devices)(ctx)
		if err != nil {
			return nil, err
		}
		for _, piece := range header {
			if _, err := conn.Write([]byte(piece)); err != nil {
				return nil, err
			}
			time.Sleep(20 * time.Millisecond) // so that the kernel does not put them together again
		}
		client := tls.Client(conn, s.clientTLS(device, 0))
		return client, client.HandshakeContext(ctx)
	}
}

// The real address of a client passes through both proxies to the log and to the
// broker, where it comes with CONNECT in one segment.
func TestRealAddressReachesTheBroker(t *testing.T) {
	t.Parallel()
	for version, header := range map[string]string{"v1": headerV1, "v2": headerV2} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			fake := must(stack.StartFakeBroker())(t)
			t.Cleanup(func() { fake.Close() })
			fake.SetBehavior(stack.Behavior{Proxy: true})
			s := newFixture(t, fake.Addr, "VERNEGATE_BACKEND_PROXY_PROTOCOL", version,
				"VERNEGATE_PROXY_PROTOCOL_FROM", "127.0.0.1")
			lamp := s.device("acme:lamp")
			for name, pieces := range map[string][]string{
				"v1":           {headerV1},
				"v2":           {headerV2},
				"v1 in pieces": {headerV1[:3], headerV1[3:20], headerV1[20:]},
				"v2 in pieces": {headerV2[:1], headerV2[1:14], headerV2[14:17], headerV2[17:]},
			} {
				sent := connectPacket{version: stack.V5, clientID: unique()}
				w := dialWire(t, s.throughProxy(lamp, pieces...))
				if err := w.Send(sent.bytes()); err != nil {
					t.Fatal(err)
				}
				must(w.ReadN(len(accepted(stack.V5))))(t)
				sent.username = "acme:lamp"
				if got, want := string(received(fake, sent.clientID)), header+string(sent.bytes()); got != want {
					t.Errorf("%s: the broker got %q, want %q", name, got, want)
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				must(s.WaitRecord(within(t, stepTime), "the end of the client "+name, func(r stack.Record) bool {
					return r.Has("client_id", sent.clientID) && r.Has("remote", behindProxy)
				}))(t)
			}
		})
	}
}

// A device cannot choose its address: what it sends before TLS counts only from
// the load balancers that are named.
func TestSpoofedHeaderIsRefused(t *testing.T) {
	t.Parallel()
	fake := must(stack.StartFakeBroker())(t)
	t.Cleanup(func() { fake.Close() })
	s := newFixture(t, fake.Addr, "VERNEGATE_PROXY_PROTOCOL_FROM", "192.0.2.0/24,127.0.0.2")
	for _, header := range []string{headerV1, headerV2} {
		w := dialWire(t, stack.Direct(s.Devices))
		if err := w.Send([]byte(header)); err != nil {
			t.Fatal(err)
		}
		if got, err := w.ReadToEnd(); err != nil || len(got) > 0 {
			t.Errorf("got % X and then %v, want a close", got, err)
		}
		s.ending(t, w.LocalAddr(), "proxy_header")
	}
	connect(t, s.through(s.device("acme:lamp"), 0), stack.Options{Version: stack.V5, ClientID: unique()})
	s.checkCounts(t, "proxy_header")
}

func TestMissingHeaderIsRefused(t *testing.T) {
	t.Parallel()
	s := newFixture(t, must(stack.FreeAddr())(t), "VERNEGATE_PROXY_PROTOCOL_FROM", "127.0.0.0/8")
	raw := dialWire(t, stack.Direct(s.Devices))
	if err := tls.Client(raw, s.clientTLS(s.device("acme:lamp"), 0)).Handshake(); err == nil {
		t.Error("a handshake without a header succeeded")
	}
	s.ending(t, raw.LocalAddr(), "proxy_header")
	s.checkCounts(t, "proxy_header")
}

// check is a client for a moment, behind the header that is configured, and says what is
// most likely the matter when the broker hangs up.
func TestCheckNamesTheProxyProtocol(t *testing.T) {
	t.Parallel()
	demanding, plain := must(stack.StartFakeBroker())(t), must(stack.StartFakeBroker())(t)
	t.Cleanup(func() { demanding.Close(); plain.Close() })
	demanding.SetBehavior(stack.Behavior{Proxy: true})
	for name, test := range map[string]struct{ addr, header, want string }{
		"plain":                        {plain.Addr, "off", "ok       backend " + plain.Addr + " is well and accepts clients"},
		"with the header of version 1": {demanding.Addr, "v1", "ok       backend " + demanding.Addr + " is well and accepts clients"},
		"with the header of version 2": {demanding.Addr, "v2", "ok       backend " + demanding.Addr + " is well and accepts clients"},
		"without it":                   {demanding.Addr, "off", "it may expect a PROXY header"},
		"a header for nothing":         {broker, "v2", "it may not expect the PROXY header"},
		"Mosquitto":                    {broker, "off", "ok       backend " + broker + " is well and accepts clients"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(within(t, stepTime), program, "check")
			for name, value := range prepareFixture(t).env(test.addr, "VERNEGATE_BACKEND_PROXY_PROTOCOL", test.header) {
				cmd.Env = append(cmd.Env, name+"="+value)
			}
			report, err := cmd.Output()
			if well := strings.HasPrefix(test.want, "ok "); well != (err == nil) || !strings.Contains(string(report), test.want) {
				t.Errorf("it ends with %v, and the report does not say %q:\n%s", err, test.want, report)
			}
		})
	}
}

// A whole session with a broker that expects a header: VerneMQ, where
// E2E_BROKER_PROXY names a listener of it with proxy_protocol on.
func TestSessionsWithABrokerThatExpectsHeaders(t *testing.T) {
	t.Parallel()
	addr, delivers := os.Getenv("E2E_BROKER_PROXY"), true
	if addr == "" {
		fake := must(stack.StartFakeBroker())(t)
		t.Cleanup(func() { fake.Close() })
		fake.SetBehavior(stack.Behavior{Proxy: true})
		addr, delivers = fake.Addr, false
	}
	for _, header := range []string{"v1", "v2"} {
		s := newFixture(t, addr, "VERNEGATE_BACKEND_PROXY_PROTOCOL", header, "VERNEGATE_PROXY_PROTOCOL_FROM", "127.0.0.1")
		dial := s.throughProxy(s.device("acme:lamp"), headerV2)
		for _, v := range versions {
			t.Run(header+" "+v.String(), func(t *testing.T) {
				t.Parallel()
				ctx, topic := within(t, stepTime), unique()
				c := connect(t, dial, stack.Options{Version: v, ClientID: unique()})
				must(c.Subscribe(ctx, topic, 1))(t)
				sent := stack.Message{Topic: topic, Payload: "21.5", QoS: 1}
				if err := c.Publish(ctx, sent); err != nil {
					t.Fatal(err)
				}
				if !delivers {
					return
				}
				if got := must(c.Receive(ctx))(t); got != sent {
					t.Errorf("got %+v, want %+v", got, sent)
				}
			})
		}
	}
}
