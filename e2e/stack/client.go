// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
)

// Version is a protocol level as CONNECT carries it.
type Version byte

// The versions of MQTT.
const (
	V31  Version = 3
	V311 Version = 4
	V5   Version = 5
)

// String is the version's name.
func (v Version) String() string {
	switch v {
	case V31:
		return "3.1"
	case V311:
		return "3.1.1"
	case V5:
		return "5.0"
	}
	return "level " + strconv.Itoa(int(v))
}

// Dial is a way to a broker.
type Dial func(ctx context.Context) (net.Conn, error)

// Direct is the way without vernegate: plain TCP to the broker.
func Direct(addr string) Dial {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	}
}

// Through is the way through vernegate: TLS. The handshake has ended when it
// returns, though with TLS 1.3 the server may still refuse the certificate later.
func Through(addr string, config *tls.Config) Dial {
	return func(ctx context.Context) (net.Conn, error) {
		d := tls.Dialer{Config: config}
		return d.DialContext(ctx, "tcp", addr)
	}
}

// Message is an application message.
type Message struct {
	Topic   string
	Payload string
	QoS     byte
	Retain  bool
}

// Options say how a Client connects.
type Options struct {
	Version    Version
	ClientID   string
	Username   string // "" sends none
	Persistent bool   // the session outlives the connection
	Will       *Message
}

// RefusedError is a CONNACK that refuses.
type RefusedError struct {
	Code byte // a return code of 3.1 and 3.1.1, a reason code of 5.0
}

// Error names the code.
func (e *RefusedError) Error() string { return fmt.Sprintf("CONNACK refuses with 0x%02X", e.Code) }

// Client is a connected paho client of any version. Its methods are safe for
// concurrent use.
type Client struct {
	// SessionPresent is what the broker's CONNACK said.
	SessionPresent bool

	conn    net.Conn
	paho    paho
	inbox   chan Message
	dropped chan struct{} // closed when the connection is lost, not when it is closed
}

// paho is what the two paho libraries have in common.
type paho interface {
	publish(ctx context.Context, m Message) error
	subscribe(ctx context.Context, filter string, qos byte) (granted byte, err error)
	disconnect()
}

// inboxSize is how many messages a Client takes that nobody has received yet; with
// more it reads no further.
const inboxSize = 4096

// Connect connects and waits for the CONNACK: a *RefusedError when it refuses. The
// caller ends the Client with Disconnect or Cut.
func Connect(ctx context.Context, dial Dial, o Options) (*Client, error) {
	conn, err := dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	c := &Client{conn: conn, inbox: make(chan Message, inboxSize), dropped: make(chan struct{})}
	connect := c.connect3
	if o.Version == V5 {
		connect = c.connect5
	}
	if err := connect(ctx, o); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// Publish publishes and waits for what the QoS promises.
func (c *Client) Publish(ctx context.Context, m Message) error { return c.paho.publish(ctx, m) }

// Subscribe subscribes and waits for the SUBACK, whose code it returns.
func (c *Client) Subscribe(ctx context.Context, filter string, qos byte) (granted byte, err error) {
	return c.paho.subscribe(ctx, filter, qos)
}

// Receive waits for the next message.
func (c *Client) Receive(ctx context.Context) (Message, error) {
	select {
	case m := <-c.inbox:
		return m, nil
	case <-ctx.Done():
		return Message{}, fmt.Errorf("waiting for a message: %w", ctx.Err())
	}
}

// Dropped is closed when the other side has ended the connection.
func (c *Client) Dropped() <-chan struct{} { return c.dropped }

// Disconnect says DISCONNECT and closes.
func (c *Client) Disconnect() { c.paho.disconnect() }

// Cut closes the connection without a word, as a lost network does.
func (c *Client) Cut() { c.conn.Close() }
