// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net"
	"sync"
	"syscall"
)

const (
	// wireSize is what one read of a socket can return. Eight records of 16 KiB (RFC 8446 §5.1) in one read and one
	// write cost a bulk sender an eighth of the system calls.
	wireSize = 128 << 10
	// recordSize is the most that comes out of one TLS record.
	recordSize = 16 << 10
	// keptSize bounds what a workspace keeps for records on their way out: those of wireSize bytes and then some.
	keptSize = 2 * wireSize
)

// A workspace is the memory that a turn of carrying takes. Sessions borrow one for as long as there is something to
// carry, so that a session that waits holds none. One goroutine uses it at a time.
type workspace struct {
	room    [wireSize + recordSize]byte // what is read, and, decrypted in its place, what is carried
	records []byte                      // to a client, encrypted; what is kept has no length

	// The system call that control makes, and what came of it.
	write bool
	bytes []byte
	n     int
	err   error
	call  func(fd uintptr) // control, bound once instead of for every call
}

// workspaces are for those who carry on a goroutine of their own; the pollers' loops have theirs.
var workspaces = sync.Pool{New: func() any { return newWorkspace() }}

func newWorkspace() *workspace {
	w := new(workspace)
	w.call = w.control
	return w
}

// readNow reads what there is, without waiting: errWouldBlock when there is nothing, io.EOF at the end.
func (w *workspace) readNow(from syscall.RawConn, p []byte) (int, error) {
	return w.do(from, p, false)
}

// writeNow writes what the socket takes without waiting, which is not an error when it is less than p.
func (w *workspace) writeNow(to syscall.RawConn, p []byte) (int, error) {
	n, err := w.do(to, p, true)
	if err == (errWouldBlock{}) {
		err = nil
	}
	return n, err
}

func (w *workspace) do(on syscall.RawConn, p []byte, write bool) (int, error) {
	w.bytes, w.write = p, write
	err := on.Control(w.call)
	w.bytes = nil
	if err != nil {
		return 0, err // the connection was closed
	}
	return w.n, w.err
}

// control runs inside RawConn.Control, while which the descriptor is not closed.
func (w *workspace) control(fd uintptr) {
	if w.write {
		w.n, w.err = sendNow(int(fd), w.bytes)
	} else {
		w.n, w.err = receiveNow(int(fd), w.bytes)
	}
	if w.err != nil {
		w.n = 0
	}
	if w.err == syscall.EAGAIN {
		w.err = errWouldBlock{}
	}
}

// errWouldBlock is a net.Error that says: nothing to read now. crypto/tls passes it on without regarding the
// connection as broken, since it says Temporary.
type errWouldBlock struct{}

func (errWouldBlock) Error() string   { return "read would block" }
func (errWouldBlock) Timeout() bool   { return false }
func (errWouldBlock) Temporary() bool { return true }

var _ net.Error = errWouldBlock{}
