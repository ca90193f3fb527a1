// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"sync"
	"syscall"
)

const (
	// wireSize is what one read of a socket can return. Eight records of 16 KiB (RFC 8446 §5.1) in one read and one
	// write cost a bulk sender an eighth of the system calls.
	wireSize = 128 << 10
	// recordSize is the most that comes out of one TLS record.
	recordSize = 16 << 10
	// keptSize bounds what a scratch keeps for records on their way out: those of wireSize bytes and then some.
	keptSize = 2 * wireSize
)

// A scratch is the memory that a pump takes. Pipes borrow one for as long as there is something to carry, so that a pipe
// that waits holds none. One goroutine uses it at a time.
type scratch struct {
	room    [wireSize + recordSize]byte // what is read, and, decrypted in its place, what is carried
	records []byte                      // to a client, encrypted; what is kept has no length

	// The system call that control makes, and what came of it.
	write bool
	bytes []byte
	n     int
	err   error
	call  func(fd uintptr) // control, bound once instead of for every call
}

// scratches are for pipes with a goroutine of their own; each loop has one of its own.
var scratches = sync.Pool{New: func() any { return newScratch() }}

func newScratch() *scratch {
	s := new(scratch)
	s.call = s.control
	return s
}

// readNow reads what there is, without waiting: errWouldBlock when there is nothing, 0 at the end.
func (s *scratch) readNow(from syscall.RawConn, p []byte) (int, error) {
	return s.do(from, p, false)
}

// writeNow writes what the socket takes without waiting, which is not an error when it is less than p.
func (s *scratch) writeNow(to syscall.RawConn, p []byte) (int, error) {
	n, err := s.do(to, p, true)
	if err == (errWouldBlock{}) {
		err = nil
	}
	return n, err
}

func (s *scratch) do(on syscall.RawConn, p []byte, write bool) (int, error) {
	s.bytes, s.write = p, write
	err := on.Control(s.call)
	s.bytes = nil
	if err != nil {
		return 0, err // the connection was closed
	}
	return s.n, s.err
}

// control runs inside RawConn.Control, while which the descriptor is not closed.
func (s *scratch) control(fd uintptr) {
	if s.write {
		s.n, s.err = sendNow(int(fd), s.bytes)
	} else {
		s.n, s.err = receiveNow(int(fd), s.bytes)
	}
	if s.err != nil {
		s.n = 0
	}
	if s.err == syscall.EAGAIN {
		s.err = errWouldBlock{}
	}
}
