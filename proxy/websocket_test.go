// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/proxy"
)

func TestWebSocketSession(t *testing.T) {
	t.Parallel()
	for _, version := range bothVersions {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startWebSocketGate(t, brokers(b))
			config := clientConfig(testPKI().device)
			config.MinVersion, config.MaxVersion = version, version
			conn, err := tls.Dial("tcp", g.addr, config)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			client := upgrade(t, conn)
			client.within(patience)
			write(t, client, connect311)
			backend := b.greet(connect311Owned, connack311)
			wantBytes(t, client, connack311)

			for _, size := range []int{64, 200, 70_000, 1 << 20} {
				message := publish(size)
				go func() { _, _ = client.Write(message) }()
				wantBytes(t, backend, message)
				go func() { _, _ = backend.Write(message) }()
				wantBytes(t, client, message)
			}
			labels := map[string]string{"listener": "websocket"}
			if got := counter(t, g.metrics, "vernegate_sessions", labels); got != 1 {
				t.Errorf("got %v sessions counted, want 1", got)
			}

			write(t, client, disconnect)
			wantBytes(t, backend, disconnect)
			_ = backend.Close()
			client.wantClose(1000)
			if line := g.wantEnd(proxy.ClientClosed); line["listener"] != "websocket" || line["websocket"] != true {
				t.Errorf("got line %v, want listener websocket", line)
			}
		})
	}
}

// A message may hold several packets, and a packet may be in several messages and frames [MQTT-6.0.0-2].
func TestPacketsAndFramesAreIndependent(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startWebSocketGate(t, brokers(b))
	client := g.dialWebSocket(testPKI().device)
	all := append(bytes.Clone(connect311), bytes.Repeat(pingreq, 20)...)
	all = append(all, publish(5000)...)
	var wire []byte
	for rest := all; len(rest) > 0; {
		size := min(len(rest), 1+rand.IntN(9))
		wire = append(wire, maskedFrame(binaryFrame&0x0F, rest[:size])...) // the first part of a message
		wire = append(wire, maskedFrame(pingFrame, nil)...)
		wire = append(wire, maskedFrame(0x80, nil)...) // the last one
		rest = rest[size:]
	}
	go func() {
		for rest := wire; len(rest) > 0; {
			size := min(len(rest), 1+rand.IntN(500))
			if _, err := client.Conn.Write(rest[:size]); err != nil {
				return
			}
			rest = rest[size:]
		}
	}()
	backend := b.greet(connect311Owned, connack311)
	wantBytes(t, client, connack311)
	wantBytes(t, backend, all[len(connect311):])
	write(t, backend, pingresp)
	wantBytes(t, client, pingresp)
	if len(client.pongs) == 0 {
		t.Error("no ping was answered")
	}
}

// What a client sends behind its request at once, up to whole packets behind the CONNECT, is not lost.
func TestClientThatDoesNotWaitForTheUpgrade(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startWebSocketGate(t, brokers(b))
	conn := g.dial(testPKI().device)
	write(t, conn, []byte(upgradeRequest+string(maskedFrame(binaryFrame, append(bytes.Clone(connect311), pingreq...)))))
	backend := b.greet(connect311Owned, connack311)
	wantBytes(t, backend, pingreq)
}

// Refusals are the same as without WebSocket; a close frame comes behind the CONNACK.
func TestRefusalsByWebSocket(t *testing.T) {
	t.Parallel()
	for _, test := range refusals {
		if test.role == proxy.Services {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startWebSocketGate(t, func(c *proxy.Config) {
				brokers(b)(c)
				if test.change != nil {
					test.change(c)
				}
			})
			client := g.dialWebSocket(testPKI().device)
			write(t, client, append(test.send, pingreq...))
			wantBytes(t, client, []byte(test.receive))
			client.wantClose(test.reason.CloseCode())
			g.wantEnd(test.reason)
			if n := b.count.Load(); n != 0 {
				t.Errorf("the broker got %d connections, want none", n)
			}
		})
	}
}

func TestRequestsThatAreNoUpgrade(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		request string
		status  int
	}{
		"MQTT without WebSocket": {string(connect311) + "\r\n\r\n", http.StatusBadRequest},
		"a browser's visit":      {"GET / HTTP/1.1\r\nHost: gate.example.org\r\n\r\n", http.StatusNotFound},
		"no upgrade":             {"GET /mqtt HTTP/1.1\r\nHost: gate.example.org\r\n\r\n", http.StatusUpgradeRequired},
		"a foreign page":         {strings.Replace(upgradeRequest, "\r\n\r\n", "\r\nOrigin: https://evil.example\r\n\r\n", 1), http.StatusForbidden},
		"no subprotocol":         {strings.Replace(upgradeRequest, "Sec-WebSocket-Protocol: mqtt\r\n", "", 1), http.StatusBadRequest},
		"endless headers":        {"GET /mqtt HTTP/1.1\r\nCookie: " + strings.Repeat("x", 20<<10), http.StatusRequestHeaderFieldsTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startWebSocketGate(t, brokers(b))
			if answer := g.request(test.request); answer.StatusCode != test.status {
				t.Errorf("got %v, want %d", answer.Status, test.status)
			}
			line := g.wantEnd(proxy.WSUpgrade)
			if want := fmt.Sprint(test.status); !strings.HasPrefix(line["err"].(string), want) {
				t.Errorf("got err %v, want that it begins with %s", line["err"], want)
			}
			if line["fingerprint"] != fingerprint(testPKI().device) {
				t.Error("the line does not name the certificate")
			}
			if n := b.count.Load(); n != 0 {
				t.Errorf("the broker got %d connections, want none", n)
			}
		})
	}
}

// inWebSocketBubble is inBubble for clients by WebSocket.
func inWebSocketBubble(t *testing.T, test func(t *testing.T, g *gate, l *pipeListener)) {
	t.Parallel()
	testPKI()
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		listener := proxy.Listener{Listener: l, Role: proxy.WebSockets, Protocol: proxy.WebSocket}
		test(t, serveListener(t, listener, func(c *proxy.Config) { c.WebSocket.Path = "/mqtt" }), l)
	})
}

func TestSlowUpgradeIsClosedInTime(t *testing.T) {
	for name, send := range map[string]func(*tls.Conn){
		"silent":            func(*tls.Conn) {},
		"half a request":    func(c *tls.Conn) { _, _ = c.Write([]byte(upgradeRequest[:50])) },
		"one byte a second": func(c *tls.Conn) { drip(c, []byte(upgradeRequest)) },
	} {
		t.Run(name, func(t *testing.T) {
			inWebSocketBubble(t, func(t *testing.T, g *gate, l *pipeListener) {
				c := tls.Client(l.dial(), clientConfig(testPKI().device))
				if err := c.Handshake(); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				sent := make(chan struct{})
				go func() { defer close(sent); send(c) }()
				got, _ := io.ReadAll(c)
				if took := time.Since(began); took != 5*time.Second || len(got) > 0 {
					t.Errorf("closed after %v with %q, want 5s and nothing", took, got)
				}
				g.wantDetail(proxy.ConnectTimeout, "no whole HTTP request within 5s (VERNEGATE_CONNECT_TIMEOUT)")
				<-sent
			})
		})
	}
}

// The upgrade has its own time, and so has the CONNECT behind it.
func TestSlowConnectByWebSocketIsClosedInTime(t *testing.T) {
	inWebSocketBubble(t, func(t *testing.T, g *gate, l *pipeListener) {
		c := tls.Client(l.dial(), clientConfig(testPKI().device))
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Second) // of the bubble
		client := upgrade(t, c)
		began := time.Now()
		write(t, c, maskedFrame(binaryFrame, connect311)[:9])
		client.wantClose(1008)
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("closed after %v, want 5s", took)
		}
		g.wantEnd(proxy.ConnectTimeout)
	})
}

// A client that sends frames it must not learns that by a close code, and the broker gets what came before.
func TestBrokenFramesEndTheSession(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		send []byte
		code int
	}{
		"text [MQTT-6.0.0-1]": {maskedFrame(textFrame, pingreq), 1003},
		"not masked":          {append([]byte{binaryFrame, 2}, pingreq...), 1002},
		"compressed":          {maskedFrame(binaryFrame|0x40, pingreq), 1002},
		"fragmented ping":     {maskedFrame(pingFrame&0x7F, nil), 1002},
		"too large":           {[]byte("\x82\xff\x00\x00\x00\x00\x20\x00\x00\x00\x01\x02\x03\x04"), 1009},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startWebSocketGate(t, brokers(b))
			client, backend := webSocketSession5(g, b, testPKI().device)
			write(t, client.Conn, append(maskedFrame(binaryFrame, publish(64)), test.send...))
			wantBytes(t, backend, publish(64))
			wantEOF(t, backend)
			_ = backend.Close()
			client.wantClose(test.code)
			g.wantEnd(proxy.WSFrame)
		})
	}
}

func TestBrokenFrameBeforeTheConnect(t *testing.T) {
	t.Parallel()
	g := startWebSocketGate(t, nil)
	client := g.dialWebSocket(testPKI().device)
	client.send(textFrame, string(connect311))
	client.wantClose(1003)
	g.wantEnd(proxy.WSFrame)
}

// MQTT that breaks the protocol ends a session as it does without WebSocket.
func TestBrokenProtocolByWebSocket(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startWebSocketGate(t, brokers(b))
	client, backend := webSocketSession5(g, b, testPKI().device)
	write(t, client, append(bytes.Clone(pingreq), connect5...))
	wantBytes(t, client, []byte{0xe0, 1, 0x82})
	wantBytes(t, backend, pingreq)
	wantEOF(t, backend)
	_ = backend.Close()
	client.wantClose(1002)
	g.wantEnd(proxy.ConnectAgain)
}

// A close frame is answered with its own code, and ends the session as the end of the stream does.
func TestClientThatClosesByFrame(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startWebSocketGate(t, brokers(b))
	client, backend := webSocketSession5(g, b, testPKI().device)
	write(t, client, disconnect)
	client.send(closeFrame, "\x03\xe8")
	wantBytes(t, backend, disconnect)
	wantEOF(t, backend)
	_ = backend.Close()
	client.wantClose(1000)
	g.wantEnd(proxy.ClientClosed)
}

// What the broker sends behind a client's close frame is not sent (RFC 6455 §5.5.1); the end is an orderly one nevertheless.
func TestBrokerThatSendsBehindACloseFrame(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startWebSocketGate(t, brokers(b))
	client, backend := webSocketSession5(g, b, testPKI().device)
	client.send(closeFrame, "\x03\xe8")
	wantEOF(t, backend)
	write(t, backend, publish(64))
	_ = backend.Close()
	client.wantClose(1000)
	g.wantEnd(proxy.ClientClosed)
}

// More frames than are decoded at a time, and then the end: the broker gets all of them.
func TestManySmallFramesBeforeTheEnd(t *testing.T) {
	t.Parallel()
	const messages = 5000
	for name, end := range map[string]func(*webSocketClient){
		"close frame":  func(c *webSocketClient) { c.send(closeFrame, "\x03\xe8") },
		"close_notify": func(c *webSocketClient) { _ = c.CloseWrite() },
		"cut":          func(c *webSocketClient) { _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startWebSocketGate(t, brokers(b))
			client, backend := webSocketSession5(g, b, testPKI().device)
			write(t, client.Conn, bytes.Repeat(maskedFrame(binaryFrame, pingreq), messages))
			end(client)
			wantBytes(t, backend, bytes.Repeat(pingreq, messages))
			wantEOF(t, backend)
			_ = backend.Close()
			g.wantEnd(proxy.ClientClosed)
		})
	}
}

func TestClientThatIsGone(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startWebSocketGate(t, brokers(b))
	client, backend := webSocketSession5(g, b, testPKI().device)
	_ = client.NetConn().Close()
	wantEOF(t, backend)
	_ = backend.Close()
	g.wantEnd(proxy.ClientClosed)
}

// What ends sessions from outside tells clients by DISCONNECT and by close code.
func TestForcedEndsByWebSocket(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		reason proxy.Reason
		code   byte
		close  int
		end    func(*gate)
	}{
		"revoked": {proxy.CertRevoked, 0x87, 1008, func(g *gate) {
			g.trust.Store(newTrust(testPKI().device.Leaf))
			g.Withdraw(t.Context(), proxy.Withdrawal{Revoked: revoking(testPKI().device.Leaf)})
		}},
		"kicked":   {proxy.AdminKick, 0x98, 1008, func(g *gate) { g.Kick(proxy.Filter{}, nil) }},
		"drained":  {proxy.Shutdown, 0x8b, 1001, func(g *gate) { g.Drain(t.Context(), time.Millisecond) }},
		"shutdown": {proxy.Shutdown, 0x8b, 1001, func(g *gate) { go func() { _ = g.Shutdown(t.Context()) }() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startWebSocketGate(t, brokers(b))
			client, backend := webSocketSession5(g, b, testPKI().device)
			half := publish(300)
			write(t, backend, half[:100])
			wantBytes(t, client, half[:100])
			test.end(g)
			write(t, backend, half[100:]) // the packet is completed first
			wantBytes(t, client, half[100:])
			wantBytes(t, client, []byte{0xe0, 1, test.code})
			client.wantClose(test.close)
			wantEOF(t, backend)
			_ = backend.Close()
			g.wantEnd(test.reason)
		})
	}
}

// A broker that stalls within a packet keeps no client that reads from learning why its session ends.
func TestBrokerThatStallsInAPacketByWebSocket(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startWebSocketGate(t, brokers(b))
	client, backend := webSocketSession5(g, b, testPKI().device)
	half := publish(300)[:100]
	write(t, backend, half)
	wantBytes(t, client, half)
	g.Kick(proxy.Filter{}, nil)
	client.wantClose(1008)
	g.wantEnd(proxy.AdminKick)
}

// A certificate that is revoked gets no further than the handshake, also with a TLS session from before, which a listener
// without WebSocket has made.
func TestRevokedClientsByWebSocket(t *testing.T) {
	t.Parallel()
	for _, version := range bothVersions {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			device := roamer(version)
			visit(t, startReplica(t, b, newTrust(), 1), b, device)
			revoked := &ticketTrust{newTrust(testPKI().device.Leaf), [][32]byte{{1}}}
			g := startWebSocketGate(t, func(c *proxy.Config) { c.Trust = func() proxy.Trust { return revoked } })
			if got := alert(firstError(t, g.addr, device)); got != "tls: bad certificate" {
				t.Errorf("got alert %q, want that the certificate is bad", got)
			}
			g.wantEnd(proxy.TLSRevoked)
		})
	}
}

func TestWebSocketBehindAProxy(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startWebSocketGate(t, func(c *proxy.Config) { brokers(b)(c); behindProxies(c) })
	conn := tls.Client(g.dialHeaded(proxyV2TCP4), clientConfig(testPKI().device))
	client := upgrade(t, conn)
	write(t, client, connect311)
	backend := b.greet(connect311Owned, connack311)
	wantBytes(t, client, connack311)
	_ = backend.Close()
	client.wantClose(1001)
	if line := g.wantEnd(proxy.BackendClosed); line["remote"] != "192.0.2.7:4711" {
		t.Errorf("got remote %v, want that of the header", line["remote"])
	}
}

// Small clients get small records, whatever the frames are.
func TestWebSocketKeepsToTheRecordSize(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startWebSocketGate(t, func(c *proxy.Config) { brokers(b)(c); c.MaxRecord = 512 })
	raw := &keeper{Conn: g.dialHeaded("")}
	client := upgrade(t, tls.Client(raw, clientConfig(testPKI().device)))
	handshake := len(raw.bytes)
	write(t, client, connect311)
	backend := b.greet(connect311Owned, connack311)
	wantBytes(t, client, connack311)
	message := publish(10_000)
	write(t, backend, message)
	wantBytes(t, client, message)
	for rest := raw.bytes[handshake:]; len(rest) >= 5; {
		n := 5 + int(binary.BigEndian.Uint16(rest[3:]))
		if n > 512+5+16+1 { // header, tag, type
			t.Errorf("got a record of %d bytes, want 512 of data at most", n)
		}
		rest = rest[min(n, len(rest)):]
	}
}

// A flood of pings from a client that does not read the pongs must not pile up.
func TestPingFloodDoesNotPileUp(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startWebSocketGate(t, brokers(b))
	client, backend := webSocketSession5(g, b, testPKI().device)
	flood := bytes.Repeat(maskedFrame(pingFrame, bytes.Repeat([]byte("p"), 100)), 1000)
	_ = client.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	total := 0
	for {
		n, err := client.Conn.Write(flood)
		total += n
		if err != nil {
			break // nobody reads any more: the flood is held back
		}
		if total > 200<<20 {
			t.Fatal("200 MB of pings were taken without a pong being read")
		}
	}
	_ = client.NetConn().Close()
	wantEOF(t, backend)
	_ = backend.Close()
}

// Frames on one side, TLS on both.
func TestWebSocketToABrokerOverTLS(t *testing.T) {
	t.Parallel()
	b := startSecureBroker(t, 0)
	g := startWebSocketGate(t, speakTLS(testPKI().device, b.broker))
	client := g.dialWebSocket(testPKI().device)
	write(t, client, connect311)
	backend := b.greet(connect311Owned, connack311)
	wantBytes(t, client, connack311)
	exchange(t, client, backend)
	client.send(closeFrame, "\x03\xe8")
	wantEOF(t, backend) // with close_notify: crypto/tls says so otherwise
	_ = backend.Close()
	client.wantClose(1000)
	g.wantEnd(proxy.ClientClosed)
}
