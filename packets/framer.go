// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets

import "fmt"

// errEndlessLength is a remaining length that goes on after four bytes.
var errEndlessLength = fmt.Errorf("%w: remaining length takes more than four bytes", ErrMalformed)

// A Framer follows a stream of packets that it sees in pieces, to tell where
// packets end. It looks at fixed headers only and keeps no bytes. The zero
// value stands before the first packet.
type Framer struct {
	packets uint64 // that have begun

	left  uint32 // bytes of the packet that are still to come, once its header is known
	size  uint32 // remaining length as far as it has come
	shift uint8  // of the next digit of the remaining length; 0 = before a packet, or in its body
	first byte   // of the packet that began last
}

// AtPacketBoundary reports that the stream so far ends with a whole packet.
func (f *Framer) AtPacketBoundary() bool { return f.left == 0 && f.shift == 0 }

// Packets is the number of packets that have begun so far.
func (f *Framer) Packets() uint64 { return f.packets }

// FirstByte is the first byte of the packet that began last, 0 before the first
// packet.
func (f *Framer) FirstByte() byte { return f.first }

// Skip goes on to the end of the packet that b begins within, or begins with,
// and returns how many bytes of b belong to it: all of b when the packet goes
// on behind it.
//
// The error wraps [ErrMalformed]: the remaining length takes more than four
// bytes (3.1.1, 2.2.3; 5.0, 1.5.5), and where packets end cannot be known any
// more.
func (f *Framer) Skip(b []byte) (n int, err error) {
	if f.left == 0 {
		if n, err = f.header(b); err != nil || f.left == 0 {
			return n, err
		}
	}
	body := min(int(f.left), len(b)-n)
	f.left -= uint32(body)
	return n + body, nil
}

// header reads as much of a fixed header as there is.
func (f *Framer) header(b []byte) (n int, err error) {
	if f.shift == 0 && len(b) > 0 {
		f.packets++
		f.first = b[0]
		f.shift, f.size, n = 7, 0, 1
	}
	for ; n < len(b); n++ {
		digit := b[n]
		f.size |= uint32(digit&0x7f) << (f.shift - 7)
		if digit < 0x80 {
			f.left, f.shift = f.size, 0
			return n + 1, nil
		}
		if f.shift += 7; f.shift > 4*7 {
			return n, errEndlessLength
		}
	}
	return n, nil
}

// IsConnect reports whether a packet that begins with this byte is a CONNECT,
// whatever its flags are (2.2.1).
func IsConnect(first byte) bool { return first>>4 == connectByte>>4 }

// IsDisconnect is IsConnect for DISCONNECT.
func IsDisconnect(first byte) bool { return first>>4 == disconnectByte>>4 }
