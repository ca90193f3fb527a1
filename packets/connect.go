// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package packets reads the first packet of each side of an MQTT session: the
// client's CONNECT ([ReadConnect]) and what the broker answers
// ([ReadFirstPacket]). A CONNECT is checked against the specification of its
// version (3.1, 3.1.1 or 5.0), keeps the bytes it came in, and can be
// rewritten with another username or client identifier, or without its
// password, and nothing else changed ([Connect.Rewrite]). [AppendConnack] and [AppendDisconnect] write
// the two packets that end a session.
//
// It reads no other packet, never decodes and encodes again what is only
// forwarded, and decides nothing: whether a client may connect is asked
// elsewhere.
//
// The rules enforced are those of the OASIS specifications of MQTT 3.1.1 and
// 5.0. 3.1 clients are held to 3.1.1, with two exceptions: the empty client
// identifier, which 3.1 never allows, and a username or password that is
// missing although its flag is set, which 3.1 always does. Passwords and
// Will payloads are opaque in all versions.
package packets

import (
	"fmt"
	"io"
)

// A Version is a version of MQTT, numbered like its protocol level.
type Version byte

const (
	V31  Version = 3
	V311 Version = 4
	V5   Version = 5
)

func (v Version) String() string {
	switch v {
	case V31:
		return "3.1"
	case V311:
		return "3.1.1"
	case V5:
		return "5.0"
	}
	return "unknown"
}

// A Connect is a CONNECT that keeps to its specification. It holds the bytes
// of the packet, and so the client's password, for as long as it lives; it is
// immutable and safe for concurrent use.
type Connect struct {
	Version Version
	// MaxPacketSize is the size, in bytes, of the largest packet that the
	// client takes; 0 = any (5.0, 3.1.2.11.4). It must not be sent a larger one
	// [MQTT-3.1.2-24].
	MaxPacketSize uint32

	raw        []byte
	cleanStart bool // "clean session" before 5.0
	body       int  // where in raw the variable header begins
	flags      int  // where in raw the connect flags are
	clientID   span // its characters
	username   span // length and characters; empty, at its place, when there is none
}

// ClientID returns the client identifier, which may be empty.
func (c *Connect) ClientID() string { return string(c.clientID.of(c.raw)) }

// Size returns the length of the packet in bytes.
func (c *Connect) Size() int { return len(c.raw) }

// String describes the packet without its contents, so that a Connect that
// ends up in a log does not take a password there.
func (c *Connect) String() string {
	return fmt.Sprintf("CONNECT %s (%d bytes)", c.Version, c.Size())
}

// Connect flags (3.1.1 and 5.0, 3.1.2.3).
const (
	reservedFlag   = 1 << 0
	cleanStartFlag = 1 << 1
	willFlag       = 1 << 2
	willQoSFlags   = 3 << 3
	willRetainFlag = 1 << 5
	passwordFlag   = 1 << 6
	usernameFlag   = 1 << 7
)

// ReadConnect reads one CONNECT from r, no longer than maxSize bytes as a
// whole, and not a byte behind it. It allocates at most about twice what has
// arrived. Nothing is waited for once the bytes that have come are not the
// beginning of a CONNECT.
//
// The error wraps a *[ConnectError] when the client is to blame, otherwise
// the error of r; io.EOF then means that not a single byte came.
func ReadConnect(r io.Reader, maxSize int) (*Connect, error) {
	var p preamble
	raw, err := readPacket(r, "CONNECT", func(b []byte) (int, error) { return p.read(b, maxSize) })
	if err != nil {
		return nil, err
	}
	return parseConnect(raw, p)
}

// parseConnect checks the complete packet raw, which begins with p.
func parseConnect(raw []byte, p preamble) (*Connect, error) {
	d := &decoder{b: raw, at: p.flags, version: p.version}
	c := &Connect{Version: p.version, raw: raw, body: p.body}

	flags := c.header(d)
	c.payload(d, flags)
	if !d.done() {
		d.fail(same("MQTT-3.1.4-1"), "payload", "bytes follow the last field")
	}
	c.requireClientID(d)

	if d.err != nil {
		d.err.MaxPacketSize = d.maxPacketSize
		return nil, d.err
	}
	c.MaxPacketSize = d.maxPacketSize
	return c, nil
}

// header takes the variable header from the connect flags on.
func (c *Connect) header(d *decoder) (flags byte) {
	c.flags = d.at
	flags = d.byte("connect flags", same("MQTT-3.1.4-1"))
	checkFlags(d, flags)
	c.cleanStart = flags&cleanStartFlag != 0
	d.uint16("keep alive", same("MQTT-3.1.4-1"))
	if c.Version == V5 {
		d.connectProperties()
	}
	return flags
}

// checkFlags refuses connect flags that contradict each other. 3.1 has a
// server disregard the reserved flag and the Will's QoS and retain flags when
// there is no Will; brokers close the connection all the same.
func checkFlags(d *decoder, flags byte) {
	if flags&reservedFlag != 0 {
		d.fail(same("MQTT-3.1.2-3"), "connect flags", "reserved flag is set")
	}
	hasWill, qos := flags&willFlag != 0, flags&willQoSFlags
	if !hasWill && qos != 0 {
		d.fail(clause{"MQTT-3.1.2-13", "MQTT-3.1.2-11"}, "connect flags", "will QoS without will")
	}
	if !hasWill && flags&willRetainFlag != 0 {
		d.fail(clause{"MQTT-3.1.2-15", "MQTT-3.1.2-13"}, "connect flags", "will retain without will")
	}
	if qos == willQoSFlags {
		d.fail(clause{"MQTT-3.1.2-14", "MQTT-3.1.2-12"}, "connect flags", "will QoS is 3")
	}
	// 5.0 allows it: a token needs no name (3.1.2.9).
	if d.version != V5 && flags&passwordFlag != 0 && flags&usernameFlag == 0 {
		d.fail(same("MQTT-3.1.2-22"), "connect flags", "password without username")
	}
}

// payload takes the payload, whose fields the flags announce.
func (c *Connect) payload(d *decoder, flags byte) {
	c.clientID = d.string("client identifier", same("MQTT-3.1.3-3"))
	if flags&willFlag != 0 {
		will(d)
	}

	c.username = span{d.at, d.at}
	if flags&usernameFlag != 0 && !c.mayEnd(d) {
		d.string("username", clause{"MQTT-3.1.2-19", "MQTT-3.1.2-17"})
		c.username.end = d.at
	}
	if flags&passwordFlag != 0 && !c.mayEnd(d) {
		d.binary("password", clause{"MQTT-3.1.2-21", "MQTT-3.1.2-19"})
	}
}

// mayEnd reports whether the packet has ended where 3.1 lets it end: for the
// sake of clients older than usernames, its remaining length takes precedence
// over the username and password flags (3.1, section 3.1).
func (c *Connect) mayEnd(d *decoder) bool {
	return c.Version == V31 && d.done()
}

// will takes the fields of the Will message.
func will(d *decoder) {
	present := same("MQTT-3.1.2-9")
	if d.version == V5 {
		d.willProperties()
	}
	d.topic("will topic", present, same("MQTT-3.3.2-2"))
	d.binary("will payload", present)
}

// requireClientID refuses an empty client identifier where the version does
// not let the broker choose one. It comes last, because only a well-formed
// CONNECT is answered (MQTT-3.1.4-1).
func (c *Connect) requireClientID(d *decoder) {
	if c.clientID.start == c.clientID.end && !c.mayOmitClientID() {
		d.failAs(ErrClientID, same("MQTT-3.1.3-8"), "client identifier", "empty")
	}
}

// mayOmitClientID reports whether the client identifier may be empty.
func (c *Connect) mayOmitClientID() bool {
	return c.Version == V5 || c.Version == V311 && c.cleanStart
}
