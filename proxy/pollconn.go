// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"io"
	"net"
	"sync"
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

	mu       sync.Mutex
	turns    int // in which writes are collected; 0 = a write goes out at once
	lent     bool
	out      []byte // is to be written; when lent, memory of a workspace
	draining bool
	drained  sync.Mutex // held by who drains
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

// Write implements net.Conn. In a turn it collects, and so it does behind what is still to be written.
func (c *pollConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.turns > 0 || len(c.out) > 0 {
		c.out = append(c.out, p...)
		c.mu.Unlock()
		return len(p), nil
	}
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// put writes b without waiting, and keeps what the socket does not take.
func (c *pollConn) put(ws *workspace, b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.writeNow(ws, b)
	if n < len(b) {
		c.out = append(c.out, b[n:]...)
	}
	return err
}

// writeNow writes b, unless something else has to be written first. mu must be held.
func (c *pollConn) writeNow(ws *workspace, b []byte) (int, error) {
	if len(c.out) > 0 || c.draining || c.raw == nil || len(b) == 0 {
		return 0, nil
	}
	return ws.writeNow(c.raw, b)
}

// begin makes writes be collected until settle, in memory of ws if there is none yet.
func (c *pollConn) begin(ws *workspace, lend bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turns++
	if lend && c.out == nil {
		c.out, c.lent = ws.records[:0], true
	}
}

// settle ends what begin has begun: it writes what was collected, without waiting, and keeps what the socket does
// not take. stalled tells that there is such a rest.
func (c *pollConn) settle(ws *workspace, lend bool) (stalled bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turns--
	if c.draining {
		return true, nil // what was collected comes behind
	}
	all := c.out
	c.out = nil // lest writeNow takes it for something older
	n, err := c.writeNow(ws, all)
	rest := all[n:]
	switch {
	case c.lent && lend:
		if ws.records = all[:0]; cap(all) > keptSize {
			ws.records = nil
		}
		c.out, c.lent = append([]byte(nil), rest...), false
	case c.lent || len(rest) > 0:
		c.out = append(all[:0], rest...)
	}
	return len(rest) > 0, err
}

// stalled tells that something is still to be written.
func (c *pollConn) stalled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out) > 0 && !c.lent
}

// drain writes what is still to be written, however long that takes: until the write deadline.
func (c *pollConn) drain() error {
	c.drained.Lock()
	defer c.drained.Unlock()
	for {
		c.mu.Lock()
		b := c.out
		if c.lent {
			b = nil // who collects will see to it
		}
		c.draining = len(b) > 0
		c.mu.Unlock()
		if len(b) == 0 {
			return nil
		}
		n, err := c.Conn.Write(b)
		c.mu.Lock()
		c.draining = false
		if c.out = c.out[n:]; len(c.out) == 0 {
			c.out = nil
		}
		c.mu.Unlock()
		if err != nil {
			return err
		}
	}
}
