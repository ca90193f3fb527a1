// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets

import (
	"encoding/binary"
	"time"
)

// What the tests compare with other readers of a CONNECT, and nobody else asks for.

func (c *Connect) Level() byte       { return c.raw[c.flags-1] } // as sent: Version, or Version with the bridge bit
func (c *Connect) CleanStart() bool  { return c.cleanStart }
func (c *Connect) HasWill() bool     { return c.raw[c.flags]&willFlag != 0 }
func (c *Connect) HasPassword() bool { return c.username.end < len(c.raw) }

func (c *Connect) KeepAlive() time.Duration {
	return time.Duration(binary.BigEndian.Uint16(c.raw[c.flags+1:])) * time.Second
}

func (c *Connect) Username() (name string, ok bool) {
	field := c.username.of(c.raw)
	if len(field) == 0 {
		return "", false
	}
	return string(field[2:]), true
}
