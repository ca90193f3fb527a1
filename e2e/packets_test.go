// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"encoding/binary"

	"github.com/vernegate/vernegate/e2e/stack"
)

// A connectPacket writes a CONNECT byte for byte, so that no client library stands
// between a test and the wire. The zero value of an optional field leaves it out.
type connectPacket struct {
	version    stack.Version
	clientID   string
	persistent bool
	will       *stack.Message
	username   string
	password   string
	properties []byte // 5.0: without their length

	willProperties []byte // 5.0: likewise
}

// Bits of the connect flags (MQTT 3.1.1 §3.1.2.3).
const (
	flagClean    = 1 << 1
	flagWill     = 1 << 2
	flagRetain   = 1 << 5
	flagPassword = 1 << 6
	flagUsername = 1 << 7
)

// bytes encodes the packet.
func (c connectPacket) bytes() []byte {
	name := "MQTT"
	if c.version&0x7F == stack.V31 {
		name = "MQIsdp"
	}
	body := appendString(nil, name)
	body = append(body, byte(c.version), c.flags(), 0, 60)
	body = c.appendProperties(body, c.properties)
	body = appendString(body, c.clientID)
	if c.will != nil {
		body = c.appendProperties(body, c.willProperties)
		body = appendString(body, c.will.Topic)
		body = appendString(body, c.will.Payload)
	}
	if c.username != "" {
		body = appendString(body, c.username)
	}
	if c.password != "" {
		body = appendString(body, c.password)
	}
	return packet(0x10, body)
}

func (c connectPacket) flags() byte {
	var flags byte
	if !c.persistent {
		flags |= flagClean
	}
	if c.will != nil {
		flags |= flagWill | c.will.QoS<<3
		if c.will.Retain {
			flags |= flagRetain
		}
	}
	if c.username != "" {
		flags |= flagUsername
	}
	if c.password != "" {
		flags |= flagPassword
	}
	return flags
}

func (c connectPacket) appendProperties(body, properties []byte) []byte {
	if c.version&0x7F != stack.V5 {
		return body
	}
	body = binary.AppendUvarint(body, uint64(len(properties)))
	return append(body, properties...)
}

// packet puts the fixed header before a body.
func packet(first byte, body []byte) []byte {
	return append(binary.AppendUvarint([]byte{first}, uint64(len(body))), body...)
}

func appendString(p []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(p, uint16(len(s))), s...)
}

// subscribePacket subscribes to one filter with QoS 1 and packet id 1.
func subscribePacket(v stack.Version, filter string) []byte {
	body := []byte{0, 1}
	if v == stack.V5 {
		body = append(body, 0) // no properties
	}
	return packet(0x82, append(appendString(body, filter), 1))
}

// publishPacket publishes with QoS 1 and packet id 2.
func publishPacket(v stack.Version, topic, payload string) []byte {
	return publishing{version: v, id: 2, topic: topic, payload: payload}.bytes()
}

// A publishing is a PUBLISH with QoS 1, or with QoS 0 when it has no packet id.
type publishing struct {
	version stack.Version
	id      uint16
	again   bool // DUP
	topic   string
	payload string
}

// Flags of PUBLISH (MQTT 3.1.1 §3.3.1).
const (
	flagQoS1 = 1 << 1
	flagDup  = 1 << 3
)

// bytes encodes the packet.
func (p publishing) bytes() []byte {
	first, body := byte(typePublish<<4), appendString(nil, p.topic)
	if p.id != 0 {
		first |= flagQoS1
		body = binary.BigEndian.AppendUint16(body, p.id)
	}
	if p.again {
		first |= flagDup
	}
	if p.version == stack.V5 {
		body = append(body, 0) // no properties
	}
	return packet(first, append(body, p.payload...))
}

// parsePublish reads a PUBLISH with QoS 0 or 1 that has no properties; ok is false
// for any other packet.
func parsePublish(v stack.Version, packet []byte) (p publishing, ok bool) {
	if packet[0]>>4 != typePublish || packet[0]&0x04 != 0 {
		return p, false
	}
	_, n := binary.Uvarint(packet[1:])
	body := packet[1+n:]
	topicEnd := 2 + int(binary.BigEndian.Uint16(body))
	p = publishing{version: v, again: packet[0]&flagDup != 0, topic: string(body[2:topicEnd])}
	body = body[topicEnd:]
	if packet[0]&flagQoS1 != 0 {
		p.id, body = binary.BigEndian.Uint16(body), body[2:]
	}
	if v == stack.V5 {
		if body[0] != 0 {
			return p, false
		}
		body = body[1:]
	}
	p.payload = string(body)
	return p, true
}

// pubackPacket acknowledges a PUBLISH.
func pubackPacket(id uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{typePuback << 4, 2}, id)
}

// MQTT control packet types, the high half of a packet's first byte.
const (
	typeConnect    = 1
	typePublish    = 3
	typePuback     = 4
	typeDisconnect = 14
)

// pingPacket is PINGREQ, pongPacket is PINGRESP.
var (
	pingPacket = []byte{0xC0, 0}
	pongPacket = []byte{0xD0, 0}
)

// disconnectPacket is DISCONNECT in every version.
var disconnectPacket = []byte{0xE0, 0}

// accepted is the CONNACK that accepts a new session: the fake's, to the byte.
func accepted(v stack.Version) []byte {
	if v == stack.V5 {
		return []byte{0x20, 3, 0, 0, 0}
	}
	return []byte{0x20, 2, 0, 0}
}

// refused is the CONNACK that refuses: with a return code of 3.1 and 3.1.1, or with
// a reason code of 5.0.
func refused(v stack.Version, v3, v5 byte) []byte {
	if v == stack.V5 {
		return []byte{0x20, 3, 0, v5, 0}
	}
	return []byte{0x20, 2, 0, v3}
}

// codeOf chooses between a return code of 3.1 and 3.1.1 and a reason code of 5.0.
func codeOf(v stack.Version, v3, v5 byte) byte {
	if v == stack.V5 {
		return v5
	}
	return v3
}
