// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// lingerTimeout is how long one side may take to end after the other has: to read what is still on its
	// way to it, and to close.
	lingerTimeout = 10 * time.Second
	// silenceTimeout is how long lingerClose waits for the end of a peer that is silent, or was refused.
	silenceTimeout = time.Second
)

// aLongTimeAgo is a deadline that has passed: it ends waiting reads and writes at once.
var aLongTimeAgo = time.Unix(1, 0)

// lingerClose ends connections so that what was written to them arrives: our end first, on all of them, then reading
// until the peer ends too, for a time. To close with unread bytes, or before bytes come, makes the kernel send RST,
// which can overtake and discard a CONNACK or a TLS alert that the peer has not read yet. A peer that
// falls silent without ending is not waited for until latest: nothing that comes from it can do that harm.
func lingerClose(latest time.Time, conns ...net.Conn) {
	var ended sync.WaitGroup
	for _, c := range conns {
		if closeWrite(c) != nil {
			_ = c.Close() // it is gone, or cannot be ended in one direction
			continue
		}
		ended.Go(func() {
			drainRead(c, latest)
			_ = c.Close()
		})
	}
	ended.Wait()
}

// drainRead reads until the peer ends, has been silent for silenceTimeout, or it is too late.
func drainRead(c net.Conn, latest time.Time) {
	for heard, err := int64(1), os.ErrDeadlineExceeded; heard > 0 && errors.Is(err, os.ErrDeadlineExceeded); {
		_ = c.SetReadDeadline(earlier(latest, time.Now().Add(silenceTimeout)))
		heard, err = io.Copy(io.Discard, c)
	}
}

// closeWrite sends the end of the stream where the connection can do so in one direction.
func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
