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

	"github.com/vernegate/vernegate/packets"
)

const (
	// lingerTimeout is how long one side may take to end after the other has: to read what is still on its
	// way to it, and to close.
	lingerTimeout = 10 * time.Second
	// hangUpTimeout is how long hangUp waits for the end of a peer that is silent, or was refused.
	hangUpTimeout = time.Second
)

// aLongTimeAgo is a deadline that has passed: it ends waiting reads and writes at once.
var aLongTimeAgo = time.Unix(1, 0)

// relay is step 8, once the broker has answered: both directions until both have ended. It returns when they have
// begun.
func (s *session) relay() {
	s.open.Store(2)
	if s.server.pollers.adopt(s) {
		return
	}
	s.relieve()
	go s.up.work()
	go s.down.work()
}

// relieve takes both directions from the poller, since the session is coming to its end.
func (s *session) relieve() {
	s.up.relieve()
	s.down.relieve()
}

// ended is what becomes of a session when one direction has ended; with the second one it is over.
func (s *session) ended(p *pipe, r result) {
	s.relieve()
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
func (s *session) upEnded(r result) {
	switch r.ender {
	case byProtocol:
		s.stop(protocolReason(r.err), r.err)
	case byDestination:
		s.over(BackendClosed, r.err)
	default:
		s.over(ClientClosed, r.err)
	}
	if _, stopped := s.stoppedBy(); stopped {
		return // the broker must not end yet: a packet of it may be half way to the client
	}
	_ = closeWrite(s.backend.Conn) // fails when the broker is gone, which the other direction will see
	soon := time.Now().Add(lingerTimeout)
	s.setReadDeadline(s.backend.Conn, soon)
	_ = s.client.SetWriteDeadline(soon)
}

// protocolReason classifies what pipe.follow refuses.
func protocolReason(err error) Reason {
	if errors.Is(err, errConnectAgain) {
		return ConnectAgain
	}
	return PacketMalformed
}

// downEnded is the end of what the broker sends. When the broker ends, nobody is left to hear the client. When the
// client does not take any more, what it had sent before may still be on its way up.
func (s *session) downEnded(r result) {
	if r.ender == byDestination {
		s.over(ClientClosed, r.err)
		s.deaf = true
		soon := time.Now().Add(lingerTimeout)
		s.setReadDeadline(s.client.Conn, soon)
		_ = s.backend.SetWriteDeadline(soon)
		return
	}
	s.over(BackendClosed, r.err)
	if reason, stopped := s.stoppedBy(); stopped {
		s.farewell(reason)
	}
	_ = s.client.SetReadDeadline(aLongTimeAgo)
	_ = s.backend.SetWriteDeadline(aLongTimeAgo)
}

// farewell completes the packet that is half way to the client and then tells a 5.0 client why its session ends:
// a DISCONNECT can only stand between two packets, and only once a CONNACK has let the client in (5.0, 3.14).
func (s *session) farewell(reason Reason) {
	_ = s.backend.SetReadDeadline(time.Now().Add(reason.patience()))
	if err := s.down.finish(); err != nil {
		s.deaf = errors.Is(err, os.ErrDeadlineExceeded)
		return
	}
	code := reason.Bye()
	if s.version != packets.V5 || code == 0 || !s.connack.accepted() {
		return
	}
	bye := packets.AppendDisconnect(nil, code)
	if other := s.server.cfg.ServerReference; reason == Shutdown && other != "" {
		bye = packets.AppendRedirect(nil, other)
	}
	_, _ = s.tls.Write(bye)
	_ = s.client.drain() // it was collected, if the other direction was in a turn
}

// hangUp ends connections so that what was written to them arrives: our end first, on all of them, then reading
// until the peer ends too, for a time. To close with unread bytes, or before bytes come, makes the kernel send RST,
// which can overtake and discard a CONNACK or a TLS alert that the peer has not read yet. Who falls silent without
// ending is not waited for until latest: nothing that comes from it can do that harm.
func hangUp(latest time.Time, conns ...net.Conn) {
	var ended sync.WaitGroup
	for _, c := range conns {
		if closeWrite(c) != nil {
			_ = c.Close() // it is gone, or cannot be ended in one direction
			continue
		}
		ended.Go(func() {
			hearOut(c, latest)
			_ = c.Close()
		})
	}
	ended.Wait()
}

// hearOut reads until the peer ends, has been silent for hangUpTimeout, or it is too late.
func hearOut(c net.Conn, latest time.Time) {
	for heard, err := int64(1), os.ErrDeadlineExceeded; heard > 0 && errors.Is(err, os.ErrDeadlineExceeded); {
		_ = c.SetReadDeadline(earlier(latest, time.Now().Add(hangUpTimeout)))
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
