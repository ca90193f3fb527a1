// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package pace

import "io"

// pieceSize is how many bytes are read between two looks at the throttle.
const pieceSize = 64 << 10

// Reader returns what reads r in pieces, and may pause before each of them. It belongs to the goroutine of the throttle,
// which may be nil.
func (t *Throttle) Reader(r io.Reader) io.Reader { return &reader{r, t} }

type reader struct {
	io.Reader
	throttle *Throttle
}

func (r *reader) Read(b []byte) (int, error) {
	r.throttle.Yield()
	return r.Reader.Read(b[:min(len(b), pieceSize)])
}
