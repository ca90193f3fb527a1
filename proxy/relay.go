// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/vernegate/vernegate/packets"
	"github.com/vernegate/vernegate/proxy/relay"
)

// relay is step 8, once the broker has answered: both directions until both have ended. It returns when they have
// begun.
func (s *session) relay() {
	s.open.Store(2)
	s.server.loops.Start(&s.up, &s.down)
}

// detach takes both directions from their loop, since the session is coming to its end.
func (s *session) detach() {
	s.up.Detach()
	s.down.Detach()
}

// PipeEnded is what becomes of a session when one direction has ended; with the second one it is over. It implements
// relay.Handler.
func (s *session) PipeEnded(p *relay.Pipe, r relay.Result) {
	s.detach()
	if p == &s.up {
		s.upEnded(r)
	} else {
		s.downEnded(r)
	}
	if s.open.Add(-1) == 0 {
		s.server.cfg.Metrics.sessions[s.role].Dec()
		s.close()
	}
}

// upEnded is the end of what the client sends. When the client ends, everything it sent is written before the broker
// sees the FIN, which VerneMQ takes for the end of both directions; what the broker still has to say goes on.
func (s *session) upEnded(r relay.Result) {
	switch r.Cause {
	case relay.ProtocolViolation:
		s.stop(protocolReason(r.Err), r.Err)
	case relay.DestinationFailed:
		if errors.Is(r.Err, os.ErrDeadlineExceeded) { // that of Linger, unless the session was over already
			s.over(ClientClosed, errNotTaken)
		}
		s.over(BackendClosed, r.Err)
	default:
		s.clientOver(r.Err)
	}
	if _, stopped := s.stoppedBy(); stopped {
		return // the broker must not end yet: a packet of it may be half way to the client
	}
	s.sayCloseNotify()
	_ = closeWrite(s.backend.NetConn()) // fails when the broker is gone, which the other direction will see
	soon := time.Now().Add(lingerTimeout)
	s.setReadDeadline(s.backend.NetConn(), soon)
	s.setWriteDeadline(s.client.NetConn(), soon)
}

// errNotTaken is the detail of a client that has left behind what its broker does not take.
var errNotTaken = fmt.Errorf("the broker took nothing of what the client had sent for %v", lingerTimeout)

// errNotRead is the detail of a broker that has left behind what its client does not take.
var errNotRead = fmt.Errorf("the client took nothing of what the broker had sent for %v", lingerTimeout)

// Linger implements relay.Handler. One side that stops reading may hold up the other for as long as that likes, but not what
// the session has acquired once the other has left. A client that is gone is ended by the system, see package listen.
func (s *session) Linger(p *relay.Pipe) (until time.Time) {
	if soon := time.Now().Add(lingerTimeout); s.extend(p, soon) {
		until = soon
	}
	return until
}

// Wake implements relay.Handler.
func (s *session) Wake(p *relay.Pipe) { s.extend(p, aLongTimeAgo) }

// extend gives the destination of p until t to take what is written to it, unless it has its last deadline.
func (s *session) extend(p *relay.Pipe, t time.Time) bool {
	if p == &s.up {
		return s.extendWriting(t)
	}
	return s.extendDelivery(t)
}

// extendDelivery is extend for the client.
func (s *session) extendDelivery(t time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason != 0 { // and so the deadline that comes with it
		return false
	}
	_ = s.client.SetWriteDeadline(t)
	return true
}

// extendWriting is extend for the broker.
func (s *session) extendWriting(t time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || s.written {
		return false
	}
	_ = s.backend.SetWriteDeadline(t)
	return true
}

// endWriting gives the broker until t to take what is written to it, for good. That of a session that was stopped stays.
func (s *session) endWriting(t time.Time) {
	s.mu.Lock()
	s.written = true
	s.mu.Unlock()
	s.setWriteDeadline(s.backend.NetConn(), t)
}

// sayCloseNotify ends TLS with the broker, if there is TLS, from our side (RFC 8446 §6.1): without that a broker takes the
// end for a loss. Only the first call does something.
func (s *session) sayCloseNotify() {
	if over := s.up.DestinationTLS(); over != nil {
		_ = s.backend.WriteLater(func() error {
			err := over.CloseWrite() // sets a write deadline that has passed, also when the session was stopped
			s.mu.Lock()
			defer s.mu.Unlock()
			s.written = true
			_ = s.backend.SetWriteDeadline(time.Now().Add(silenceTimeout))
			return err
		})
	}
}

// protocolReason classifies what relay refuses to forward.
func protocolReason(err error) Reason {
	if errors.Is(err, relay.ErrConnectAgain) {
		return ConnectAgain
	}
	return PacketMalformed
}

// downEnded is the end of what the broker sends. When the broker ends, nobody is left to hear the client. When the
// client does not take any more, what it had sent before may still be on its way up.
func (s *session) downEnded(r relay.Result) {
	if r.Cause == relay.DestinationFailed {
		s.writeFailed = !endedByFrame(r.Err)
		if errors.Is(r.Err, os.ErrDeadlineExceeded) && s.over(BackendClosed, errNotRead) { // that of Linger
			s.hearNobody()
			return
		}
		s.clientOver(r.Err)
		soon := time.Now().Add(lingerTimeout)
		s.setReadDeadline(s.client.NetConn(), soon)
		s.endWriting(soon)
		return
	}
	s.over(BackendClosed, r.Err)
	if reason, stopped := s.stoppedBy(); stopped {
		s.sendDisconnect(reason)
	}
	s.hearNobody()
}

// hearNobody ends what the client sends, as the broker has ended.
func (s *session) hearNobody() {
	_ = s.client.SetReadDeadline(aLongTimeAgo)
	s.endWriting(aLongTimeAgo)
}

// sendDisconnect completes the packet that is half way to the client and then tells a 5.0 client why its session ends:
// a DISCONNECT can only stand between two packets, and only once a CONNACK has let the client in (5.0, 3.14).
func (s *session) sendDisconnect(reason Reason) {
	_ = s.backend.SetReadDeadline(time.Now().Add(reason.patience()))
	if r := s.down.Finish(); r.Cause != relay.AtPacketBoundary {
		s.writeFailed = r.Cause == relay.DestinationFailed && !endedByFrame(r.Err)
		return
	}
	code := reason.DisconnectCode()
	if s.version != packets.V5 || code == 0 || !s.connack.accepted() {
		return
	}
	disconnect := s.fitting(packets.AppendDisconnect(nil, code))
	if other := s.server.cfg.ServerReference; reason == Shutdown && other != "" {
		disconnect = s.fitting(packets.AppendRedirect(nil, other), disconnect)
	}
	if disconnect == nil {
		return
	}
	_ = s.client.WriteLater(func() error {
		return s.write(disconnect)
	})
}
