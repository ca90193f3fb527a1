// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"sync/atomic"

	"github.com/vernegate/vernegate/packets"
)

// A pipe is one direction of a session. Writing is what paces reading: while dst does not take bytes, none are
// read from src, so that back-pressure reaches the sender.
type pipe struct {
	session *session
	src     *pollConn
	dst     *pollConn
	srcTLS  *tls.Conn      // over src; nil = what src says is what is carried
	dstTLS  *tls.Conn      // over dst; nil = likewise
	frames  packets.Framer // follows what was written to dst

	duty     duty
	post     post
	started  bool // the first turn is over; see readTLS
	closing  bool // only what completes a packet is carried
	finished bool // src has ended in an orderly way

	// What has been written to dst, for anyone to read; only who carries adds to it.
	bytes   atomic.Int64
	packets atomic.Uint64 // that have begun
}

// carried returns how many bytes and packets have gone through so far.
func (p *pipe) carried() (bytes int64, packets uint64) { return p.bytes.Load(), p.packets.Load() }

// An ender is what ended a pipe.
type ender uint8

const (
	nobody        ender = iota // has ended it yet
	bySource                   // the error is io.EOF for an orderly end
	byDestination              // does not take any more
	byProtocol                 // src sent what must not be forwarded
	byBorder                   // was asked for: a packet is complete
)

// errConnectAgain is a second CONNECT: a client must not send one [MQTT-3.1.0-2], and a broker could take over the
// username in it, which nobody has checked.
var errConnectAgain = errors.New("a CONNECT inside a session")

// A result is what came of a turn.
type result struct {
	ender   ender
	err     error
	dry     bool // src has nothing to read
	stalled bool // the session has something to write, for which somebody has to wait
}

// turn carries what there is to read, up to the size of a workspace, without waiting for anything: unless src is no
// socket. What was read before src ended has been written, or is kept for drain.
func (p *pipe) turn(ws *workspace) (r result) {
	p.begin(ws)
	n, readErr := p.read(ws)
	r.ender, r.err = p.pass(ws, ws.room[:n])
	if err := p.settle(ws); err != nil && r.ender == nobody {
		r.ender, r.err = byDestination, err
	}
	r.stalled = p.dst.stalled() || p.src.overfull()
	switch {
	case r.ender != nobody:
	case readErr == errWouldBlock{}:
		r.dry = true
	case readErr != nil:
		r.ender, r.err = bySource, readErr
	default:
		r.dry = p.src.dry
	}
	return r
}

// begin has what crypto/tls writes collected: records to the client, and what it answers to some that it reads.
func (p *pipe) begin(ws *workspace) {
	p.src.dry = false
	if p.srcTLS != nil {
		p.src.begin(ws, false)
	}
	if p.dstTLS != nil {
		p.dst.begin(ws, true)
	}
}

// settle writes what was collected. The error is that of dst; whoever writes to src will see the one of src, too.
func (p *pipe) settle(ws *workspace) (err error) {
	if p.dstTLS != nil {
		err = p.dst.settle(ws, true)
	}
	if p.srcTLS != nil {
		_ = p.src.settle(ws, false)
	}
	return err
}

// pass delivers what may be forwarded of b, and tells what ends the pipe there, if anything does.
func (p *pipe) pass(ws *workspace, b []byte) (ender, error) {
	if len(b) == 0 {
		return nobody, nil
	}
	whole, followErr := p.follow(b)
	if err := p.deliver(ws, b[:whole]); err != nil {
		return byDestination, err
	}
	switch {
	case followErr == nil:
		return nobody, nil
	case followErr == errAtBorder:
		return byBorder, nil
	}
	return byProtocol, followErr
}

// read reads into ws.room, from its beginning.
func (p *pipe) read(ws *workspace) (int, error) {
	if p.srcTLS != nil {
		return p.readTLS(ws)
	}
	return p.src.readNow(ws, ws.room[:wireSize])
}

// readTLS reads from the client. The first turn pulls, since crypto/tls may hold bytes that came behind the CONNECT.
func (p *pipe) readTLS(ws *workspace) (n int, err error) {
	p.src.intake = ws
	defer func() { p.src.intake = nil }()
	if !p.started {
		p.started = true
		n, err = p.pull(ws)
		shrink(p.srcTLS)
		return n, err
	}
	return p.feed(ws)
}

// pull has crypto/tls read, until there is nothing more.
func (p *pipe) pull(ws *workspace) (n int, err error) {
	for err == nil && len(ws.room)-n >= recordSize {
		var more int
		more, err = p.srcTLS.Read(ws.room[n:])
		n += more
		if p.src.raw == nil {
			return n, err // to read more would be to wait
		}
	}
	switch {
	case err == nil:
		p.src.dry = false // crypto/tls may hold more
	case err == (errWouldBlock{}) && n > 0:
		err = nil
	}
	return n, err
}

// errAtBorder is that the packet which closing waits for is complete.
var errAtBorder = errors.New("the packet is complete")

// follow goes over the packets in b, up to what must not be forwarded.
func (p *pipe) follow(b []byte) (n int, err error) {
	if p.closing {
		if n, err = p.frames.Skip(b); err == nil && p.frames.AtBorder() {
			err = errAtBorder
		}
		return n, err
	}
	for n < len(b) && err == nil {
		if p.frames.AtBorder() && packets.IsConnect(b[n]) {
			return n, errConnectAgain
		}
		var packet int
		packet, err = p.frames.Skip(b[n:])
		n += packet
	}
	return n, err
}

// deliver writes b in a turn.
func (p *pipe) deliver(ws *workspace, b []byte) (err error) {
	if len(b) == 0 {
		return nil
	}
	if p.dstTLS != nil {
		_, err = p.dstTLS.Write(b)
	} else {
		err = p.dst.put(ws, b)
	}
	p.count(len(b))
	return err
}

// count notes what was written to dst.
func (p *pipe) count(n int) {
	p.bytes.Add(int64(n))
	p.packets.Store(p.frames.Packets())
}

// drain writes what turns have left to be written, however long that takes. What is left for src is the other pipe's
// business, within bounds: one direction must not wait for the other.
func (p *pipe) drain() error {
	if p.src.overfull() {
		_ = p.src.drain() // whoever writes to src will see the error, too
	}
	return p.dst.drain()
}

// finish carries the rest of a packet that has begun. It waits until the deadlines of src and dst.
func (p *pipe) finish() error {
	if p.frames.AtBorder() {
		return nil
	}
	p.closing = true
	if r := p.carry(); r.ender != byBorder {
		return r.err
	}
	return nil
}

// carry is turn after turn, waiting in between, until one of the sides ends.
func (p *pipe) carry() (r result) {
	p.src.ending.Store(true) // here nobody announces it
	attempt := func(uintptr) bool {
		r = p.borrow()
		return !r.dry || r.stalled
	}
	for r.ender == nobody {
		if err := p.drain(); err != nil {
			return result{ender: byDestination, err: err}
		}
		if p.src.raw == nil {
			attempt(0)
		} else if err := p.src.raw.Read(attempt); err != nil {
			return result{ender: bySource, err: err} // the deadline has passed, or the connection was closed
		}
	}
	return r
}

// borrow is a turn in a workspace that is borrowed for it.
func (p *pipe) borrow() result {
	ws := workspaces.Get().(*workspace)
	defer workspaces.Put(ws)
	return p.turn(ws)
}

// end tells the session what has ended the pipe, once everything is written that was read before.
func (p *pipe) end(r result) {
	if err := p.drain(); err != nil && r.ender != byDestination {
		r = result{ender: byDestination, err: err}
	}
	p.finished = r.ender == bySource && r.err == io.EOF
	p.session.ended(p, r)
}
