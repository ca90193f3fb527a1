// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets

import (
	"fmt"
	"io"
)

// A PacketType is the type of an MQTT packet, as the high half of its first
// byte has it. Named here are those a broker may send first.
type PacketType byte

const (
	Connack PacketType = 2
	Auth    PacketType = 15
)

// A FirstPacket is what a broker answers to CONNECT: a CONNACK, or in 5.0 an
// AUTH, with which enhanced authentication goes on before the CONNACK.
type FirstPacket struct {
	// Bytes is the packet as the broker sent it.
	Bytes []byte
	Kind  PacketType
	// Code is a ReturnCode before 5.0, a ReasonCode in 5.0; a CONNACK accepts
	// the client with 0 in all versions. A broker that does not know 5.0
	// answers its clients with ReturnUnacceptableProtocolVersion.
	Code byte
	// SessionPresent is the flag of a CONNACK: the broker knows the client.
	SessionPresent bool
}

// ReadFirstPacket reads one packet, no longer than maxSize bytes as a whole,
// from a broker that was sent a CONNECT of version v, and not a byte behind
// it. It allocates like [ReadConnect]. The properties of a 5.0 packet have to
// fill it and are not looked into: they are between broker and client.
//
// The error wraps [ErrUnexpected] when the packet is none that may come here,
// [ErrTooLarge], or the error of r; io.EOF then means that not a single byte
// came.
func ReadFirstPacket(r io.Reader, v Version, maxSize int) (*FirstPacket, error) {
	b, err := readPacket(r, "first packet", func(b []byte) (int, error) {
		return firstPacketEnd(b, v, maxSize)
	})
	if err != nil {
		return nil, err
	}

	start, _, _ := extent(b)
	p := &FirstPacket{Bytes: b, Kind: PacketType(b[0] >> 4)}
	if p.Kind == Auth {
		err = p.parseAuth(b[start:])
	} else {
		err = p.parseConnack(b[start:], v)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// firstPacketEnd returns how far a broker's first packet, of which b has come
// so far, reaches for certain, as readPacket wants it.
func firstPacketEnd(b []byte, v Version, maxSize int) (end int, err error) {
	if len(b) > 0 && b[0] != connackByte && (b[0] != authByte || v != V5) {
		return 0, unexpected("neither CONNACK nor AUTH")
	}
	_, end, ok := extent(b)
	if !ok {
		return 0, unexpected("remaining length takes more than four bytes")
	}
	if end > maxSize {
		return 0, fmt.Errorf("reading first packet: %w: %d bytes, at most %d", ErrTooLarge, end, maxSize)
	}
	return end, nil
}

// parseConnack takes the body of a CONNACK (3.2).
func (p *FirstPacket) parseConnack(body []byte, v Version) error {
	if len(body) < 2 {
		return unexpected("CONNACK is cut short")
	}
	flags, code, properties := body[0], body[1], body[2:]
	p.SessionPresent = flags == 1
	p.Code = code

	// 3.1.1 tells a server to refuse an unknown level, so also 5, in this
	// form (MQTT-3.1.2-2).
	unknownLevel := code == byte(ReturnUnacceptableProtocolVersion) && len(properties) == 0
	switch {
	case flags > 1:
		return unexpected("reserved flags of CONNACK are set")
	case p.SessionPresent && code != 0: // MQTT-3.2.2-4 in 3.1.1, MQTT-3.2.2-6 in 5.0
		return unexpected("CONNACK refuses and has a session")
	case v != V5 && len(properties) > 0:
		return unexpected("CONNACK is too long")
	case v == V5 && !unknownLevel && !fill(properties):
		return unexpected("properties of CONNACK are not as long as they say")
	}
	return nil
}

// parseAuth takes the body of an AUTH (5.0, 3.15), which before CONNACK can
// only ask the client to continue (MQTT-4.12.0-2).
func (p *FirstPacket) parseAuth(body []byte) error {
	if len(body) == 0 || body[0] != byte(ReasonContinueAuthentication) {
		return unexpected("AUTH does not continue authentication")
	}
	p.Code = body[0]
	if !fill(body[1:]) {
		return unexpected("properties of AUTH are not as long as they say")
	}
	return nil
}

// fill reports whether b is a property length and exactly as many bytes.
func fill(b []byte) bool {
	length, n := varint(b)
	return n > 0 && n+length == len(b)
}

func unexpected(detail string) error {
	return fmt.Errorf("reading first packet: %w: %s", ErrUnexpected, detail)
}

// AppendConnack appends to dst the CONNACK that refuses a client of version
// v: with v3 before 5.0, with v5 and no properties in 5.0. The session
// present flag is 0, as every refusal has it (MQTT-3.2.2-4 in 3.1.1,
// MQTT-3.2.2-6 in 5.0).
func AppendConnack(dst []byte, v Version, v3 ReturnCode, v5 ReasonCode) []byte {
	if v == V5 {
		return append(dst, connackByte, 3, 0, byte(v5), 0)
	}
	return append(dst, connackByte, 2, 0, byte(v3))
}
