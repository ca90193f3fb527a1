// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"

	"github.com/coder/websocket"
)

// ThroughWebSocket is the way through vernegate by WebSocket, up to the upgrade. What is written at once is one message. A
// close frame ends the reading with io.EOF, whatever its code.
func ThroughWebSocket(addr string, config *tls.Config) Dial {
	return func(ctx context.Context) (net.Conn, error) {
		conn, _, err := DialWebSocket(ctx, addr, config, nil)
		if err != nil {
			return nil, err
		}
		return &webSocketConn{websocket.NetConn(context.Background(), conn.Conn, websocket.MessageBinary), conn.below}, nil
	}
}

// A webSocketConn is the stream of what binary messages carry.
type webSocketConn struct {
	net.Conn
	below net.Conn
}

// Read reads, up to a close frame.
func (c *webSocketConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if websocket.CloseStatus(err) >= 0 {
		err = io.EOF
	}
	return n, err
}

// LocalAddr is that of the connection below.
func (c *webSocketConn) LocalAddr() net.Addr { return c.below.LocalAddr() }

// A WebSocket is a connection behind its upgrade.
type WebSocket struct {
	*websocket.Conn
	below net.Conn
}

// DialWebSocket asks for an upgrade, with more headers, and returns it or the answer that was none.
func DialWebSocket(ctx context.Context, addr string, config *tls.Config, more http.Header) (*WebSocket, *http.Response, error) {
	var below net.Conn
	dial := func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
		dialer := tls.Dialer{Config: config} // http.Transport would name no protocols when it asks for an upgrade
		below, err = dialer.DialContext(ctx, network, addr)
		return below, err
	}
	conn, answer, err := websocket.Dial(ctx, "wss://"+addr+"/mqtt", &websocket.DialOptions{
		HTTPClient:   &http.Client{Transport: &http.Transport{DialTLSContext: dial}},
		HTTPHeader:   more,
		Subprotocols: []string{"mqtt"},
	})
	if err != nil {
		return nil, answer, err
	}
	conn.SetReadLimit(-1)
	return &WebSocket{conn, below}, answer, nil
}
