// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// Wire is a client that sends and reads literal bytes, for what no library would
// ever send and for answers that must be exact to the byte.
type Wire struct{ net.Conn }

// DialWire connects. Every read and write until ctx ends is bounded by its
// deadline. The caller closes the Wire.
func DialWire(ctx context.Context, dial Dial) (*Wire, error) {
	conn, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline() // none: zero, no deadline
	return &Wire{conn}, conn.SetDeadline(deadline)
}

// Send writes p in one piece: over TLS that is one record up to 16 KiB.
func (w *Wire) Send(p []byte) error {
	_, err := w.Write(p)
	return err
}

// ReadN reads exactly n bytes.
func (w *Wire) ReadN(n int) ([]byte, error) {
	p := make([]byte, n)
	read, err := io.ReadFull(w, p)
	return p[:read], err
}

// ReadToEnd reads until the other side closes in an orderly way: with FIN, and over
// TLS with close_notify before it. Every other end is an error.
func (w *Wire) ReadToEnd() ([]byte, error) {
	p, err := io.ReadAll(w)
	over, isTLS := w.Conn.(*tls.Conn)
	if err != nil || !isTLS {
		return p, err
	}
	_, err = io.Copy(io.Discard, over.NetConn())
	return p, err
}

// ReadQuiet reports whether nothing arrives and the connection stays open for d.
func (w *Wire) ReadQuiet(d time.Duration) bool {
	if err := w.SetReadDeadline(time.Now().Add(d)); err != nil {
		return false
	}
	n, err := w.Read(make([]byte, 1))
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}
