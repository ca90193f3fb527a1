// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets

import (
	"fmt"
	"io"
)

// startSize is what a packet's buffer begins with, in bytes: room for the
// usual CONNECT, and all that a peer that sends nothing costs.
const startSize = 256

// readPacket reads one packet from r and not a byte behind it. name is what
// errors of r are wrapped with.
//
// end is asked before every read, with the bytes that have come so far, how
// far the packet reaches for certain: len(b) when b is all of it, more when
// bytes are missing, an error to read no further. So a stranger is refused
// by the first byte that gives it away, and the buffer, which doubles as it
// fills, is never more than startSize or twice what has arrived, whatever
// the packet claims to hold.
func readPacket(r io.Reader, name string, end func(b []byte) (int, error)) ([]byte, error) {
	b := make([]byte, 0, startSize)
	for {
		want, err := end(b)
		if err != nil {
			return nil, err
		}
		if len(b) == want {
			return b, nil
		}
		if len(b) == cap(b) {
			b = append(make([]byte, 0, min(want, 2*len(b))), b...)
		}

		n, err := io.ReadAtLeast(r, b[len(b):min(want, cap(b))], 1)
		b = b[:len(b)+n]
		if err == io.EOF && len(b) > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
	}
}
