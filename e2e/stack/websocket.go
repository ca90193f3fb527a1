// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"

	"github.com/coder/websocket"
)

// ThroughWebSocket is the way through vernegate by WebSocket, up to the upgrade. What is written at once is one message; a
// close frame with 1000 or 1001 ends the reading, another one is an error.
func ThroughWebSocket(addr string, config *tls.Config) Dial {
	return func(ctx context.Context) (net.Conn, error) {
		conn, _, err := DialWebSocket(ctx, addr, config, nil)
		if err != nil {
			return nil, err
		}
		return websocket.NetConn(context.Background(), conn, websocket.MessageBinary), nil
	}
}

// DialWebSocket asks for an upgrade, with more headers, and returns it or the answer that was none.
func DialWebSocket(ctx context.Context, addr string, config *tls.Config, more http.Header) (*websocket.Conn, *http.Response, error) {
	dialer := tls.Dialer{Config: config} // http.Transport would name no protocols when it asks for an upgrade
	conn, answer, err := websocket.Dial(ctx, "wss://"+addr+"/mqtt", &websocket.DialOptions{
		HTTPClient:   &http.Client{Transport: &http.Transport{DialTLSContext: dialer.DialContext}},
		HTTPHeader:   more,
		Subprotocols: []string{"mqtt"},
	})
	if err != nil {
		return nil, answer, err
	}
	conn.SetReadLimit(-1)
	return conn, answer, nil
}
