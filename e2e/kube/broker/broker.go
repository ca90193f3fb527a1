// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"net"
	"sync"

	"github.com/mochi-mqtt/server/v2/packets"
)

// A broker has the sessions of all clients. One lock guards all of it: that is what
// makes its promises easy to keep.
type broker struct {
	rules *rules
	log   *slog.Logger

	mu       sync.Mutex
	sessions map[string]*session // by client id
}

func newBroker(r *rules, log *slog.Logger) *broker {
	return &broker{rules: r, log: log, sessions: make(map[string]*session)}
}

// A session is what is kept of a client.
type session struct {
	username   string
	persistent bool              // outlives its connection
	filters    map[string]byte   // and the QoS granted
	queue      []*packets.Packet // QoS 1, not yet acknowledged by the client, oldest first
	lastID     uint16

	conn *connection // nil = away
}

// serve takes clients until the listener is closed, and cuts them when ctx ends.
func (b *broker) serve(ctx context.Context, l net.Listener) error {
	var serving sync.WaitGroup
	defer serving.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		serving.Go(func() {
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			newConnection(b, conn).run()
		})
	}
}

// attach gives a client its session, a new one or the one it had, with which what it
// has not acknowledged is sent again. Who was connected with this id is cut.
func (b *broker) attach(c *connection, connect *packets.Packet) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, present := b.sessions[c.id]
	if present && s.conn != nil {
		s.conn.conn.Close()
		s.conn = nil
	}
	if !present || connect.Connect.Clean {
		s, present = &session{filters: make(map[string]byte)}, false
		b.sessions[c.id] = s
	}
	s.conn, s.username, s.persistent = c, c.username, isPersistent(connect)
	c.session = s
	c.send(&packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connack}, SessionPresent: present})
	for _, message := range s.queue {
		again := *message
		again.FixedHeader.Dup = true
		c.send(&again)
	}
}

// isPersistent reports whether CONNECT asks for a session that outlives its connection.
func isPersistent(connect *packets.Packet) bool {
	if connect.ProtocolVersion == 5 {
		return connect.Properties.SessionExpiryInterval > 0
	}
	return !connect.Connect.Clean
}

// detach ends a connection's hold on its session, if no other connection has taken it over.
func (b *broker) detach(c *connection) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.session == nil || c.session.conn != c {
		return
	}
	c.session.conn = nil
	if !c.session.persistent {
		delete(b.sessions, c.id)
	}
}

// publish puts a message into the sessions of all subscribers, and then acknowledges it.
func (b *broker) publish(c *connection, p *packets.Packet) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.sessions {
		if qos, ok := s.wants(p.TopicName); ok {
			s.deliver(p.TopicName, p.Payload, min(qos, p.FixedHeader.Qos))
		}
	}
	if p.FixedHeader.Qos == 1 {
		c.send(&packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}, PacketID: p.PacketID})
	}
}

// subscribe grants QoS 1 at most.
func (b *broker) subscribe(c *connection, p *packets.Packet) {
	b.mu.Lock()
	defer b.mu.Unlock()
	suback := &packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Suback}, PacketID: p.PacketID}
	for _, f := range p.Filters {
		code := min(f.Qos, 1)
		if b.rules.mayRead(c.username, c.id, f.Filter) {
			c.session.filters[f.Filter] = code
		} else {
			code = 0x80 // Unspecified error, the only one that both versions have
		}
		suback.ReasonCodes = append(suback.ReasonCodes, code)
	}
	c.send(suback)
}

// acknowledge forgets a message that the client has.
func (b *broker) acknowledge(c *connection, id uint16) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.session.forget(id)
}
