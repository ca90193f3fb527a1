// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"io"
	"net"
	"sync/atomic"
	"syscall"
)

// A pollConn is a connection that can be carried from and to without waiting, in turns. Outside of turns it is an
// ordinary net.Conn, and so it is altogether when it is no socket (net.Pipe in tests).
//
// Who carries from it uses the reading half, and who carries to it the writing half; the latter is also used by
// crypto/tls when it answers what it has read.
type pollConn struct {
	net.Conn
	raw syscall.RawConn // nil = is no socket

	// The reading half.
	intake *workspace // in a turn: reads do not wait. nil = they do
	dry    bool       // nothing more to read before the next readiness

	// ending is set by a poller, once the end of what can be read is coming. From then on a read has to see the end
	// itself, as no readiness announces it again. Without a poller that is so from the beginning.
	ending atomic.Bool

	outlet // the writing half
}

func (c *pollConn) open(conn net.Conn) {
	c.Conn = conn
	c.ending.Store(true)
	if sc, ok := conn.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			c.raw = raw
		}
	}
}

// Read implements net.Conn.
func (c *pollConn) Read(p []byte) (int, error) {
	if c.intake == nil || c.raw == nil {
		return c.Conn.Read(p)
	}
	return c.readNow(c.intake, p)
}

// readNow reads without waiting; a connection that is no socket waits. Most reads return less than they could, and
// then there is nothing more: asking for it would be a system call for each message.
func (c *pollConn) readNow(ws *workspace, p []byte) (int, error) {
	if c.raw == nil {
		return c.Conn.Read(p)
	}
	if c.dry {
		return 0, errWouldBlock{}
	}
	n, err := ws.readNow(c.raw, p)
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
