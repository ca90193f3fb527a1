// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// Limits of the format itself, the same in every version.
const (
	minPacketSize      = 2           // control byte and remaining length
	maxVarintSize      = 4           // bytes of a variable byte integer
	maxRemainingLength = 268_435_455 // what four bytes can say
	maxStringSize      = 65_535      // what a two-byte length can say
)

// varint decodes the variable byte integer that b begins with. size is the
// number of bytes it takes: 0 while b ends inside it, -1 when it would take
// more than four.
func varint(b []byte) (value, size int) {
	v, n := binary.Uvarint(b[:min(len(b), maxVarintSize)])
	if n == 0 && len(b) >= maxVarintSize {
		return 0, -1
	}
	return int(v), n
}

// extent decodes the fixed header of the packet that b begins with: its body
// begins at start, and it ends at end. While bytes of the header are missing,
// start is 0 and end is how far the header reaches for certain. ok is false
// when the remaining length takes more than four bytes.
func extent(b []byte) (start, end int, ok bool) {
	if len(b) < minPacketSize {
		return 0, minPacketSize, true
	}
	remaining, n := varint(b[1:])
	switch {
	case n < 0:
		return 0, 0, false
	case n == 0:
		return 0, len(b) + 1, true
	}
	return 1 + n, 1 + n + remaining, true
}

// minimal reports whether the encoded integer b is as short as it can be.
func minimal(b []byte) bool {
	return len(b) == 1 || b[len(b)-1] != 0
}

// A span is a part of a packet: the bytes from start up to end.
type span struct{ start, end int }

func (s span) of(b []byte) []byte { return b[s.start:s.end] }

// A decoder walks once over the bytes of a CONNECT. Its first failure
// sticks: every later call returns a zero value, reads nothing and leaves
// the failure as it is, so that callers look at err only at the end.
type decoder struct {
	b       []byte
	at      int
	version Version
	err     *ConnectError

	maxPacketSize uint32 // as in Connect
}

// fail refuses the packet as malformed.
func (d *decoder) fail(c clause, field, problem string) {
	d.failAs(ErrMalformed, c, field, problem)
}

func (d *decoder) failAs(kind error, c clause, field, problem string) {
	if d.err == nil {
		d.err = refusal(kind, d.version, c, field+": "+problem)
	}
}

// done reports whether nothing is left to read.
func (d *decoder) done() bool { return d.at == len(d.b) }

// next takes n bytes. rule is what demands that they are there.
func (d *decoder) next(n int, field string, rule clause) span {
	if d.err == nil && n > len(d.b)-d.at {
		d.fail(rule, field, "missing or cut short")
	}
	if d.err != nil {
		return span{}
	}
	d.at += n
	return span{d.at - n, d.at}
}

func (d *decoder) byte(field string, rule clause) byte {
	if s := d.next(1, field, rule); d.err == nil {
		return d.b[s.start]
	}
	return 0
}

func (d *decoder) uint16(field string, rule clause) uint16 {
	if s := d.next(2, field, rule); d.err == nil {
		return binary.BigEndian.Uint16(s.of(d.b))
	}
	return 0
}

func (d *decoder) uint32(field string, rule clause) uint32 {
	if s := d.next(4, field, rule); d.err == nil {
		return binary.BigEndian.Uint32(s.of(d.b))
	}
	return 0
}

// varint takes the variable byte integer that is the length of a field, in
// the shortest form.
func (d *decoder) varint(field string, rule clause) int {
	if d.err != nil {
		return 0
	}
	value, size := varint(d.b[d.at:])
	switch {
	case size == 0:
		d.fail(rule, field, "missing or cut short")
	case size < 0:
		d.fail(same("1.5.5"), field, "length takes more than four bytes")
	case !minimal(d.b[d.at : d.at+size]):
		d.fail(same("MQTT-1.5.5-1"), field, "length is longer than needed")
	default:
		d.at += size
		return value
	}
	return 0
}

// binary takes a two-byte length and as many bytes; the span is the bytes.
func (d *decoder) binary(field string, rule clause) span {
	return d.next(int(d.uint16(field, rule)), field, rule)
}

// string takes a UTF-8 encoded string; the span is its bytes.
func (d *decoder) string(field string, rule clause) span {
	s := d.binary(field, rule)
	text := s.of(d.b)
	if !utf8.Valid(text) { // surrogates and overlong forms are not
		d.fail(clause{"MQTT-1.5.3-1", "MQTT-1.5.4-1"}, field, "not well-formed UTF-8")
	}
	if bytes.IndexByte(text, 0) >= 0 {
		d.fail(clause{"MQTT-1.5.3-2", "MQTT-1.5.4-2"}, field, "holds U+0000")
	}
	return s
}

// topic takes a topic name: a string that can be published to.
func (d *decoder) topic(field string, rule, wildcards clause) {
	name := d.string(field, rule).of(d.b)
	if len(name) == 0 {
		d.fail(same("MQTT-4.7.3-1"), field, "empty")
	}
	if bytes.ContainsAny(name, "+#") {
		d.fail(wildcards, field, "holds a wildcard")
	}
}
