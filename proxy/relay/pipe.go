// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"crypto/tls"
	"errors"
	"io"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/vernegate/vernegate/packets"
)

// A Pipe is one direction of a session. Writing is what paces reading: while the destination does not take bytes, none are
// read from the source, so that back-pressure reaches the sender.
//
// Connect comes first, then Follow for what has passed already, then Loops.Start.
type Pipe struct {
	handler Handler
	src     *Conn
	dst     *Conn
	srcTLS  *tls.Conn      // over src; nil = what src says is what is carried
	dstTLS  *tls.Conn      // over dst; nil = likewise
	frames  packets.Framer // follows what was written to dst

	srcFraming Framing // over srcTLS; nil = none
	dstFraming Framing // over dstTLS; nil = none

	state        pipeState
	registration registration
	record       int32 // how many bytes a record to dst holds at most
	closing      bool  // only what completes a packet is carried
	sourceEnded  bool  // src has ended in an orderly way

	// What has been written to dst, for anyone to read; only the goroutine that pumps adds to it.
	bytes   atomic.Int64
	packets atomic.Uint64 // that have begun
}

// An End is one side of a session: the client's, or the broker's.
type End struct {
	Conn *Conn
	TLS  *tls.Conn // over Conn; nil = Conn carries what the side says as it is
	// Record is how many bytes a TLS record to this side holds at most, from 1 to 16 KiB; without TLS it is not used.
	Record int
	// Framing stands between TLS and MQTT; nil = nothing does. Its errors end a pipe as those of TLS do.
	Framing Framing
}

// Connect makes p carry from one side to the other.
func (p *Pipe) Connect(src, dst End, handler Handler) {
	p.src, p.srcTLS = src.Conn, src.TLS
	p.dst, p.dstTLS, p.record = dst.Conn, dst.TLS, int32(dst.Record)
	p.srcFraming, p.dstFraming = src.Framing, dst.Framing
	p.handler = handler
}

// Carried returns how many bytes and packets have gone through so far. It may be called concurrently.
func (p *Pipe) Carried() (bytes int64, packets uint64) { return p.bytes.Load(), p.packets.Load() }

// DestinationTLS is what Connect was given as the TLS of the destination.
func (p *Pipe) DestinationTLS() *tls.Conn { return p.dstTLS }

// SourceEnded reports whether the source has ended in an orderly way. It is for the handler, once p has ended.
func (p *Pipe) SourceEnded() bool { return p.sourceEnded }

// Follow takes note of b, which the caller writes to the destination before p is started. The error is that of a packet
// that must not be forwarded.
func (p *Pipe) Follow(b []byte) error {
	if _, err := p.follow(b); err != nil {
		return err
	}
	p.count(len(b))
	return nil
}

// Disconnected reports whether the last packet that p has carried is a DISCONNECT. It is for the handler, once p has ended.
func (p *Pipe) Disconnected() bool { return packets.IsDisconnect(p.frames.FirstByte()) }

// Finish carries the rest of a packet that has begun, and waits for that until the deadlines of source and destination. The
// cause is AtPacketBoundary once the destination has taken it all. It is for the handler, once p has ended because its
// source was told to stop.
func (p *Pipe) Finish() Result {
	if p.frames.AtPacketBoundary() {
		return Result{Cause: AtPacketBoundary}
	}
	p.closing = true
	r := p.carry()
	if r.Cause == AtPacketBoundary {
		if err := p.dst.Flush(); err != nil {
			r = Result{Cause: DestinationFailed, Err: err}
		}
	}
	return r
}

// pump carries what there is to read, up to the size of a scratch, without waiting for anything: unless src is no socket.
// It takes bounded time, whatever the client sends. What was read before src ended has been written, or stays for Flush.
func (p *Pipe) pump(s *scratch) (r Result) {
	p.cork(s)
	n, readErr := p.read(s)
	r.Cause, r.Err = p.pass(s, s.room[:n])
	if err := p.uncork(s); err != nil && r.Cause == None {
		r.Cause, r.Err = DestinationFailed, err
	}
	r.stalled = p.dst.Pending() || p.src.overfull()
	switch {
	case r.Cause != None:
	case readErr == errWouldBlock{}:
		r.dry = true
	case readErr != nil:
		r.Cause, r.Err = SourceEnded, readErr
	default:
		r.dry = p.src.dry
	}
	return r
}

// cork has what crypto/tls writes collected: records to the client, and what it answers to some that it reads.
func (p *Pipe) cork(s *scratch) {
	p.src.dry = false
	if p.srcTLS != nil {
		p.src.cork(s, false)
	}
	if p.dstTLS != nil {
		p.dst.cork(s, true)
	}
}

// uncork writes what was collected. The error is that of dst; the pipe that writes to src will see the one of src.
func (p *Pipe) uncork(s *scratch) (err error) {
	if p.dstTLS != nil {
		err = p.dst.uncork(s, true)
	}
	if p.srcTLS != nil {
		_ = p.src.uncork(s, false)
	}
	return err
}

// read reads into s.room, from its beginning. What is behind a framing is decoded in portions, also once src has ended: others
// are to have their turn in between.
func (p *Pipe) read(s *scratch) (int, error) {
	if p.srcFraming == nil {
		return p.receive(s)
	}
	var received int
	var readErr error
	if !p.srcFraming.Pending() {
		received, readErr = p.receive(s)
		if readErr != nil && readErr != (errWouldBlock{}) {
			p.srcFraming.EndWith(readErr)
		}
	}
	n, err := p.srcFraming.Decode(s.room[:], s.room[:received])
	switch {
	case err != nil:
	case p.srcFraming.Pending():
		p.src.dry = false
	default:
		err = readErr // would block
	}
	return n, err
}

// receive is read without a framing.
func (p *Pipe) receive(s *scratch) (int, error) {
	if p.srcTLS == nil {
		return p.src.readNow(s, s.room[:wireSize])
	}
	p.src.scratch = s
	defer func() { p.src.scratch = nil }()
	switch {
	case !feedsRecords || p.src.raw == nil:
		return p.pull(s)
	case decrypted(p.srcTLS) > 0 || rawInput(p.srcTLS).Len() > wireSize: // of what came with the CONNECT
		defer shrinkBuffers(p.srcTLS)
		return p.pull(s)
	}
	return p.readRecords(s)
}

// pass delivers what may be forwarded of b, and returns what ends the pipe there, if anything does.
func (p *Pipe) pass(s *scratch, b []byte) (EndCause, error) {
	if len(b) == 0 {
		return None, nil
	}
	whole, followErr := p.follow(b)
	if err := p.deliver(s, b[:whole]); err != nil {
		return DestinationFailed, err
	}
	switch {
	case followErr == nil:
		return None, nil
	case followErr == errAtBoundary:
		return AtPacketBoundary, nil
	}
	return ProtocolViolation, followErr
}

// errAtBoundary is that the packet which closing waits for is complete.
var errAtBoundary = errors.New("the packet is complete")

// follow goes over the packets in b, up to what must not be forwarded.
func (p *Pipe) follow(b []byte) (n int, err error) {
	if p.closing {
		if n, err = p.frames.Skip(b); err == nil && p.frames.AtPacketBoundary() {
			err = errAtBoundary
		}
		return n, err
	}
	for n < len(b) && err == nil {
		if p.frames.AtPacketBoundary() && packets.IsConnect(b[n]) {
			return n, ErrConnectAgain
		}
		var packet int
		packet, err = p.frames.Skip(b[n:])
		n += packet
	}
	return n, err
}

// deliver writes b while p is corked.
func (p *Pipe) deliver(s *scratch, b []byte) (err error) {
	if len(b) == 0 {
		return nil
	}
	switch {
	case p.dstTLS == nil:
		err = p.dst.writeNow(s, b)
	case p.dstFraming != nil:
		_, err = p.dstFraming.Write(b)
	default:
		err = WriteRecords(p.dstTLS, b, int(p.record))
	}
	p.count(len(b))
	return err
}

// count notes what was written to dst.
func (p *Pipe) count(n int) {
	p.bytes.Add(int64(n))
	p.packets.Store(p.frames.Packets())
}

// flush writes what pumps have left to be written, however long that takes. What is left for src is the other pipe's
// business, within bounds: one direction must not wait for the other.
func (p *Pipe) flush() error {
	if p.src.overfull() {
		_ = p.src.Flush() // the pipe that writes to src will see the error, too
	}
	if p.state.leaving.Load() && p.dst.Pending() {
		return p.flushLast()
	}
	err := p.dst.Flush()
	if p.state.leaving.Load() && errors.Is(err, os.ErrDeadlineExceeded) { // Wake
		return p.flushLast()
	}
	return err
}

// flushLast is flush when the source has ended: for as long as the destination takes something between one deadline and the
// next.
func (p *Pipe) flushLast() error {
	unsent := p.dst.unsent()
	until := p.handler.Linger(p)
	for {
		err := p.dst.Flush()
		switch {
		case !errors.Is(err, os.ErrDeadlineExceeded) || until.IsZero():
			return err
		case time.Now().Before(until): // a Wake that came late
		case p.dst.unsent() >= unsent:
			return err
		}
		unsent = p.dst.unsent()
		until = p.handler.Linger(p)
	}
}

// carry pumps, and waits in between, until one of the sides ends.
func (p *Pipe) carry() (r Result) {
	p.src.ending.Store(true) // here no loop announces it
	attempt := func(uintptr) bool {
		r = p.pumpOnce()
		return !r.dry || r.stalled
	}
	for r.Cause == None {
		if err := p.flush(); err != nil {
			return Result{Cause: DestinationFailed, Err: err}
		}
		if p.src.raw == nil || p.srcFraming != nil && p.srcFraming.Pending() { // that has come already, whatever the deadline
			attempt(0)
		} else if err := p.src.raw.Read(attempt); err != nil {
			return Result{Cause: SourceEnded, Err: err} // the deadline has passed, or the connection was closed
		}
		runtime.Gosched() // as in pumpAlone
	}
	return r
}

// pumpOnce is a pump in a scratch that is borrowed for it.
func (p *Pipe) pumpOnce() Result {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	return p.pump(s)
}

// end tells the handler what has ended the pipe, once everything is written that was read before, or cannot be.
func (p *Pipe) end(r Result) {
	if r.Cause != DestinationFailed {
		p.state.leaving.Store(true) // or is to: nothing more is taken from the source
		if err := p.flush(); err != nil && r.Cause == SourceEnded {
			r = Result{Cause: DestinationFailed, Err: err}
		}
	}
	p.sourceEnded = r.Cause == SourceEnded && r.Err == io.EOF
	p.handler.PipeEnded(p, r)
}
