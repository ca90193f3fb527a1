// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"io"
	"net"
	"sync"
	"syscall"
)

// bufferSize is what one read of a source can return. A TLS record carries at most 16 KiB (RFC 8446 §5.1);
// twice that halves the system calls of a broker that sends in bulk.
const bufferSize = 32 << 10

// buffers are lent to sources while there is something to read, and only then.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// A pollConn is a connection whose Read can be asked not to wait. Under a source, Read answers errWouldBlock
// instead of waiting, which crypto/tls passes on without regarding the connection as broken, since it is a
// net.Error that says Temporary. That lets a session wait for readability holding no buffer.
//
// A connection that is no socket (net.Pipe in tests) cannot be polled; its reads always wait.
type pollConn struct {
	net.Conn
	raw syscall.RawConn // nil = cannot be polled
	fd  int             // while a source polls: the descriptor; else -1
}

func newPollConn(c net.Conn) pollConn {
	p := pollConn{Conn: c, fd: -1}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			p.raw = raw
		}
	}
	return p
}

// Read implements net.Conn.
func (c *pollConn) Read(p []byte) (int, error) {
	if c.fd < 0 {
		return c.Conn.Read(p)
	}
	for {
		switch n, err := syscall.Read(c.fd, p); {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return 0, errWouldBlock{}
		case err != nil:
			return 0, err
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// errWouldBlock is a net.Error that says: nothing to read now.
type errWouldBlock struct{}

func (errWouldBlock) Error() string   { return "read would block" }
func (errWouldBlock) Timeout() bool   { return false }
func (errWouldBlock) Temporary() bool { return true }

// A source reads from a connection, borrowing a buffer only once there are bytes.
type source struct {
	conn *pollConn
	r    io.Reader // conn, or the TLS connection over it

	buf     *[bufferSize]byte
	n       int
	err     error
	attempt func(fd uintptr) bool // try, bound once instead of for every read
}

func newSource(conn *pollConn, r io.Reader) *source {
	s := &source{conn: conn, r: r}
	s.attempt = s.try
	return s
}

// next waits until there are bytes or the end. The bytes are valid until release, which has to be called
// before next is called again. As with io.Reader, the last bytes can come together with the error.
func (s *source) next() ([]byte, error) {
	if s.conn.raw == nil {
		s.try(^uintptr(0))
	} else if err := s.conn.raw.Read(s.attempt); err != nil {
		return nil, err // the deadline has passed, or the connection was closed
	}
	if s.buf == nil {
		return nil, s.err
	}
	return s.buf[:s.n], s.err
}

// try reads once and reports whether next is to return. It runs inside RawConn.Read, which waits for the next
// readiness when the answer is false; a readiness that arrives between the two is not lost, which it would be
// if the reading was done before RawConn.Read.
func (s *source) try(fd uintptr) bool {
	s.buf = buffers.Get().(*[bufferSize]byte)
	s.conn.fd = int(fd)
	s.n, s.err = s.r.Read(s.buf[:])
	s.conn.fd = -1
	if s.n == 0 {
		s.release()
	}
	_, wait := s.err.(errWouldBlock)
	if wait && s.n > 0 {
		s.err, wait = nil, false
	}
	return !wait
}

// release gives the buffer of the last next back.
func (s *source) release() {
	if s.buf != nil {
		buffers.Put(s.buf)
		s.buf = nil
	}
}
