// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"io"
	"runtime"
)

// firstReads is how many reads a client has before others have their turn. A CONNECT, or an HTTP request before it, takes fewer.
const firstReads = 8

// A turnReader lets others have the processor between the reads from a client that keeps bytes coming. A read takes a tenth of a
// millisecond at most: crypto/tls returns from it after 16 records that bring nothing, such as a KeyUpdate. The scheduler
// would let such a client compute for 10 ms, and some hundreds of them for seconds.
type turnReader struct {
	io.Reader
	reads int
}

// Read implements io.Reader.
func (r *turnReader) Read(p []byte) (int, error) {
	if r.reads++; r.reads > firstReads {
		runtime.Gosched()
	}
	return r.Reader.Read(p)
}
