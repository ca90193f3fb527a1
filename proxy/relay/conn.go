// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"io"
	"net"
	"sync/atomic"
	"syscall"
)

// A Conn is a connection that pipes read from and write to without waiting. For everybody else it is an ordinary net.Conn,
// whose reads and writes wait; and so it is for pipes when it is no socket (net.Pipe in tests).
//
// One goroutine at a time may read. Any may write. Open has to come first; Close is the embedded connection's.
type Conn struct {
	net.Conn
	raw syscall.RawConn // nil = is no socket

	// The reading half.
	scratch *scratch // while a pipe reads: reads do not wait. nil = they do
	fed     bool     // while crypto/tls decrypts one record: there is nothing to read for it but that
	dry     bool     // nothing more to read before the next readiness

	// ending is set by a loop once the end of what can be read is coming. From then on a read has to see the end itself,
	// as no readiness announces it again. Without a loop that is so from the beginning.
	ending atomic.Bool

	writeBuffer // the writing half
}

// Open makes c a connection over conn, which stays its caller's to close.
func (c *Conn) Open(conn net.Conn) {
	c.Conn = conn
	c.ending.Store(true)
	if sc, ok := conn.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			c.raw = raw
		}
	}
}

// NetConn returns the connection under c, to which nothing has to be written any more that would have to come behind what
// c still holds.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	switch {
	case c.fed:
		return 0, errWouldBlock{}
	case c.scratch == nil:
		return c.Conn.Read(p)
	}
	return c.readNow(c.scratch, p)
}

// readNow reads without waiting; a connection that is no socket waits. Most reads return less than they could, and then
// there is nothing more: asking for it would be a system call for each message.
func (c *Conn) readNow(s *scratch, p []byte) (int, error) {
	if c.raw == nil {
		return c.Conn.Read(p)
	}
	if c.dry {
		return 0, errWouldBlock{}
	}
	n, err := s.readNow(c.raw, p)
	switch {
	case err == errWouldBlock{}:
		c.dry = true
	case err == nil && n == 0 && len(p) > 0:
		err = io.EOF
	case err == nil && n < len(p) && !c.ending.Load():
		c.dry = true
	}
	return n, err
}

// errWouldBlock is a net.Error that says: nothing to read now. crypto/tls passes it on without regarding the connection as
// broken, since it says Temporary.
type errWouldBlock struct{}

func (errWouldBlock) Error() string   { return "read would block" }
func (errWouldBlock) Timeout() bool   { return false }
func (errWouldBlock) Temporary() bool { return true }

var _ net.Error = errWouldBlock{}
