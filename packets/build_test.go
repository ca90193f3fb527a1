// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets_test

import "encoding/binary"

// A connect is a CONNECT to be encoded field by field, valid or not. Fields
// that the flags or the level do not announce are left out.
type connect struct {
	name           string
	level, flags   byte
	keepAlive      uint16
	properties     string // encoded
	clientID       string
	willProperties string // encoded
	willTopic      string
	willPayload    string
	username       string
	password       string
	trailing       string // behind the last field
}

// full311 returns a 3.1.1 CONNECT with every field; QoS 1, retained Will.
func full311() connect {
	return connect{
		name: "MQTT", level: 4, flags: 0b1110_1110, keepAlive: 60, clientID: "dev1",
		willTopic: "tenant/dev1/lwt", willPayload: "gone", username: "impostor", password: "secret",
	}
}

// full31 returns the same CONNECT in 3.1.
func full31() connect {
	c := full311()
	c.name, c.level = "MQIsdp", 3
	return c
}

// full5 returns the same CONNECT in 5.0, with properties.
func full5() connect {
	c := full311()
	c.level = 5
	c.properties = "\x11\x00\x00\x0e\x10" + "\x15\x00\x01m" + "\x16\x00\x01\xff"
	c.willProperties = "\x18\x00\x00\x00\x1e" + "\x08\x00\x02re"
	return c
}

func (c connect) bytes() []byte { return packet(0x10, c.body()) }

// body encodes what follows the fixed header.
func (c connect) body() []byte {
	b := field(nil, c.name)
	b = append(b, c.level, c.flags)
	b = binary.BigEndian.AppendUint16(b, c.keepAlive)
	if c.level == 5 {
		b = sized(b, c.properties)
	}
	b = field(b, c.clientID)
	if c.flags&0x04 != 0 {
		if c.level == 5 {
			b = sized(b, c.willProperties)
		}
		b = field(field(b, c.willTopic), c.willPayload)
	}
	if c.flags&0x80 != 0 {
		b = field(b, c.username)
	}
	if c.flags&0x40 != 0 {
		b = field(b, c.password)
	}
	return append(b, c.trailing...)
}

// packet puts a fixed header before body.
func packet(first byte, body []byte) []byte {
	return append(binary.AppendUvarint([]byte{first}, uint64(len(body))), body...)
}

// field appends s behind a two-byte length.
func field(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// sized appends s behind a variable byte integer.
func sized(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
