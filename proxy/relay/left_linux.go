// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package relay

import "golang.org/x/sys/unix"

// HasLeft reports whether the peer has ended its side of the connection, also behind bytes that nobody has read yet. It reads
// nothing. On other systems than Linux it is false.
func (c *Conn) HasLeft() (left bool) {
	if c.raw == nil {
		return false
	}
	_ = c.raw.Control(func(fd uintptr) {
		about := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(about, 0)
		left = err == nil && n > 0
	})
	return left
}
