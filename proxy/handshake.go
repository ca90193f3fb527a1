// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vernegate/vernegate/proxy/limit"
)

// handshake is step 3: TLS, with the client's certificate verified.
func (s *session) handshake() error {
	slot := s.client.slot
	err := s.tls.Handshake()
	slot.release()
	slot.over = true
	if err == nil {
		err = s.acceptChain()
	}
	state := s.tls.ConnectionState()
	s.server.search.note(sentBy(&state, err))
	if err == nil {
		s.server.cfg.Metrics.handshakes[s.role].completed(state)
		return nil
	}
	if err == io.EOF && !slot.greeted {
		return because(ClientClosed, errSaidNothing)
	}
	s.client.sendUnsent() // the alert
	reason := handshakeReason(err)
	if err.Error() == undecodable && !slot.greeted {
		err = fmt.Errorf("%w: the ClientHello, perhaps because its server name has a dot at its end (RFC 6066 §3)", err)
	}
	switch {
	case reason == TLSTimeout:
		err = fmt.Errorf("not done within %v (VERNEGATE_HANDSHAKE_TIMEOUT)", s.server.cfg.HandshakeTimeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("the client closed in the middle of it")
	}
	err = slot.alert.explain(err)
	if s.displaced() {
		reason = RateLimited
	}
	s.server.cfg.Metrics.handshakes[s.role].failed(reason)
	return because(reason, err)
}

// undecodable is what crypto/tls says of a ClientHello that it does not take, whatever is wrong with it.
const undecodable = "local error: tls: error decoding message"

// A handshakeSlot is how one handshake shares the processors with others. It holds a place of the semaphore while it
// computes, and none while it waits for its client: a client that stalls holds up no other.
//
//	ClientHello ──► begin: rate, place ──► key exchange, signature ──► server's flight: place released
//	client's flight ──► resume: place ──► certificate, signature ──► last flight: place released
//
// Call its methods only from the goroutine of its session.
type handshakeSlot struct {
	session  *session
	deadline time.Time // when the client has to be done; zero until getToKnow begins
	pending  limit.Handshake
	greeted  bool // a ClientHello has come
	begun    bool
	held     bool // a place of the semaphore
	over     bool
	received int // bytes, of the handshake and of what came in one read with its end
	alert    clearAlert
	unsent   []byte // is written together with what is written next
}

// maxReceived bounds what a client sends in its handshake, in bytes. crypto/tls takes 64 KiB of a message, and 256 KiB of
// certificates, from clients that nobody knows yet, and holds up to four times as much for them. A good client sends at most
//
//	without a ticket: two ClientHellos (HelloRetryRequest, RFC 8446 §4.1.4), with post-quantum shares   2 * 3 KiB
//	                  its certificate, and above it maxIssuersSize                                      4 KiB + 16 KiB
//	                  key exchange, signature, Finished, and the records around all that                2 KiB
//	with a ticket:    two ClientHellos with it, of maxTicketSize                                        2 * (3 + 8) KiB
//	                  when it opens nothing any more, its certificates, which it has room for           8 KiB
//	                  the rest as above                                                                 2 KiB
//
// which is 28 KiB, and 32 KiB. What this bound leaves a stranger to fill is what VERNEGATE_MAX_HANDSHAKES=auto counts with
// (handshakeMemory in internal/config).
const maxReceived = 32 << 10

// errLongHandshake is the detail of a client that has sent more than that.
var errLongHandshake = fmt.Errorf("the client has sent more than %d bytes in its handshake", maxReceived)

func newHandshakeSlot(s *session) handshakeSlot {
	return handshakeSlot{session: s, pending: limit.Handshake{Conn: s}}
}

// errTooManyHandshakes is a handshake that would have had to wait too long for a place.
var errTooManyHandshakes = errors.New("too many handshakes")

// begin waits until the handshake may begin, in the order of the ClientHellos. Waiting is kinder than refusing: devices
// that lost their connections together come back together, and each refusal is a handshake more. The wait takes
// HandshakeTimeout at most; a client that would have to wait longer is closed at once, without an alert. The time that
// a client has waited does not count against it.
func (h *handshakeSlot) begin() error {
	h.session.server.pending.WaitsForUs(&h.pending)
	if l := h.session.server.limits; l.rate != nil || !l.handshakes.TryAcquire() {
		if err := h.await(); err != nil {
			_ = h.session.client.Close()
			return fmt.Errorf("%w: %w", errTooManyHandshakes, err)
		}
	}
	h.begun, h.held = true, true
	return nil
}

// await is begin for a handshake that has to wait, or may have to.
func (h *handshakeSlot) await() error {
	s := h.session
	arrived := time.Now()
	ctx, cancel := context.WithTimeout(s.server.ctx, s.server.cfg.HandshakeTimeout)
	defer cancel()
	s.server.cfg.Metrics.waiting.Inc()
	defer s.server.cfg.Metrics.waiting.Dec()
	if err := s.server.limits.awaitHandshake(ctx); err != nil {
		return s.server.explainWait(err)
	}
	h.deadline = h.deadline.Add(time.Since(arrived))
	s.setDeadlines(h.deadline)
	return nil
}

// errNoTurn is that the rate lets no handshake more begin in time.
var errNoTurn = errors.New("no turn")

// explainWait says why a handshake could not begin in time.
func (s *Server) explainWait(err error) error {
	timeout := s.cfg.HandshakeTimeout
	switch {
	case s.ctx.Err() != nil:
		return err
	case errors.Is(err, errNoTurn):
		return fmt.Errorf("no turn within %v (VERNEGATE_HANDSHAKE_RATE=%d)", timeout, s.cfg.HandshakeRate)
	}
	return fmt.Errorf("no processor was free within %v", timeout)
}

// awaitHandshake acquires a place as soon as rate and semaphore allow one more handshake.
func (l *limits) awaitHandshake(ctx context.Context) error {
	if l.rate != nil {
		if err := l.rate.Wait(ctx); err != nil {
			return fmt.Errorf("%w: %w", errNoTurn, err)
		}
	}
	return l.handshakes.Acquire(ctx, false)
}

// release gives the place back, if the handshake holds one.
func (h *handshakeSlot) release() {
	if h.held {
		h.held = false
		h.session.server.limits.handshakes.Release()
		h.session.server.pending.WaitsForClient(&h.pending)
	}
}

// resume acquires a place again for what the client has sent.
func (h *handshakeSlot) resume() error {
	if !h.begun {
		return nil // the ClientHello is still coming
	}
	h.session.server.pending.WaitsForUs(&h.pending)
	if places := h.session.server.limits.handshakes; !places.TryAcquire() {
		ctx, cancel := context.WithDeadline(h.session.server.ctx, h.deadline)
		defer cancel()
		if err := places.Acquire(ctx, true); err != nil {
			return os.ErrDeadlineExceeded // or the server stops, which is then the reason already
		}
	}
	h.held = true
	return nil
}

// Read implements net.Conn. During the handshake it waits without a place, and returns with one.
func (c *clientConn) Read(p []byte) (int, error) {
	h := c.slot
	if h == nil || h.over {
		return c.Conn.Read(p)
	}
	h.release()
	if h.received > maxReceived { // and it is not over: what comes behind its end is read only with it
		return 0, errLongHandshake
	}
	n, err := c.Conn.Read(p)
	h.received += n
	h.alert.note(p[:n])
	if err == nil {
		err = h.resume()
	}
	return n, err
}

// Write implements net.Conn. What follows a write in a handshake is a read, if anything.
//
// In TLS 1.3, a server sends one more message when the handshake is over for the client: the session ticket (RFC 8446
// §4.6.1). The client does not wait for it, so it goes out with what comes next, which is the CONNACK. That saves a
// segment, and a device with a radio from waking up for it. The flight of a server begins with a message in the clear,
// so what begins with an encrypted one is the ticket, or an alert.
func (c *clientConn) Write(p []byte) (int, error) {
	h := c.slot
	switch {
	case h == nil:
		return c.Conn.Write(p)
	case h.over:
		c.slot = nil
	default:
		h.release()
		if p[0] == applicationData {
			h.unsent = append(h.unsent, p...)
			return len(p), nil
		}
	}
	unsent := len(h.unsent)
	if unsent > 0 {
		p, h.unsent = append(h.unsent, p...), nil
	}
	n, err := c.Conn.Write(p)
	return max(0, n-unsent), err
}

// sendUnsent sends what is to be sent with what comes next at once. That a client is gone is noticed by the next read.
func (c *clientConn) sendUnsent() { _, _ = c.Write(nil) }
