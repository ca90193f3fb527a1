// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/eclipse/paho.golang/autopaho"
	paho5 "github.com/eclipse/paho.golang/paho"
	mqtt "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/sync/errgroup"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// byWebSocket is the way of a device to the listener for WebSocket.
func (s *fixture) byWebSocket(device *certtest.Cert, tlsVersion uint16) stack.Dial {
	return stack.ThroughWebSocket(s.WebSocket, s.clientTLS(device, tlsVersion))
}

// Whatever clients do, they see the same by WebSocket as without vernegate.
func TestSameByWebSocketAsDirect(t *testing.T) {
	t.Parallel()
	s := newFixture(t, broker)
	compareAll(t, s.device("acme:lamp"), s.byWebSocket)
}

// The clients of paho bring a WebSocket of their own.
func TestPahoWithItsOwnWebSocket(t *testing.T) {
	t.Parallel()
	s := newFixture(t, broker)
	pahoByWebSocket(t, s.WebSocket, s.clientTLS(s.device("acme:lamp"), 0))
}

// pahoByWebSocket has clients of all versions send themselves a message by WebSocket.
func pahoByWebSocket(t *testing.T, addr string, config *tls.Config) {
	t.Helper()
	address := "wss://" + addr + "/mqtt"
	payload := strings.Repeat("p", 100_000)
	for _, version := range []stack.Version{stack.V31, stack.V311} {
		t.Run(version.String(), func(t *testing.T) {
			t.Parallel()
			name := unique()
			received := make(chan string, 1)
			client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(address).SetTLSConfig(config).
				SetProtocolVersion(uint(version)).SetClientID(name).SetUsername("impostor"))
			wait(t, client.Connect())
			wait(t, client.Subscribe(name, 1, func(_ mqtt.Client, m mqtt.Message) { received <- string(m.Payload()) }))
			wait(t, client.Publish(name, 1, false, payload))
			wantReceived(t, received, payload)
			client.Disconnect(1000)
		})
	}
	t.Run(stack.V5.String(), func(t *testing.T) {
		t.Parallel()
		ctx, name := within(t, stepTime), unique()
		received := make(chan string, 1)
		manager := must(autopaho.NewConnection(ctx, autopaho.ClientConfig{
			ServerUrls: []*url.URL{must(url.Parse(address))(t)},
			TlsCfg:     config,
			KeepAlive:  60,
			ClientConfig: paho5.ClientConfig{
				ClientID: name,
				OnPublishReceived: []func(paho5.PublishReceived) (bool, error){func(r paho5.PublishReceived) (bool, error) {
					received <- string(r.Packet.Payload)
					return true, nil
				}},
			},
		}))(t)
		if err := manager.AwaitConnection(ctx); err != nil {
			t.Fatal(err)
		}
		must(manager.Subscribe(ctx, &paho5.Subscribe{Subscriptions: []paho5.SubscribeOptions{{Topic: name, QoS: 1}}}))(t)
		must(manager.Publish(ctx, &paho5.Publish{Topic: name, QoS: 1, Payload: []byte(payload)}))(t)
		wantReceived(t, received, payload)
		if err := manager.Disconnect(ctx); err != nil {
			t.Error(err)
		}
	})
}

func wait(t *testing.T, token mqtt.Token) {
	t.Helper()
	if !token.WaitTimeout(stepTime) || token.Error() != nil {
		t.Fatalf("got %v", token.Error())
	}
}

func wantReceived(t *testing.T, received <-chan string, want string) {
	t.Helper()
	select {
	case got := <-received:
		if got != want {
			t.Errorf("got %d bytes, want %d", len(got), len(want))
		}
	case <-time.After(stepTime):
		t.Fatal("the message did not come back")
	}
}

// A page of another site gets nowhere, also with the certificate of its visitor's device.
func TestOriginsOfPages(t *testing.T) {
	t.Parallel()
	s := newFixture(t, broker, "VERNEGATE_WS_ORIGINS", "https://dash.example.org,*.example.com")
	config := s.clientTLS(s.device("acme:lamp"), 0)
	for origin, want := range map[string]int{
		"":                         http.StatusSwitchingProtocols,
		"https://" + s.WebSocket:   http.StatusSwitchingProtocols,
		"https://dash.example.org": http.StatusSwitchingProtocols,
		"https://a.example.com":    http.StatusSwitchingProtocols,
		"http://dash.example.org":  http.StatusForbidden,
		"https://evil.example":     http.StatusForbidden,
		"null":                     http.StatusForbidden,
	} {
		headers := http.Header{}
		if origin != "" {
			headers.Set("Origin", origin)
		}
		conn, answer, err := stack.DialWebSocket(within(t, stepTime), s.WebSocket, config, headers)
		if answer == nil || answer.StatusCode != want {
			t.Errorf("origin %q: got %v and %v, want %d", origin, answer, err, want)
		}
		if err == nil {
			_ = conn.CloseNow()
		}
	}
	s.awaitReason(t, "ws_upgrade")
}

// awaitReason waits until a connection by WebSocket has ended with a reason, in the metrics and in the log.
func (s *fixture) awaitReason(t *testing.T, reason string) {
	t.Helper()
	eventually(t, stepTime, "a connection ends with "+reason, func() bool {
		metrics := must(s.Metrics(within(t, stepTime)))(t)
		return metrics[`vernegate_connections_ended_total{listener="websocket",reason="`+reason+`"}`] > 0 &&
			strings.Contains(s.Output.String(), `"reason":"`+reason+`"`)
	})
}

// What is revoked is out by WebSocket as well: in new handshakes, in resumed ones, and in sessions that live.
func TestRevocationByWebSocket(t *testing.T) {
	t.Parallel()
	for _, tlsVersion := range tlsVersions {
		t.Run(tls.VersionName(tlsVersion), func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, broker)
			lamp, other := s.device("acme:lamp"), s.device("acme:other")
			config := s.clientTLS(lamp, tlsVersion)
			config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			config.ServerName = "localhost"
			ctx := within(t, stepTime)
			live := must(s.session5ByWebSocket(ctx, config))(t)
			defer live.CloseNow()
			stayer := must(s.session5ByWebSocket(ctx, s.clientTLS(other, tlsVersion)))(t)
			defer stayer.CloseNow()

			s.pki.Revoke(lamp.Leaf)
			if err := s.folder.Rename(s.pki.Set()); err != nil {
				t.Fatal(err)
			}
			_, got, err := live.Read(ctx)
			if err != nil || !bytes.Equal(got, []byte{0xE0, 1, 0x87}) {
				t.Errorf("got % X and %v, want DISCONNECT with 0x87", got, err)
			}
			if _, _, err := live.Read(ctx); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
				t.Errorf("got %v, want a close frame with 1008", err)
			}
			s.inUse(ctx, t, 2)
			for name, config := range map[string]*tls.Config{"resumed": config, "full": s.clientTLS(lamp, tlsVersion)} {
				if _, err := s.session5ByWebSocket(ctx, config); stack.AlertOf(err) != stack.AlertBadCertificate {
					t.Errorf("%s: got %v, want the alert bad_certificate", name, err)
				}
			}
			if err := stayer.Write(ctx, websocket.MessageBinary, []byte{0xC0, 0}); err != nil {
				t.Error(err)
			}
			if _, got, err := stayer.Read(ctx); err != nil || !bytes.Equal(got, []byte{0xD0, 0}) {
				t.Errorf("got % X and %v from the session of another device, want PINGRESP", got, err)
			}
		})
	}
}

// session5ByWebSocket connects a device with 5.0.
func (s *fixture) session5ByWebSocket(ctx context.Context, config *tls.Config) (*stack.WebSocket, error) {
	conn, _, err := stack.DialWebSocket(ctx, s.WebSocket, config, nil)
	if err != nil {
		return nil, err
	}
	hello := connectPacket{version: stack.V5, clientID: unique()}.bytes()
	if err := conn.Write(ctx, websocket.MessageBinary, hello); err != nil {
		return nil, err
	}
	_, answer, err := conn.Read(ctx)
	if err == nil && (len(answer) < 4 || answer[0] != 0x20 || answer[3] != 0) {
		err = fmt.Errorf("got % X, want a CONNACK", answer)
	}
	return conn, err
}

// A drain tells every client by DISCONNECT and by a close frame, and the process ends well.
func TestDrainByWebSocket(t *testing.T) {
	t.Parallel()
	s := newFixture(t, broker)
	ctx := within(t, stepTime)
	config := s.clientTLS(s.device("acme:lamp"), 0)
	var conns []*stack.WebSocket
	for range 20 {
		conns = append(conns, must(s.session5ByWebSocket(ctx, config))(t))
	}
	s.signal(t, syscall.SIGTERM)
	for _, conn := range conns {
		if _, got, err := conn.Read(ctx); err != nil || !bytes.Equal(got, []byte{0xE0, 1, 0x8B}) {
			t.Errorf("got % X and %v, want DISCONNECT with 0x8B", got, err)
		}
		if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Errorf("got %v, want a close frame with 1001", err)
		}
	}
	s.checkDrained(t)
}

// Devices carry messages both ways by WebSocket, and move to another vernegate when theirs is stopped: no message is lost.
func TestDrainUnderLoadByWebSocket(t *testing.T) {
	t.Parallel()
	const devices = 20
	s := newFixture(t, broker, "VERNEGATE_DRAIN_TIMEOUT", "1s")
	next := s.beside(t)
	s.overWebSocket, next.overWebSocket = true, true
	loadTest := newLoadTest(within(t, 2*time.Minute), t, devices, s, next)
	loadTest.await(t, 3*window)
	began := time.Now()
	s.signal(t, syscall.SIGTERM)
	s.checkDrained(t)
	loadTest.await(t, window)
	loadTest.finish(t)
	loadTest.checkDisconnections(t, began, []byte{0xE0, 1, 0x8B})
	loadTest.checkDelivery(t)
}

// Thousands of sessions by WebSocket that are silent hold little memory.
func TestIdleSessionsByWebSocketAreSmall(t *testing.T) {
	// Not parallel: it needs many descriptors.
	const sessions, limit = 5000, 25_000
	s := newFixture(t, broker, "VERNEGATE_LOG_LEVEL", "warn")
	n := affordable(t, 2*sessions) / 2
	config := s.clientTLS(s.device("acme:lamp"), 0)
	open := func(n int) []io.Closer {
		closers := make([]io.Closer, n)
		var opening errgroup.Group
		opening.SetLimit(32)
		for i := range closers {
			opening.Go(func() error {
				w, err := stack.DialWire(within(t, 5*time.Minute), s.echoing(config))
				closers[i] = w
				return err
			})
		}
		if err := opening.Wait(); err != nil {
			t.Fatal(err)
		}
		return closers
	}
	early := open(50) // what is needed once
	before := s.memory(t)
	crowd := open(n)
	s.checkGrowth(t, before, n, limit)
	for _, c := range append(early, crowd...) {
		_ = c.Close()
	}
}

// echoing is a way by WebSocket behind which the client is connected, and has said something.
func (s *fixture) echoing(config *tls.Config) stack.Dial {
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := stack.ThroughWebSocket(s.WebSocket, config)(ctx)
		if err != nil {
			return nil, err
		}
		w := stack.Wire{Conn: conn}
		err = w.Send(connectPacket{version: stack.V311, clientID: unique()}.bytes())
		if err == nil {
			_, err = w.ReadN(4)
		}
		if err == nil {
			err = w.Send([]byte{0xC0, 0})
		}
		if err == nil {
			_, err = w.ReadN(2)
		}
		return conn, err
	}
}
