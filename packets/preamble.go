// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets

import "fmt"

// The first byte of the packets read here: type and reserved flags.
const (
	connectByte = 0x10
	connackByte = 0x20
	authByte    = 0xF0
)

// What the body of a CONNECT begins with: the protocol name behind its
// length.
const (
	nameMQTT   = "\x00\x04MQTT"
	nameMQIsdp = "\x00\x06MQIsdp" // 3.1
)

// bridgeBit marks the protocol level of a bridge, a convention of Mosquitto's:
// the broker then does not send its messages back to it. It is used with 3.1
// and 3.1.1; 5.0 has a subscription option instead.
const bridgeBit = 0x80

// A preamble is the beginning of a CONNECT up to its protocol level: as much
// as must be known before the client can be refused in its own version.
type preamble struct {
	body    int // where the variable header begins
	flags   int // where the preamble ends and the connect flags follow
	level   byte
	version Version
}

// read decodes the preamble from b, the bytes that have come so far, and
// returns how far the packet reaches for certain, as readPacket wants it.
func (p *preamble) read(b []byte, maxSize int) (int, error) {
	if len(b) > 0 && b[0] != connectByte {
		return 0, notConnect(b[0])
	}
	start, end, ok := extent(b)
	if !ok {
		return 0, refusal(ErrMalformed, 0, same("1.5.5"), "remaining length: takes more than four bytes")
	}
	if start == 0 {
		return end, nil
	}

	name, ok := protocolName(b[start:])
	if !ok {
		return 0, refusal(ErrNotMQTT, 0, same("MQTT-3.1.2-1"), "protocol name: neither MQTT nor MQIsdp")
	}
	p.body, p.flags = start, start+len(name)+1
	if name == "" || len(b) < p.flags {
		if len(b) == end {
			return 0, refusal(ErrMalformed, 0, same("MQTT-3.1.4-1"), "protocol name or level: missing or cut short")
		}
		return end, nil
	}

	p.level = b[p.flags-1]
	if p.version, ok = versionOf(name, p.level); !ok {
		return 0, refusal(ErrVersion, p.version, same("MQTT-3.1.2-2"), fmt.Sprintf("protocol level: %d", p.level))
	}
	if p.version == V5 && !minimal(b[1:start]) {
		return 0, refusal(ErrMalformed, V5, same("MQTT-1.5.5-1"), "remaining length: longer than needed")
	}
	if end > maxSize {
		return 0, refusal(ErrTooLarge, p.version, clause{}, fmt.Sprintf("%d bytes, at most %d", end, maxSize))
	}
	return end, nil
}

// notConnect refuses a first byte that is not CONNECT's.
func notConnect(first byte) error {
	if first>>4 != connectByte>>4 {
		return refusal(ErrNotMQTT, 0, same("MQTT-3.1.0-1"), "fixed header: packet type is not CONNECT")
	}
	return refusal(ErrMalformed, 0, clause{"MQTT-2.2.2-2", "MQTT-2.1.3-1"}, "fixed header: flags are set")
}

// protocolName returns which of the two names body begins with: "" while
// it is too short to tell, not ok when it is neither.
func protocolName(body []byte) (name string, ok bool) {
	for _, name := range [...]string{nameMQTT, nameMQIsdp} {
		n := min(len(body), len(name))
		if string(body[:n]) != name[:n] {
			continue
		}
		if n < len(name) {
			return "", true
		}
		return name, true
	}
	return "", false
}

// versionOf returns the version that a name and a level stand for. When there
// is none, it is the version whose refusal the client most likely reads: that
// of 5.0 from level 5 on, otherwise that of 3.1.1.
func versionOf(name string, level byte) (v Version, ok bool) {
	base := level &^ bridgeBit
	switch {
	case name == nameMQIsdp && base == byte(V31):
		return V31, true
	case name == nameMQTT && base == byte(V311):
		return V311, true
	case name == nameMQTT && level == byte(V5):
		return V5, true
	case base >= byte(V5):
		return V5, false
	}
	return V311, false
}
