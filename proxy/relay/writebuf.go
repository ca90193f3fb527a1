// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A writeBuffer is the writing half of a Conn. While it is corked it collects what is written, so that TLS records go out
// together and no write waits. What the socket does not take stays for Flush; until then nothing more is read for it, so
// that there is never more of it than one pump brings.
type writeBuffer struct {
	mu       sync.Mutex
	corks    int        // pumps that collect; 0 = a write goes out at once
	out      []byte     // is to be written
	lent     bool       // out is memory of a scratch
	flushing bool       // the beginning of out is being written
	failed   error      // of a socket that takes nothing any more: what is left for it is dropped
	flushes  sync.Mutex // held by a Flush
}

// Write implements net.Conn. It collects while c is corked, and behind what is still to be written. Else it waits.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.corks > 0 || len(c.out) > 0 {
		c.out = append(c.out, p...)
		c.mu.Unlock()
		return len(p), nil
	}
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// writeNow writes b without waiting, and keeps what the socket does not take.
func (c *Conn) writeNow(s *scratch, b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.send(s, b)
	switch {
	case err != nil:
		c.fail(err)
	case n < len(b):
		c.out = append(c.out, b[n:]...)
	}
	return err
}

// fail drops what is left to be written. A client that has reset its connection may have sent megabytes of KeyUpdates
// before: what answers them must not pile up. mu must be held.
func (c *Conn) fail(err error) { c.failed, c.out = err, nil }

// send writes what the socket takes of b, unless something else has to be written first. mu must be held.
func (c *Conn) send(s *scratch, b []byte) (int, error) {
	if len(c.out) > 0 || c.flushing || c.raw == nil || len(b) == 0 {
		return 0, nil
	}
	return s.writeNow(c.raw, b)
}

// cork makes writes be collected until uncork; with lend, in memory of s if nothing is collected yet.
func (c *Conn) cork(s *scratch, lend bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corks++
	if lend && c.out == nil {
		c.out, c.lent = s.records[:0], true
	}
}

// uncork ends what cork has begun: it writes what was collected, without waiting, and keeps what the socket does not take.
func (c *Conn) uncork(s *scratch, lend bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corks--
	if c.flushing {
		return nil // what was collected comes behind
	}
	all := c.out
	c.out = nil // lest send takes it for something older
	n, err := c.send(s, all)
	rest := all[n:]
	if err != nil {
		c.fail(err)
		rest = nil
	}
	switch {
	case c.lent && lend:
		if s.records = all[:0]; cap(all) > keptSize {
			s.records = nil
		}
		c.out, c.lent = append([]byte(nil), rest...), false
	case c.lent || len(rest) > 0:
		c.out = append(all[:0], rest...)
	}
	return err
}

// Pending reports whether something is still to be written. It may be called concurrently.
func (c *Conn) Pending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out) > 0 && !c.lent
}

// unsent returns how many bytes the peer has not taken yet, of which the system holds some. It may be called concurrently.
func (c *Conn) unsent() int {
	c.mu.Lock()
	n := len(c.out)
	c.mu.Unlock()
	if c.raw != nil {
		_ = c.raw.Control(func(fd uintptr) {
			if queued, err := unix.IoctlGetInt(int(fd), unix.TIOCOUTQ); err == nil {
				n += queued
			}
		})
	}
	return n
}

// overfull reports whether more is to be written than pumps of one pipe leave behind: crypto/tls goes on answering a client
// that does not read its answers.
func (c *Conn) overfull() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out) > keptSize && !c.lent
}

// Flush writes what is still to be written, and waits for that until the write deadline. It may be called concurrently.
func (c *Conn) Flush() error {
	c.flushes.Lock()
	defer c.flushes.Unlock()
	for {
		b, err := c.beginFlush()
		if len(b) == 0 {
			return err
		}
		n, err := c.Conn.Write(b)
		c.endFlush(n, err)
		if err != nil {
			return err
		}
	}
}

// beginFlush returns what is to be written, or why nothing can be. What is collected in lent memory is not among it: uncork
// sees to that.
func (c *Conn) beginFlush() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.failed != nil:
		return nil, c.failed
	case c.lent:
		return nil, nil
	}
	c.flushing = len(c.out) > 0
	return c.out, nil
}

// endFlush takes away the n bytes that were written. A deadline that has passed is not the socket's end.
func (c *Conn) endFlush(n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flushing = false
	switch c.out = c.out[n:]; {
	case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
		c.fail(err)
	case len(c.out) == 0:
		c.out = nil
	}
}

// WriteLater has write, which writes to c through TLS, be collected and then flushed. So it does not wait while it holds
// the lock of the TLS connection, for which a loop could have to wait that answers a KeyUpdate.
func (c *Conn) WriteLater(write func() error) error {
	c.mu.Lock()
	c.corks++
	c.mu.Unlock()
	err := write()
	c.mu.Lock()
	c.corks--
	c.mu.Unlock()
	if flushErr := c.Flush(); err == nil {
		err = flushErr
	}
	return err
}
