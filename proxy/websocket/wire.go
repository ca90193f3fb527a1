// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
)

// A wire is the connection that coder/websocket reads from and writes to: memory on both sides.
type wire struct {
	net.Conn // nil: of its methods only Read, Write and Close are called

	held  []byte // is to be read first, and is ours
	array int    // the size of what held is the end of
	fresh []byte // is to be read next, and is the caller's of Decode
	limit int    // how many bytes may be read now

	out []byte // was written
}

// errNoMore ends a read that goes on where the caller of coder/websocket wants it to stop.
var errNoMore = errors.New("nothing more to read for now")

// Read reads up to limit.
func (w *wire) Read(p []byte) (int, error) {
	p = p[:min(len(p), w.limit)]
	if len(p) == 0 {
		return 0, errNoMore
	}
	n := copy(p, w.held)
	w.held = w.held[n:]
	more := copy(p[n:], w.fresh)
	w.fresh = w.fresh[more:]
	if n += more; n == 0 {
		return 0, errNoMore
	}
	w.limit -= n
	return n, nil
}

// Write collects.
func (w *wire) Write(p []byte) (int, error) {
	w.out = append(w.out, p...)
	return len(p), nil
}

// Close does nothing: the connection is its owner's to close.
func (*wire) Close() error { return nil }

// size returns how many bytes there are to read.
func (w *wire) size() int { return len(w.held) + len(w.fresh) }

// keep makes what is fresh ours. A few bytes do not hold a large array.
func (w *wire) keep() {
	switch {
	case len(w.fresh) > 0:
		w.held = append(bytes.Clone(w.held), w.fresh...)
		w.array = len(w.held)
	case len(w.held) == 0:
		w.held, w.array = nil, 0
	case len(w.held) < w.array/2:
		w.held = bytes.Clone(w.held)
		w.array = len(w.held)
	}
	w.fresh = nil
}

// The parts of a frame's head (RFC 6455 §5.2).
const (
	finalBit   = 0x80
	controlBit = 0x08 // of the opcode
	maskedBit  = 0x80
	length16   = 126
	length64   = 127
	maskSize   = 4
	maxHead    = 2 + 8 + maskSize
	maxControl = 125 // of the payload of a control frame (RFC 6455 §5.5)
)

// A head is what has to be known of a frame to know that coder/websocket will not have to wait in it. What is wrong with it,
// coder/websocket finds out.
type head struct {
	size           int // of the head, in bytes
	payload        uint64
	final, control bool
}

// bytes returns how many bytes are read with the head: those of a control frame, too.
func (h head) bytes() int {
	if h.control && h.payload <= maxControl {
		return h.size + int(h.payload)
	}
	return h.size
}

// head parses the head that comes next. whole reports whether all is there that has to be read together.
func (w *wire) head() (h head, whole bool) {
	var room [maxHead]byte
	n := copy(room[:], w.held)
	n += copy(room[n:], w.fresh)
	h, whole = parseHead(room[:n])
	return h, whole && w.size() >= h.bytes()
}

// parseHead parses the head that b begins with; whole is false if it needs more bytes.
func parseHead(b []byte) (h head, whole bool) {
	if len(b) < 2 {
		return h, false
	}
	h.final, h.control = b[0]&finalBit != 0, b[0]&controlBit != 0
	h.size, h.payload = 2, uint64(b[1]&^maskedBit)
	switch h.payload {
	case length16:
		h.size += 2
	case length64:
		h.size += 8
	}
	at := h.size
	if b[1]&maskedBit != 0 {
		h.size += maskSize
	}
	if len(b) < h.size {
		return h, false
	}
	switch h.payload {
	case length16:
		h.payload = uint64(binary.BigEndian.Uint16(b[2:at]))
	case length64:
		h.payload = binary.BigEndian.Uint64(b[2:at])
	}
	return h, true
}
