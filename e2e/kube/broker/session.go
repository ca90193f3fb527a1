// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"

	"github.com/mochi-mqtt/server/v2/packets"
)

// The methods of a session are called with the broker's lock held.

// wants is the highest QoS of the subscriptions that match a topic.
func (s *session) wants(topic string) (qos byte, ok bool) {
	for filter, granted := range s.filters {
		if matches(filter, topic) {
			qos, ok = max(qos, granted), true
		}
	}
	return qos, ok
}

// deliver sends a message to the client, and keeps it until it is acknowledged.
func (s *session) deliver(topic string, payload []byte, qos byte) {
	if qos == 0 && s.conn == nil {
		return
	}
	message := newMessage(topic, payload, 0)
	if qos > 0 {
		message = newMessage(topic, payload, s.freeID())
		s.queue = append(s.queue, message)
	}
	if s.conn != nil {
		s.conn.send(message)
	}
}

// freeID is a packet id that no message of the queue has.
func (s *session) freeID() uint16 {
	for {
		s.lastID++
		if s.lastID != 0 && !slices.ContainsFunc(s.queue, func(p *packets.Packet) bool { return p.PacketID == s.lastID }) {
			return s.lastID
		}
	}
}

// forget takes a message out of the queue.
func (s *session) forget(id uint16) {
	s.queue = slices.DeleteFunc(s.queue, func(p *packets.Packet) bool { return p.PacketID == id })
}
