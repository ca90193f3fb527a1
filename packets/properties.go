// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets

// A property is what 5.0 says of one property of a CONNECT or of its Will.
type property struct {
	name    string
	kind    kind
	section string // where it is specified
}

// A kind is how a property's value is encoded, and its range.
type kind byte

const (
	flagByte         kind = iota // a byte, 0 or 1
	twoByte                      // integer
	twoBytePositive              // integer, not 0
	fourByte                     // integer
	fourBytePositive             // integer, not 0
	utf8String
	utf8Topic // string without wildcards
	utf8Pair  // two strings
	binaryData
)

// Identifiers of properties that are mentioned outside their table.
const (
	maximumPacketSize    = 0x27
	authenticationMethod = 0x15
	authenticationData   = 0x16
	userProperty         = 0x26
)

// connectProperty describes the properties of CONNECT (5.0, 3.1.2.11). All
// identifiers are below 0x80, so that the variable byte integer they are
// said to be is one byte.
func connectProperty(id byte) (p property, ok bool) {
	switch id {
	case 0x11:
		return property{"session expiry interval", fourByte, "3.1.2.11.2"}, true
	case 0x21:
		return property{"receive maximum", twoBytePositive, "3.1.2.11.3"}, true
	case maximumPacketSize:
		return property{"maximum packet size", fourBytePositive, "3.1.2.11.4"}, true
	case 0x22:
		return property{"topic alias maximum", twoByte, "3.1.2.11.5"}, true
	case 0x19:
		return property{"request response information", flagByte, "3.1.2.11.6"}, true
	case 0x17:
		return property{"request problem information", flagByte, "3.1.2.11.7"}, true
	case userProperty:
		return property{"user property", utf8Pair, "3.1.2.11.8"}, true
	case authenticationMethod:
		return property{"authentication method", utf8String, "3.1.2.11.9"}, true
	case authenticationData:
		return property{"authentication data", binaryData, "3.1.2.11.10"}, true
	}
	return property{}, false
}

// willProperty describes the properties of the Will (5.0, 3.1.3.2).
func willProperty(id byte) (p property, ok bool) {
	switch id {
	case 0x18:
		return property{"will delay interval", fourByte, "3.1.3.2.2"}, true
	case 0x01:
		return property{"will payload format indicator", flagByte, "3.1.3.2.3"}, true
	case 0x02:
		return property{"will message expiry interval", fourByte, "3.1.3.2.4"}, true
	case 0x03:
		return property{"will content type", utf8String, "3.1.3.2.5"}, true
	case 0x08:
		return property{"will response topic", utf8Topic, "3.1.3.2.6"}, true
	case 0x09:
		return property{"will correlation data", binaryData, "3.1.3.2.7"}, true
	case userProperty:
		return property{"will user property", utf8Pair, "3.1.3.2.8"}, true
	}
	return property{}, false
}

// connectProperties takes the properties of CONNECT.
func (d *decoder) connectProperties() {
	seen := d.properties("properties", connectProperty)
	if seen.has(authenticationData) && !seen.has(authenticationMethod) {
		d.fail(same("3.1.2.11.10"), "authentication data", "without a method")
	}
}

// willProperties takes the properties of the Will.
func (d *decoder) willProperties() {
	d.properties("will properties", willProperty)
}

// An idSet is a set of property identifiers, which are all below 64.
type idSet uint64

func (s idSet) has(id byte) bool { return s&(1<<id) != 0 }
func (s *idSet) add(id byte)     { *s |= 1 << id }

// properties takes a property length and as many bytes of properties, each
// of which describe knows, and returns which were there.
func (d *decoder) properties(field string, describe func(id byte) (property, bool)) (seen idSet) {
	length := d.varint(field, same("2.2.2.1"))
	section := d.next(length, field, same("2.2.2.1"))
	if d.err != nil {
		return 0
	}

	whole := d.b
	d.b, d.at = whole[:section.end], section.start // cuts short what reaches past the length
	for d.err == nil && !d.done() {
		id := d.byte(field, same("2.2.2.2"))
		p, ok := describe(id)
		switch {
		case !ok:
			d.fail(same("2.2.2.2"), field, "unknown identifier")
		case seen.has(id) && id != userProperty:
			d.fail(same(p.section), p.name, "there twice")
		default:
			seen.add(id)
			number := d.value(p)
			if id == maximumPacketSize {
				d.maxPacketSize = number
			}
		}
	}
	d.b = whole
	return seen
}

// value takes the value of one property, and returns it if it is a number of four bytes.
func (d *decoder) value(p property) (number uint32) {
	rule := same(p.section)
	switch p.kind {
	case flagByte:
		if d.byte(p.name, rule) > 1 {
			d.fail(rule, p.name, "neither 0 nor 1")
		}
	case twoByte:
		d.uint16(p.name, rule)
	case twoBytePositive:
		if d.uint16(p.name, rule) == 0 {
			d.fail(rule, p.name, "0")
		}
	case fourByte:
		number = d.uint32(p.name, rule)
	case fourBytePositive:
		if number = d.uint32(p.name, rule); number == 0 {
			d.fail(rule, p.name, "0")
		}
	case utf8String:
		d.string(p.name, rule)
	case utf8Topic:
		d.topic(p.name, rule, same("MQTT-3.3.2-14"))
	case binaryData:
		d.binary(p.name, rule)
	case utf8Pair:
		d.string(p.name, rule)
		d.string(p.name, rule)
	}
	return number
}
