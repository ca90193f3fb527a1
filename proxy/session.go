// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vernegate/vernegate/packets"
	"github.com/vernegate/vernegate/proxy/relay"
	"github.com/vernegate/vernegate/proxy/websocket"
)

// refusalTimeout is how long a client may take to receive a CONNACK that refuses it.
const refusalTimeout = 2 * time.Second

// A session is one connection, from its acceptance to its end. Each field is written by one step and read by
// later ones; what another goroutine may touch is below mu.
type session struct {
	server   *Server
	role     Role
	protocol Protocol
	began    time.Time

	client clientConn
	tls    *tls.Conn         // over client
	ws     *websocket.Stream // over tls; nil = MQTT is next to it

	newcomer    *newcomer // nil when live
	acquired    acquired
	tlsVersion  uint16 // 0 until live, and so the next two
	resumed     bool
	certificate *certificate
	owner       string          // "" until known to be one
	version     packets.Version // 0 until known, and so the next one
	connack     connack         // zero until the broker has answered
	maxPacket   uint32          // as in packets.Connect; 0 until known
	clientID    string

	lease       Lease // of a broker; nil until one was looked for
	backendAddr string
	up          relay.Pipe   // client to broker
	down        relay.Pipe   // broker to client
	open        atomic.Int32 // how many of the two have not ended
	writeFailed bool         // the client does not take what is written to it

	live    registration
	settled load // guarded by traffic.mu

	mu      sync.Mutex
	backend *relay.Conn // nil until a broker has answered
	stopped bool        // reads are to end at once
	written bool        // what goes to the broker has its last deadline
	reason  Reason      // 0 until over; the first one counts
	lived   uint32      // in milliseconds, from began until over; at most what fits
	err     error       // the detail of reason, or nil
}

// A connack is the broker's answer to the CONNECT. With enhanced authentication it comes too late to be seen.
type connack struct {
	code  byte // a packets.ReturnCode or packets.ReasonCode
	known bool
}

// accepted reports whether the broker has let the client in, as far as could be seen.
func (c connack) accepted() bool { return c.known && c.code == 0 }

func connackOf(reply *packets.FirstPacket) connack {
	return connack{reply.Code, reply.Kind == packets.Connack}
}

func newSession(server *Server, conn net.Conn, role Role, protocol Protocol) *session {
	s := &session{server: server, role: role, protocol: protocol, began: time.Now()}
	s.newcomer = &newcomer{slot: newHandshakeSlot(s)}
	s.client.slot = &s.newcomer.slot
	s.client.Open(conn)
	s.tls = tls.Server(&s.client, server.tls)
	return s
}

// run is the life of the connection until it is established; what comes then has no goroutine of its own for as long
// as there is nothing to do.
func (s *session) run(ctx context.Context) {
	if err := s.establish(ctx); err != nil {
		s.refuse(err)
		s.close()
		return
	}
	s.server.cfg.Metrics.sessions[s.role].Inc()
	s.relay()
}

// establish takes the connection to the point where a broker has answered and the client has the answer. Not
// one byte reaches a broker before the client is known to be welcome, and no MQTT byte reaches the client
// before its CONNECT has told which version it speaks. The error is an *endError.
func (s *session) establish(ctx context.Context) error {
	if err := s.getToKnow(); err != nil {
		return err
	}
	identity := s.identify(ctx)
	if err := s.upgrade(); err != nil {
		return err
	}
	connect, err := s.readConnect()
	if err != nil {
		return err
	}
	id := <-identity
	if err := s.decide(id); err != nil {
		return err
	}
	if reason, stopped := s.stoppedBy(); stopped {
		return because(reason, nil)
	}
	return s.connectBroker(ctx, connect, id)
}

// getToKnow is steps 2 and 3. A connection that fails in them is pending until it is closed.
func (s *session) getToKnow() error {
	slot := &s.newcomer.slot
	pending := &slot.pending
	slot.deadline = time.Now().Add(s.server.cfg.HandshakeTimeout) // not since it was accepted: it may have waited for a place
	s.setDeadlines(slot.deadline)
	err := s.learnAddresses()
	if err == nil {
		err = s.acquireIP()
	}
	if err == nil {
		err = s.handshake()
	}
	if err != nil {
		s.server.pending.WaitsForClient(pending)
		return err
	}
	s.server.pending.Remove(pending)
	return nil
}

// readConnect is step 5. What the client has sent behind its CONNECT stays in the TLS connection.
func (s *session) readConnect() (*packets.Connect, error) {
	s.setDeadlines(time.Now().Add(s.server.cfg.ConnectTimeout))
	connect, err := packets.ReadConnect(s.reader(), s.server.cfg.MaxConnectSize)
	if err == nil {
		s.version, s.clientID, s.maxPacket = connect.Version, connect.ClientID(), connect.MaxPacketSize
		s.server.cfg.Metrics.connects[s.role][s.version].Inc()
		return connect, nil
	}
	var broken *packets.ConnectError
	switch {
	case errors.As(err, &broken):
		s.version, s.maxPacket = broken.Version, broken.MaxPacketSize
		return nil, because(connectReason(err), err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, because(ConnectTimeout, s.tooLate("CONNECT"))
	case clientEnded(err) == WSFrame:
		return nil, because(WSFrame, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("closed in the middle of its CONNECT")
	case errors.Is(err, io.EOF):
		err = errors.New("closed before its CONNECT")
	}
	return nil, because(ClientClosed, err)
}

// tooLate is the detail of a client whose first packet, or HTTP request, has not come in time.
func (s *session) tooLate(what string) error {
	return fmt.Errorf("no whole %s within %v (VERNEGATE_CONNECT_TIMEOUT)", what, s.server.cfg.ConnectTimeout)
}

// connectReason classifies a CONNECT that packets refused.
func connectReason(err error) Reason {
	switch {
	case errors.Is(err, packets.ErrVersion):
		return ConnectVersion
	case errors.Is(err, packets.ErrTooLarge):
		return ConnectTooLarge
	case errors.Is(err, packets.ErrClientID):
		return ClientIDNotAllowed
	}
	return ConnectMalformed
}

// decide is step 6: nil lets the client in as the owner of its certificate.
func (s *session) decide(id identity) error {
	if err := id.verdict(s.server.cfg.Admit, s.role); err != nil {
		return err
	}
	s.owner = id.owner
	if err := s.server.cfg.ClientID.check(s.clientID, s.owner); err != nil {
		return because(ClientIDNotAllowed, err)
	}
	return s.acquireSession()
}

// connectBroker is steps 7 and 8 up to the broker's answer, which it passes on to the client.
func (s *session) connectBroker(ctx context.Context, connect *packets.Connect, id identity) error {
	hello, err := s.forBroker(connect)
	if err != nil {
		return err
	}
	if !s.server.descriptors.Take() {
		return because(LimitConnections, errNoDescriptors)
	}
	s.lease = s.server.cfg.Lease(s.owner, s.clientID)
	broker, err := s.server.backends.open(ctx, s.lease, hello, s.version)
	if err != nil {
		s.server.descriptors.Give()
		return err
	}
	s.join(broker)
	if err := s.enter(id); err != nil {
		return err
	}
	answer := append(broker.reply.Bytes, broker.rest...)
	if err := s.down.Follow(answer); err != nil {
		return because(BackendClosed, err)
	}
	s.setDeadlines(time.Now().Add(s.server.cfg.ConnackTimeout))
	if err := s.write(answer); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return because(ClientClosed, err)
		}
		s.over(ClientClosed, err) // a client that has left; what it had sent before still goes to the broker
		s.writeFailed = true
	}
	s.setDeadlines(time.Time{})
	return nil
}

// join makes the broker the other side of the session.
func (s *session) join(b *brokerConn) {
	client := relay.End{Conn: &s.client.Conn, TLS: s.tls, Record: s.server.cfg.MaxRecord}
	if s.ws != nil {
		client.Framing = s.ws
	}
	s.backendAddr, s.connack = b.addr, connackOf(b.reply)
	s.up.Connect(client, b.link.end(), s)
	s.down.Connect(b.link.end(), client, s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backend = b.link.conn
	if s.stopped {
		s.halt(s.backend.NetConn())
	}
}

// refuse ends a connection that was not established, with a CONNACK where the table or a broker has one.
func (s *session) refuse(err error) {
	var end *endError
	if errors.As(err, &end) {
		s.over(end.reason, end.err)
	}
	connack := s.fitting(s.reason.appendConnack(nil, s.version))
	if end != nil && end.reply != nil && end.reason == s.reason { // nothing else came first
		s.connack, connack = connackOf(end.reply), end.reply.Bytes
	}
	if len(connack) > 0 && s.backend == nil {
		_ = s.client.SetWriteDeadline(time.Now().Add(refusalTimeout))
		s.writeFailed = s.write(connack) != nil
	}
}

// fitting returns the first of the packets that the client takes, which may have said how large one may be
// [MQTT-3.1.2-24]; nil = none.
func (s *session) fitting(candidates ...[]byte) []byte {
	for _, packet := range candidates {
		if s.maxPacket == 0 || uint64(len(packet)) <= uint64(s.maxPacket) {
			return packet
		}
	}
	return nil
}

// close is step 9, the one place where a connection ends.
func (s *session) close() {
	s.server.live.remove(s)
	s.creditClient()
	s.up.Release()
	s.down.Release()
	if !s.writeFailed {
		if s.client.Pending() { // an answer of crypto/tls to what the client sent
			_ = s.client.SetWriteDeadline(time.Now().Add(silenceTimeout))
			_ = s.client.Flush()
		}
		s.closeWebSocket()
		_ = s.tls.CloseWrite() // close_notify; fails when the handshake did, and then the alert was the last word
	}
	s.releaseWebSocket()
	patience := silenceTimeout
	if s.backend != nil {
		patience = s.reason.patience()
		s.sayCloseNotify()
	}
	lingerClose(time.Now().Add(patience), s.speaking()...)
	for range s.conns() {
		s.server.descriptors.Give()
	}
	if s.lease != nil {
		if s.dropped() {
			s.lease.Dropped(s.began.Add(time.Duration(s.lived) * time.Millisecond))
		}
		s.lease.Release()
	}
	s.releaseLimits()
	if s.newcomer != nil { // and has failed
		s.server.pending.Remove(&s.newcomer.slot.pending)
	}
	s.server.forget(s)
	s.report()
	s.server.running.Done()
}

// dropped reports whether the broker has ended the session without a reason that could be seen: its own DISCONNECT, or
// that of the client.
func (s *session) dropped() bool {
	return s.reason == BackendClosed && s.disconnect() == noDisconnect
}

// over notes why the session ends, and reports whether that counts: what came first is the cause of the rest.
func (s *session) over(reason Reason, err error) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason != 0 {
		return false
	}
	s.reason, s.err = reason, err
	s.lived = uint32(min(time.Since(s.began).Milliseconds(), math.MaxUint32))
	return true
}

// stop ends the session for a reason of ours, from any goroutine and in any step: nothing more is taken from
// the client, what has been read is still delivered, and a 5.0 client learns the reason. Only the first call
// counts: a second one would cut short the packet that the first has left to be completed.
func (s *session) stop(reason Reason, err error) {
	s.over(reason, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.stopped = true
	for _, c := range s.conns() {
		s.halt(c)
	}
	s.detach()
}

// halt ends what a stopped session waits for on a connection; mu must be held.
func (s *session) halt(c net.Conn) {
	_ = c.SetReadDeadline(aLongTimeAgo)
	_ = c.SetWriteDeadline(time.Now().Add(s.reason.patience()))
}

// stoppedBy reports whether the session was stopped, and why.
func (s *session) stoppedBy() (Reason, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason, s.stopped
}

// cut closes the connections without ceremony, from any goroutine.
func (s *session) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns() {
		_ = c.Close()
	}
	s.detach()
}

// conns are the connections there are, the client's first; mu must be held, or the session be over.
func (s *session) conns() []net.Conn {
	if s.backend == nil {
		return []net.Conn{s.client.NetConn()}
	}
	return []net.Conn{s.client.NetConn(), s.backend.NetConn()}
}

// speaking closes the connections whose peers have ended, and returns the others. There is no harm in that: nothing
// more comes from those (see lingerClose).
func (s *session) speaking() (others []net.Conn) {
	silent := []bool{s.up.SourceEnded(), s.down.SourceEnded()}
	for i, c := range s.conns() {
		if silent[i] {
			_ = c.Close()
		} else {
			others = append(others, c)
		}
	}
	return others
}

// setDeadlines gives the client until t for what comes next; zero = no limit. It takes a time because a duration that has
// run out must not read as no limit.
func (s *session) setDeadlines(t time.Time) {
	_ = s.client.SetDeadline(t) // both at once is one timer
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		s.halt(s.client.NetConn())
	}
}

// setReadDeadline keeps a session that was stopped from waiting for bytes again.
func (s *session) setReadDeadline(c net.Conn, t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		t = aLongTimeAgo
	}
	_ = c.SetReadDeadline(t)
}

// setWriteDeadline leaves a session that was stopped the time that it has for c, which halt has set: it neither gets longer, nor
// ends before what was read is written.
func (s *session) setWriteDeadline(c net.Conn, t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		_ = c.SetWriteDeadline(t)
	}
}
