// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// WithUsername returns the packet with owner as its username, in place of the
// client's or where the client sent none. Only the username, its flag and the
// remaining length differ from what the client sent. The slice is the
// caller's; c is unchanged.
//
// The error wraps [ErrUsername] when owner is empty, longer than 65535 bytes
// or not a string that MQTT can carry, and [ErrTooLarge] when the packet
// would outgrow MQTT's own limit.
func (c *Connect) WithUsername(owner string) ([]byte, error) {
	return c.splice(owner, c.raw[c.username.end:], 0)
}

// WithUsernameAlone is like [Connect.WithUsername], and takes the client's
// password out of the packet together with its flag. The password is the last
// field; where the client sent none, the two return the same, but for the flag
// that a 3.1 client may have set nevertheless.
func (c *Connect) WithUsernameAlone(owner string) ([]byte, error) {
	return c.splice(owner, nil, passwordFlag)
}

// splice puts owner between what precedes the username and after, and clears
// connect flags.
func (c *Connect) splice(owner string, after []byte, cleared byte) ([]byte, error) {
	if err := checkUsername(owner); err != nil {
		return nil, fmt.Errorf("setting username: %w", err)
	}

	before := c.raw[c.body:c.username.start]
	remaining := len(before) + 2 + len(owner) + len(after)
	if remaining > maxRemainingLength {
		return nil, fmt.Errorf("setting username: %w: remaining length %d, at most %d", ErrTooLarge, remaining, maxRemainingLength)
	}

	b := make([]byte, 0, 1+maxVarintSize+remaining)
	b = append(b, connectByte)
	b = binary.AppendUvarint(b, uint64(remaining))
	flags := len(b) + c.flags - c.body
	b = append(b, before...)
	b[flags] = b[flags]&^cleared | usernameFlag
	b = binary.BigEndian.AppendUint16(b, uint16(len(owner)))
	b = append(b, owner...)
	return append(b, after...), nil
}

// checkUsername refuses what is no username, or none worth having: an empty
// one is anonymous to a broker.
func checkUsername(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%w: empty", ErrUsername)
	case len(s) > maxStringSize:
		return fmt.Errorf("%w: %d bytes, at most %d", ErrUsername, len(s), maxStringSize)
	case !utf8.ValidString(s): // MQTT-1.5.3-1, MQTT-1.5.4-1
		return fmt.Errorf("%w: not well-formed UTF-8", ErrUsername)
	case strings.IndexByte(s, 0) >= 0: // MQTT-1.5.3-2, MQTT-1.5.4-2
		return fmt.Errorf("%w: holds U+0000", ErrUsername)
	}
	return nil
}
