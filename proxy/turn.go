// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"time"
)

// A turn is how one handshake shares the processors with others. It holds a place in the turnstile while it
// computes, and none while it waits for its client: a client that stalls holds up nobody.
//
//	ClientHello ──► begin: rate, place ──► key exchange, signature ──► server's flight: place given back
//	client's flight ──► resume: place, chains ──► certificate, signature ──► last flight: place given back
//
// Only the handshake's own goroutine uses it.
type turn struct {
	session  *session
	deadline time.Time // when the client has to be done
	begun    bool
	inside   bool // holds a place

	chains *chainCache // held while inside; nil until use
	asked  bool        // the client knows which CAs are welcome
	before *tls.Config // of the TLS connection, before that of chains; nil = it goes on with its own
}

// errNoTurn is a handshake that would have had to wait too long for its turn.
var errNoTurn = errors.New("too many handshakes")

// begin waits until the handshake may begin, in the order of the ClientHellos. Waiting is kinder than refusing:
// devices that lost their connections together come back together, and each refusal is a handshake more. It may
// take as long as a handshake; who would have to wait longer is refused at once, without a word. The time that
// a client has waited does not count against it.
func (t *turn) begin() error {
	if l := t.session.server.limits; l.rate != nil || !l.turnstile.enterNow() {
		if err := t.await(); err != nil {
			_ = t.session.client.Close()
			return fmt.Errorf("%w: %w", errNoTurn, err)
		}
	}
	t.begun, t.inside = true, true
	return nil
}

// await is begin for those who have to wait, or may have to.
func (t *turn) await() error {
	s := t.session
	arrived := time.Now()
	ctx, cancel := context.WithTimeout(s.server.ctx, s.server.cfg.HandshakeTimeout)
	defer cancel()
	s.server.cfg.Metrics.waiting.Inc()
	defer s.server.cfg.Metrics.waiting.Dec()
	if err := s.server.limits.awaitHandshake(ctx); err != nil {
		return err
	}
	t.deadline = t.deadline.Add(time.Since(arrived))
	s.setDeadlines(time.Until(t.deadline))
	return nil
}

// awaitHandshake takes a place as soon as rate and turnstile allow one more handshake.
func (l *limits) awaitHandshake(ctx context.Context) error {
	if l.rate != nil {
		if err := l.rate.Wait(ctx); err != nil {
			return err
		}
	}
	return l.turnstile.enter(ctx, false)
}

// use is for who is inside, once it is known what the client is verified with.
func (t *turn) use(chains *chainCache) {
	t.chains = chains
	t.chains.handshakes.RLock()
}

// pause gives the place back, if there is one.
func (t *turn) pause() {
	if !t.inside {
		return
	}
	t.inside = false
	if t.chains != nil {
		t.chains.handshakes.RUnlock()
	}
	t.session.server.limits.turnstile.leave()
}

// resume takes a place again for what the client has sent.
func (t *turn) resume() error {
	if !t.begun {
		return nil // the ClientHello is still coming
	}
	if turnstile := t.session.server.limits.turnstile; !turnstile.enterNow() {
		ctx, cancel := context.WithDeadline(t.session.server.ctx, t.deadline)
		defer cancel()
		if err := turnstile.enter(ctx, true); err != nil {
			return os.ErrDeadlineExceeded // or the server stops, which is then the reason already
		}
	}
	t.inside = true
	t.chains.handshakes.RLock()
	if t.asked && t.before == nil {
		t.before = reconfigure(t.session.tls, t.chains.config)
	}
	return nil
}

// end is called when the handshake is over.
func (t *turn) end(good bool) {
	t.pause()
	if t.before == nil {
		return
	}
	reconfigure(t.session.tls, t.before)
	if !good {
		return
	}
	// The chains of a ticket were verified by whoever sealed it, perhaps another server or under other CAs, and count for
	// as long as the ticket does.
	if state := t.session.tls.ConnectionState(); !state.DidResume {
		t.chains.remember(state.VerifiedChains)
	}
}

// Read implements net.Conn. During the handshake it waits without a place, and returns with one.
func (c *clientConn) Read(p []byte) (int, error) {
	if c.turn == nil {
		return c.Conn.Read(p)
	}
	c.turn.pause()
	n, err := c.Conn.Read(p)
	if err == nil {
		err = c.turn.resume()
	}
	return n, err
}

// Write implements net.Conn. What follows a write in a handshake is a read, if anything.
//
// In TLS 1.3, a server says one thing more when the handshake is over for the client: the session ticket (RFC 8446
// §4.6.1). Nobody waits for it, so it travels with what comes next, which is the CONNACK. That saves a segment, and
// a device with a radio from hearing it by itself.
func (c *clientConn) Write(p []byte) (int, error) {
	if c.turn != nil {
		c.turn.pause()
		c.turn.asked = c.turn.asked || p[0] == handshakeMessages && !isHelloRetry(p)
		if p[0] == applicationData {
			c.held = append(c.held, p...)
			return len(p), nil
		}
	}
	if c.held == nil {
		return c.Conn.Write(p)
	}
	held := len(c.held)
	p, c.held = append(c.held, p...), nil
	n, err := c.Conn.Write(p)
	return max(0, n-held), err
}

// Types of records (RFC 8446 §5.1). The flight of a server begins with a message of the handshake in the clear. What
// begins with applicationData, which all that is encrypted in TLS 1.3 is called, comes after it: the ticket, or an alert.
const (
	handshakeMessages = 22
	applicationData   = 23
)

// isHelloRetry tells whether p begins with a HelloRetryRequest, which is a ServerHello with a certain random value (RFC
// 8446 §4.1.3). It is the one message of a server behind which the client has not been asked for its certificate.
func isHelloRetry(p []byte) bool {
	const random = 5 + 4 + 2 // behind the headers of record and message, and the version
	return len(p) >= random+len(helloRetry) && string(p[random:random+len(helloRetry)]) == helloRetry
}

// helloRetry is the SHA-256 of "HelloRetryRequest".
const helloRetry = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91" +
	"\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

// release sends what is held at once.
func (c *clientConn) release() { _, _ = c.Write(nil) } // a client that is gone is noticed by whoever reads
