// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import "sync"

// An outlet is the writing half of a pollConn. In a turn it collects what is written, so that TLS records go out
// together, and no write waits. What the socket does not take is kept for drain; until then nothing more is read
// for it, so that there is never more of it than one turn brings.
type outlet struct {
	mu       sync.Mutex
	turns    int        // that are going on; 0 = a write goes out at once
	out      []byte     // is to be written
	lent     bool       // out is memory of a workspace
	draining bool       // the beginning of out is being written
	drains   sync.Mutex // held by who drains
}

// Write implements net.Conn. In a turn it collects, and so it does behind what is still to be written.
func (c *pollConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.turns > 0 || len(c.out) > 0 {
		c.out = append(c.out, p...)
		c.mu.Unlock()
		return len(p), nil
	}
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// put writes b without waiting, and keeps what the socket does not take.
func (c *pollConn) put(ws *workspace, b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.writeNow(ws, b)
	if n < len(b) {
		c.out = append(c.out, b[n:]...)
	}
	return err
}

// writeNow writes b, unless something else has to be written first. mu must be held.
func (c *pollConn) writeNow(ws *workspace, b []byte) (int, error) {
	if len(c.out) > 0 || c.draining || c.raw == nil || len(b) == 0 {
		return 0, nil
	}
	return ws.writeNow(c.raw, b)
}

// begin makes writes be collected until settle, in memory of ws if there is none yet.
func (c *pollConn) begin(ws *workspace, lend bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turns++
	if lend && c.out == nil {
		c.out, c.lent = ws.records[:0], true
	}
}

// settle ends what begin has begun: it writes what was collected, without waiting, and keeps what the socket does
// not take.
func (c *pollConn) settle(ws *workspace, lend bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turns--
	if c.draining {
		return nil // what was collected comes behind
	}
	all := c.out
	c.out = nil // lest writeNow takes it for something older
	n, err := c.writeNow(ws, all)
	rest := all[n:]
	switch {
	case c.lent && lend:
		if ws.records = all[:0]; cap(all) > keptSize {
			ws.records = nil
		}
		c.out, c.lent = append([]byte(nil), rest...), false
	case c.lent || len(rest) > 0:
		c.out = append(all[:0], rest...)
	}
	return err
}

// stalled tells that something is still to be written.
func (c *pollConn) stalled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out) > 0 && !c.lent
}

// overfull tells that there is more to be written than turns of one pipe leave behind: crypto/tls goes on answering a
// client that does not read its answers.
func (c *pollConn) overfull() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out) > keptSize && !c.lent
}

// drain writes what is still to be written, however long that takes: until the write deadline.
func (c *pollConn) drain() error {
	c.drains.Lock()
	defer c.drains.Unlock()
	for {
		c.mu.Lock()
		b := c.out
		if c.lent {
			b = nil // who collects will see to it
		}
		c.draining = len(b) > 0
		c.mu.Unlock()
		if len(b) == 0 {
			return nil
		}
		n, err := c.Conn.Write(b)
		c.mu.Lock()
		c.draining = false
		if c.out = c.out[n:]; len(c.out) == 0 {
			c.out = nil
		}
		c.mu.Unlock()
		if err != nil {
			return err
		}
	}
}
