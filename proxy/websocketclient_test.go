// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/proxy/listen"
	"github.com/vernegate/vernegate/proxy/websocket"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// upgradeRequest asks for MQTT over WebSocket.
const upgradeRequest = "GET /mqtt HTTP/1.1\r\nHost: gate.example.org\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"

// The first bytes of frames, each the last one of its message (RFC 6455 §5.2).
const (
	textFrame   = 0x81
	binaryFrame = 0x82
	closeFrame  = 0x88
	pingFrame   = 0x89
	pongFrame   = 0x8A
)

// startWebSocketGate runs a server for clients by WebSocket.
func startWebSocketGate(t testing.TB, change func(*proxy.Config)) *gate {
	t.Helper()
	return startProtocolGate(t, proxy.WebSockets, proxy.WebSocket, change)
}

func startProtocolGate(t testing.TB, role proxy.Role, protocol proxy.Protocol, change func(*proxy.Config)) *gate {
	t.Helper()
	l, err := listen.TCP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveListener(t, proxy.Listener{Listener: l, Role: role, Protocol: protocol}, func(c *proxy.Config) {
		c.WebSocket = websocket.Endpoint{Path: "/mqtt"}
		if change != nil {
			change(c)
		}
	})
}

// A webSocketClient is a client's end, made by hand so that it can send what it must not. Its Read and Write carry MQTT.
type webSocketClient struct {
	*tls.Conn
	t       testing.TB
	in      *bufio.Reader
	payload []byte // of a binary frame, not read yet
	closed  int    // the code of the server's close frame; 0 = none yet
	pongs   []string
}

// upgrade sends the request on a connection and wants the upgrade.
func upgrade(t testing.TB, conn *tls.Conn) *webSocketClient {
	t.Helper()
	c := &webSocketClient{Conn: conn, t: t, in: bufio.NewReader(conn)}
	write(t, conn, []byte(upgradeRequest))
	answer, err := http.ReadResponse(c.in, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v and %v, want an upgrade", answer, err)
	}
	return c
}

// dialWebSocket connects as cert's device up to the upgrade.
func (g *gate) dialWebSocket(cert *certtest.Cert) *webSocketClient {
	g.t.Helper()
	return upgrade(g.t, g.dial(cert))
}

// webSocketSession5 establishes a 5.0 session and returns both of its ends.
func webSocketSession5(g *gate, b *broker, cert *certtest.Cert) (client *webSocketClient, backend net.Conn) {
	g.t.Helper()
	client = g.dialWebSocket(cert)
	write(g.t, client, connect5)
	backend = b.greet(connect5Owned, connack5)
	wantBytes(g.t, client, connack5)
	return client, backend
}

// maskedFrame is a frame as a client sends it.
func maskedFrame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n <= 125:
		b = append(b, 0x80|byte(n))
	case n <= 0xFFFF:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{9, 8, 7, 6}
	b = append(b, mask[:]...)
	for i, c := range payload {
		b = append(b, c^mask[i%4])
	}
	return b
}

// Write sends p as one message.
func (c *webSocketClient) Write(p []byte) (int, error) {
	_, err := c.Conn.Write(maskedFrame(binaryFrame, p))
	return len(p), err
}

// send sends a frame.
func (c *webSocketClient) send(first byte, payload string) {
	c.t.Helper()
	write(c.t, c.Conn, maskedFrame(first, []byte(payload)))
}

// Read reads what binary frames carry; it ends with the close frame, behind which nothing may come.
func (c *webSocketClient) Read(p []byte) (int, error) {
	for len(c.payload) == 0 {
		if err := c.readFrame(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.payload)
	c.payload = c.payload[n:]
	return n, nil
}

func (c *webSocketClient) readFrame() error {
	var head [2]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		if c.closed != 0 && err == io.EOF {
			return io.EOF
		}
		return fmt.Errorf("the stream ends without a close frame: %w", err)
	}
	size := int(head[1])
	switch size {
	case 126:
		var long [2]byte
		_, _ = io.ReadFull(c.in, long[:])
		size = int(binary.BigEndian.Uint16(long[:]))
	case 127:
		var long [8]byte
		_, _ = io.ReadFull(c.in, long[:])
		size = int(binary.BigEndian.Uint64(long[:]))
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(c.in, payload); err != nil {
		return err
	}
	switch {
	case c.closed != 0:
		return errors.New("a frame behind the close frame")
	case head[0] == binaryFrame:
		c.payload = payload
	case head[0] == pongFrame:
		c.pongs = append(c.pongs, string(payload))
	case head[0] == closeFrame && size >= 2:
		c.closed = int(binary.BigEndian.Uint16(payload))
	default:
		return fmt.Errorf("an unexpected frame % x % x", head, payload)
	}
	return nil
}

// wantClose wants a close frame with a code, and then the end of the stream.
func (c *webSocketClient) wantClose(code int) {
	c.t.Helper()
	wantEOF(c.t, c)
	if c.closed != code {
		c.t.Errorf("got close code %d, want %d", c.closed, code)
	}
	_ = c.Close()
}

// request sends HTTP and returns the answer, behind which the stream ends.
func (g *gate) request(text string) *http.Response {
	g.t.Helper()
	conn := g.dial(testPKI().device)
	write(g.t, conn, []byte(text))
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		g.t.Fatalf("no answer: %v", err)
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		g.t.Error(err)
	}
	wantEOF(g.t, in)
	return answer
}

// within bounds what c does next.
func (c *webSocketClient) within(d time.Duration) { _ = c.SetDeadline(time.Now().Add(d)) }
