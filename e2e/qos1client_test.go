// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
)

// A qos1Client publishes and receives with QoS 1 and counts its messages. It has a
// persistent session: when its connection ends, it connects again as devices do, and sends
// what was not acknowledged once more. All but progress belongs to the goroutine of run.
type qos1Client struct {
	version stack.Version
	id      string
	ways    []stack.Dial // for its connections, one after the other; the last is for the rest
	filter  string       // what it subscribes to

	begin func(*qos1Client)             // called once it has subscribed
	react func(*qos1Client, publishing) // to a message that it has acknowledged
	done  func(*qos1Client) bool        // asked after every packet; nil = until run's context ends

	wire   *stack.Wire
	stream packetReader
	lastID uint16

	unacked        map[uint16]publishing // by packet id
	published      map[string]int        // payloads and how often they were published, again after a disconnection not counted
	acked          map[string]int        // likewise acknowledged by the broker
	received       map[string]int        // likewise received and acknowledged to the broker
	disconnections []disconnection

	progress atomic.Int64 // messages received
}

// A disconnection is the end of a connection that the qos1Client did not bring about.
type disconnection struct {
	at   time.Time
	last []byte // the packet that is no part of the traffic; nil = none
	err  error  // io.EOF for an orderly end between two packets
}

// sessionExpiry is a property of CONNECT with 5.0: the session outlives its connection by
// five minutes.
var sessionExpiry = []byte{0x11, 0, 0, 1, 44}

// run connects again and again until the client is done, or ctx ends: that is an error if it could have been done.
func (c *qos1Client) run(ctx context.Context) error {
	c.unacked = make(map[uint16]publishing)
	c.published, c.acked, c.received = make(map[string]int), make(map[string]int), make(map[string]int)
	for first := true; ; first = false {
		done, err := c.connectOnce(ctx, first)
		switch {
		case ctx.Err() != nil && c.done == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("qos1Client %s: waiting for the last of %d messages: %w", c.id, len(c.published), ctx.Err())
		case done || err != nil:
			return err
		}
	}
}

// connectOnce connects, and handles packets until the connection ends or the client is done.
func (c *qos1Client) connectOnce(ctx context.Context, first bool) (done bool, err error) {
	if c.wire, err = stack.DialWire(ctx, c.ways[min(len(c.disconnections), len(c.ways)-1)]); err != nil {
		return false, fmt.Errorf("qos1Client %s: %w", c.id, err)
	}
	defer c.wire.Close()
	defer context.AfterFunc(ctx, func() { c.wire.Close() })()
	c.stream = packetReader{bufio.NewReader(c.wire)}
	if err := c.startSession(first); err != nil {
		return false, fmt.Errorf("qos1Client %s: %w", c.id, err)
	}
	if first {
		c.begin(c)
	}
	for {
		packet, err := c.stream.next()
		if err != nil {
			c.disconnections = append(c.disconnections, disconnection{at: time.Now(), err: err})
			return false, nil
		}
		if !c.take(packet) {
			_, err := c.stream.next()
			c.disconnections = append(c.disconnections, disconnection{time.Now(), packet, err})
			return false, nil
		}
		if c.done != nil && c.done(c) {
			return true, c.wire.Send(disconnectPacket)
		}
	}
}

// startSession begins the session, or takes it up again.
func (c *qos1Client) startSession(first bool) error {
	hello := connectPacket{version: c.version, clientID: c.id, persistent: true}
	if c.version == stack.V5 {
		hello.properties = sessionExpiry
	}
	c.send(hello.bytes())
	connack, err := c.stream.next()
	if err != nil {
		return fmt.Errorf("waiting for CONNACK: %w", err)
	}
	if connack[3] != 0 {
		return &stack.RefusedError{Code: connack[3]}
	}
	if present := connack[2] == 1; present == first {
		return fmt.Errorf("connecting with %d disconnections behind it: session present is %v", len(c.disconnections), present)
	}
	if first {
		c.send(subscribePacket(c.version, c.filter))
		if suback, err := c.stream.next(); err != nil || suback[0] != 0x90 {
			return fmt.Errorf("waiting for SUBACK: got % X and %v", suback, err)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.unacked)) {
		again := c.unacked[id]
		again.again = true
		c.send(again.bytes())
	}
	return nil
}

// publish publishes with QoS 1.
func (c *qos1Client) publish(topic, payload string) {
	for c.lastID++; c.lastID == 0 || c.unacked[c.lastID].id != 0; c.lastID++ {
	}
	p := publishing{version: c.version, id: c.lastID, topic: topic, payload: payload}
	c.unacked[p.id] = p
	c.published[payload]++
	c.send(p.bytes())
}

// send sends a packet. When the connection has ended, reading tells.
func (c *qos1Client) send(packet []byte) { _ = c.wire.Send(packet) }

// take does what a packet of the traffic asks for; false means that it is none.
func (c *qos1Client) take(packet []byte) bool {
	if packet[0]>>4 == typePuback {
		id := binary.BigEndian.Uint16(packet[2:])
		c.acked[c.unacked[id].payload]++
		delete(c.unacked, id)
		return true
	}
	p, ok := parsePublish(c.version, packet)
	if !ok {
		return false
	}
	c.received[p.payload]++
	c.progress.Add(1)
	c.send(pubackPacket(p.id))
	c.react(c, p)
	return true
}

// orderly reports whether the stream ended between two packets, with disconnect as the last one
// where there is one in the version.
func (f disconnection) orderly(v stack.Version, disconnect []byte) bool {
	if v != stack.V5 {
		disconnect = nil
	}
	return errors.Is(f.err, io.EOF) && slices.Equal(f.last, disconnect)
}
