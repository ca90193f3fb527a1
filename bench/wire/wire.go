// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package wire has the few packets of MQTT 3.1.1 that the load and the broker of the bench exchange.
package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
)

// Types of packets (MQTT 3.1.1, 2.2.1): the upper half of the first byte.
const (
	Connect    = 1
	Publish    = 3
	Subscribe  = 8
	Disconnect = 14
)

// What becomes of a PUBLISH is told by its topic, which is one letter.
const (
	Echo = 'e' // comes back to its sender
	Drop = 'd' // is only counted
)

// topicSize is the length of a topic in a PUBLISH, with the two bytes that tell it.
const topicSize = 3

// Answers and packets that never differ.
var (
	Connack          = []byte{0x20, 2, 0, 0}
	Suback           = []byte{0x90, 3, 0, 1, 0} // of the packet identifier in Subscription
	DisconnectPacket = []byte{Disconnect << 4, 0}

	// Subscription subscribes to what the broker publishes.
	Subscription = []byte{Subscribe<<4 | 2, 6, 0, 1, 0, 1, 's', 0}
)

// AppendConnect appends the CONNECT of a clean session with that client id and a username, which a proxy may replace.
func AppendConnect(b []byte, clientID string) []byte {
	const username = "somebody"
	variable := "\x00\x04MQTT\x04\x82\x00\x00" // level 4; username and clean session; no keep-alive
	b = AppendHeader(b, Connect<<4, len(variable)+2+len(clientID)+2+len(username))
	return appendString(appendString(append(b, variable...), clientID), username)
}

// AppendPublish appends a PUBLISH of QoS 0.
func AppendPublish(b []byte, topic byte, payload []byte) []byte {
	b = AppendHeader(b, Publish<<4, topicSize+len(payload))
	return append(append(b, 0, 1, topic), payload...)
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// AppendHeader appends a fixed header; the remaining length is what varints of encoding/binary are, too.
func AppendHeader(b []byte, first byte, remaining int) []byte {
	return binary.AppendUvarint(append(b, first), uint64(remaining))
}

// maxRemaining is the largest remaining length that there can be (2.2.3).
const maxRemaining = 268_435_455

// ReadHeader reads a fixed header: its first byte and how many bytes follow it.
func ReadHeader(r *bufio.Reader) (first byte, remaining int, err error) {
	first, err = r.ReadByte()
	if err != nil {
		return 0, 0, err
	}
	n, err := binary.ReadUvarint(r)
	if err == nil && n > maxRemaining {
		err = errors.New("a packet longer than MQTT allows")
	}
	return first, int(n), err
}
