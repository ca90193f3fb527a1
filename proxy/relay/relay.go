// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package relay carries bytes between a TLS client and a broker, both ways at once.
//
// A [Pipe] is one direction. [Loops] carries the pipes of all sessions: where there is epoll, a pipe that has nothing to
// carry has neither a goroutine nor a buffer. The package looks at MQTT packets only to know where they begin and end.
// It knows no sessions: when a pipe ends, it tells the pipe's [Handler] why, and the handler decides what becomes of the
// other direction.
//
// It does not shake hands, set deadlines or close connections; it asks its handler for a deadline where it needs one.
//
// How a read turns into a write:
//
//	socket ─► Conn.readNow ─► Pipe.readRecords ─► crypto/tls, one record at a time ─► (Framing) ─► Pipe.follow ─► the other Conn
//
// Two builds exist. The usual one on Linux uses epoll and the accesses of unsafe.go. The portable one, which is that of
// all other systems and of the build tag "portable", does without both: a pipe that waits has a goroutine, and crypto/tls
// keeps its buffers.
package relay

import (
	"errors"
	"io"
	"time"
)

// A Handler is told how a pipe has ended.
type Handler interface {
	// PipeEnded is called once for each pipe, on a goroutine that may wait. Everything that the pipe had read
	// before is written, or cannot be.
	PipeEnded(p *Pipe, r Result)

	// Linger is called when the source of p has ended, or is about to, and the destination does not take at once what came
	// from it. It gives the destination a deadline for that and returns it; the zero time if another deadline counts. It is
	// called again once that has passed, if the destination has taken anything meanwhile: so a slow one gets everything, and
	// a dead one holds nothing for ever.
	Linger(p *Pipe) (until time.Time)
	// Wake ends a wait for the destination of p at once, unless another deadline counts; Linger comes next. It may be called
	// concurrently, and late.
	Wake(p *Pipe)
}

// A Framing stands between TLS and MQTT on one side of a session, as WebSocket does. Its methods do not wait, and may be
// called concurrently; Decode is called by one goroutine at a time.
type Framing interface {
	// Decode decodes what is pending, and then received. It puts the bytes of MQTT into dst, and returns how many there
	// are; with an error, those before it. What it does not take it keeps for the next call. dst and received begin at
	// the same byte; received is nil if something is pending.
	Decode(dst, received []byte) (n int, err error)
	// Pending reports whether Decode has more to give without more bytes from that side.
	Pending() bool
	// EndWith comes before a Decode: what that receives is the last, and err is how that side has ended. Decode returns err
	// once nothing is pending, unless it has another error to return.
	EndWith(err error)
	// Write encodes MQTT and writes it to the TLS connection of that side.
	io.Writer
}

// A Result is what a pipe has come to.
type Result struct {
	Cause EndCause
	Err   error // io.EOF for an orderly end of the source; nil only if Cause is None

	dry     bool // the source has nothing to read
	stalled bool // something is to be written that the socket does not take yet
}

// An EndCause is what ended a pipe.
type EndCause uint8

// The causes.
const (
	None              EndCause = iota // nothing has ended it
	SourceEnded                       // nothing more can be read
	DestinationFailed                 // nothing more can be written
	ProtocolViolation                 // the source sent what must not be forwarded: ErrConnectAgain, or packets.ErrMalformed
	AtPacketBoundary                  // as Finish wanted it
)

// ErrConnectAgain is a second CONNECT: a client must not send one [MQTT-3.1.0-2], and a broker could take over the username
// in it, which are not checked.
var ErrConnectAgain = errors.New("a CONNECT inside a session")
