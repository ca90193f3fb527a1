// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// Limits of this broker.
const (
	connectTimeout = 5 * time.Second // as VerneMQ's mqtt_connect_timeout
	maxPacket      = 1 << 20         // bytes
)

// A connection is one client's. What it sends is written by a goroutine of its own, so
// that a client that does not read holds up no other.
type connection struct {
	broker *broker
	conn   net.Conn
	reader *bufio.Reader

	// Set by CONNECT, by the goroutine of run.
	id, username string
	version      byte
	keepAlive    time.Duration
	session      *session

	mu      sync.Mutex
	unsent  bytes.Buffer
	written *sync.Cond // signals that there is something unsent, or that it is over
	over    bool
}

func newConnection(b *broker, conn net.Conn) *connection {
	c := &connection{broker: b, conn: conn, reader: bufio.NewReader(conn)}
	c.written = sync.NewCond(&c.mu)
	return c
}

// run serves the client until either side ends the connection.
func (c *connection) run() {
	var writing sync.WaitGroup
	writing.Go(c.write)
	err := c.read()
	c.broker.detach(c)
	c.broker.log.Info("client left", "client_id", c.id, "username", c.username, "err", err)
	c.finish()
	writing.Wait()
	c.conn.Close()
}

// errGoodbye is the end that the client has announced.
var errGoodbye = errors.New("the client said goodbye")

// read takes CONNECT and then whatever comes.
func (c *connection) read() error {
	_ = c.conn.SetReadDeadline(time.Now().Add(connectTimeout)) // a closed connection fails below
	connect, err := c.next()
	if err != nil {
		return err
	}
	if connect.FixedHeader.Type != packets.Connect {
		return errors.New("the first packet is not CONNECT")
	}
	c.id, c.username = connect.Connect.ClientIdentifier, string(connect.Connect.Username)
	c.version = connect.ProtocolVersion
	c.keepAlive = time.Duration(connect.Connect.Keepalive) * time.Second * 3 / 2
	c.broker.log.Info("client came", "client_id", c.id, "username", c.username, "remote", c.conn.RemoteAddr())
	c.broker.attach(c, connect)
	for {
		_ = c.conn.SetReadDeadline(c.silence())
		packet, err := c.next()
		if err != nil {
			return err
		}
		if err := c.take(packet); err != nil {
			return err
		}
	}
}

// silence is until when the client may say nothing; zero is forever.
func (c *connection) silence() time.Time {
	if c.keepAlive == 0 {
		return time.Time{}
	}
	return time.Now().Add(c.keepAlive)
}

// next reads a packet.
func (c *connection) next() (*packets.Packet, error) {
	first, err := c.reader.ReadByte()
	if err != nil {
		return nil, err
	}
	length, err := binary.ReadUvarint(c.reader) // MQTT's remaining length is the same encoding
	if err != nil {
		return nil, err
	}
	if length > maxPacket {
		return nil, fmt.Errorf("a packet of %d bytes, more than %d", length, maxPacket)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(c.reader, body); err != nil {
		return nil, err
	}
	p := &packets.Packet{ProtocolVersion: c.version}
	if err := p.FixedHeader.Decode(first); err != nil {
		return nil, err
	}
	p.FixedHeader.Remaining = int(length)
	return p, decode(p, body)
}

// decode reads the body of those packets that clients send to this broker.
func decode(p *packets.Packet, body []byte) error {
	switch p.FixedHeader.Type {
	case packets.Connect:
		return p.ConnectDecode(body)
	case packets.Publish:
		return p.PublishDecode(body)
	case packets.Puback:
		return p.PubackDecode(body)
	case packets.Subscribe:
		return p.SubscribeDecode(body)
	case packets.Pingreq, packets.Disconnect:
		return nil
	}
	return fmt.Errorf("packets of type %d are not spoken here", p.FixedHeader.Type)
}

// take does what a packet asks for.
func (c *connection) take(p *packets.Packet) error {
	switch p.FixedHeader.Type {
	case packets.Publish:
		return c.takePublish(p)
	case packets.Puback:
		c.broker.acknowledge(c, p.PacketID)
	case packets.Subscribe:
		c.broker.subscribe(c, p)
	case packets.Pingreq:
		c.send(&packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingresp}})
	case packets.Disconnect:
		return errGoodbye
	default:
		return errors.New("a second CONNECT")
	}
	return nil
}

// takePublish publishes what the client may publish. Otherwise 5.0 is told, and the
// connection of an older version ends, as VerneMQ does it.
func (c *connection) takePublish(p *packets.Packet) error {
	switch {
	case p.FixedHeader.Qos > 1:
		return errors.New("QoS 2 is not spoken here")
	case c.broker.rules.mayWrite(c.username, c.id, p.TopicName):
		c.broker.publish(c, p)
	case c.version < 5:
		return fmt.Errorf("publishing to %s is not allowed", p.TopicName)
	case p.FixedHeader.Qos == 1:
		c.send(&packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Puback},
			PacketID:    p.PacketID,
			ReasonCode:  packets.ErrNotAuthorized.Code,
		})
	}
	return nil
}

// send has a packet written, in the client's version. It does not wait.
func (c *connection) send(p *packets.Packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	versioned := *p
	versioned.ProtocolVersion = c.version
	if err := encode(&versioned, &c.unsent); err != nil {
		panic(err) // the packet is ours
	}
	c.written.Signal()
}

// encode writes those packets that this broker sends.
func encode(p *packets.Packet, to *bytes.Buffer) error {
	switch p.FixedHeader.Type {
	case packets.Connack:
		return p.ConnackEncode(to)
	case packets.Publish:
		return p.PublishEncode(to)
	case packets.Puback:
		return p.PubackEncode(to)
	case packets.Suback:
		return p.SubackEncode(to)
	}
	return p.PingrespEncode(to)
}

// write writes what is to be sent until the connection is over.
func (c *connection) write() {
	for {
		p := c.takeUnsent()
		if p == nil {
			return
		}
		if _, err := c.conn.Write(p); err != nil {
			return // read has seen it, or will
		}
	}
}

// takeUnsent waits for something to send; nil = it is over.
func (c *connection) takeUnsent() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.unsent.Len() == 0 {
		if c.over {
			return nil
		}
		c.written.Wait()
	}
	p := bytes.Clone(c.unsent.Bytes())
	c.unsent.Reset()
	return p
}

// finish ends write when everything is written.
func (c *connection) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.written.Signal()
}
