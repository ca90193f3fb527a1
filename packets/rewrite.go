// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// An Edit says what of a CONNECT is to be another than the client sent. The zero
// value changes nothing.
type Edit struct {
	// Username, in place of the client's or where it sent none; nil = as sent.
	Username *string
	// ClientID, in place of the client's; nil = as sent.
	ClientID *string
	// DropPassword takes the password out, together with its flag. A 3.1 client
	// may have set the flag without a password.
	DropPassword bool
}

// Rewrite returns the packet with an edit. What the edit does not name is byte for
// byte as the client sent it, but for the remaining length and the flags of what
// the edit names. The slice is the caller's; c is unchanged.
//
// The error wraps [ErrUsername] when the username is empty, longer than 65535
// bytes or not a string that MQTT can carry, [ErrClientID] when the client id is
// too long, no such string, or empty where the version does not allow that, and
// [ErrTooLarge] when the packet would outgrow MQTT's own limit.
func (c *Connect) Rewrite(e Edit) ([]byte, error) {
	if err := c.check(e); err != nil {
		return nil, fmt.Errorf("rewriting CONNECT: %w", err)
	}
	idField := span{c.clientID.start - 2, c.clientID.end}
	between, after := c.raw[idField.end:c.username.start], c.raw[c.username.end:]
	if e.DropPassword {
		after = nil // it is the last field
	}
	before := c.raw[c.body:idField.start]
	remaining := len(before) + sizeWith(e.ClientID, idField) + len(between) + sizeWith(e.Username, c.username) + len(after)
	if remaining > maxRemainingLength {
		return nil, fmt.Errorf("rewriting CONNECT: %w: remaining length %d, at most %d", ErrTooLarge, remaining, maxRemainingLength)
	}

	b := make([]byte, 0, 1+maxVarintSize+remaining)
	b = append(b, connectByte)
	b = binary.AppendUvarint(b, uint64(remaining))
	flags := len(b) + c.flags - c.body
	b = append(b, before...)
	b[flags] = e.flags(b[flags])
	b = c.appendField(b, e.ClientID, idField)
	b = append(b, between...)
	b = c.appendField(b, e.Username, c.username)
	return append(b, after...), nil
}

// flags returns the connect flags with the edit.
func (e *Edit) flags(sent byte) byte {
	if e.Username != nil {
		sent |= usernameFlag
	}
	if e.DropPassword {
		sent &^= passwordFlag
	}
	return sent
}

// sizeWith returns how many bytes a string takes with its length, if it is
// edited, or the field that was sent.
func sizeWith(edited *string, sent span) int {
	if edited != nil {
		return 2 + len(*edited)
	}
	return sent.end - sent.start
}

// appendField appends a string with its length, if it is edited, or the field
// that was sent.
func (c *Connect) appendField(b []byte, edited *string, sent span) []byte {
	if edited == nil {
		return append(b, sent.of(c.raw)...)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(*edited)))
	return append(b, *edited...)
}

// check refuses an edit that would make no CONNECT of the version. An empty
// username is anonymous to a broker, and so none worth having.
func (c *Connect) check(e Edit) error {
	if e.Username != nil {
		if *e.Username == "" {
			return fmt.Errorf("%w: empty", ErrUsername)
		}
		if problem := stringProblem(*e.Username); problem != "" {
			return fmt.Errorf("%w: %s", ErrUsername, problem)
		}
	}
	if e.ClientID != nil {
		if *e.ClientID == "" && !c.mayOmitClientID() {
			return fmt.Errorf("%w: empty", ErrClientID)
		}
		if problem := stringProblem(*e.ClientID); problem != "" {
			return fmt.Errorf("%w: %s", ErrClientID, problem)
		}
	}
	return nil
}

// stringProblem says why s is not a string that MQTT can carry; "" = it is one.
func stringProblem(s string) string {
	switch {
	case len(s) > maxStringSize:
		return fmt.Sprintf("%d bytes, at most %d", len(s), maxStringSize)
	case !utf8.ValidString(s): // MQTT-1.5.3-1, MQTT-1.5.4-1
		return "not well-formed UTF-8"
	case strings.IndexByte(s, 0) >= 0: // MQTT-1.5.3-2, MQTT-1.5.4-2
		return "holds U+0000"
	}
	return ""
}
