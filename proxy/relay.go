// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
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

// A pipe is one direction of a session. Writing is what paces reading: while dst does not take bytes, none are
// read from src, so that back-pressure reaches the sender.
type pipe struct {
	src    *source
	dst    io.Writer
	frames packets.Framer // follows what was written to dst

	// What has been written to dst, for anyone to read; only who carries adds to it.
	bytes   atomic.Int64
	packets atomic.Uint64 // that have begun
}

// carried returns how many bytes and packets have gone through so far.
func (p *pipe) carried() (bytes int64, packets uint64) { return p.bytes.Load(), p.packets.Load() }

// An ender is what ended a pipe.
type ender uint8

const (
	bySource      ender = iota // the error is io.EOF for an orderly end
	byDestination              // does not take any more
	byProtocol                 // src sent what must not be forwarded
)

// errConnectAgain is a second CONNECT: a client must not send one [MQTT-3.1.0-2], and a broker could take over the
// username in it, which nobody has checked.
var errConnectAgain = errors.New("a CONNECT inside a session")

// carry copies until one of the sides ends. What was read before src ended has been written.
func (p *pipe) carry() (ender, error) {
	for {
		b, readErr := p.src.next()
		if len(b) > 0 {
			whole, protocolErr := p.follow(b)
			writeErr := p.write(b[:whole])
			p.src.release()
			if writeErr != nil {
				return byDestination, writeErr
			}
			if protocolErr != nil {
				return byProtocol, protocolErr
			}
		}
		if readErr != nil {
			return bySource, readErr
		}
	}
}

// follow goes over the packets in b, up to what must not be forwarded.
func (p *pipe) follow(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		if p.frames.AtBorder() && packets.IsConnect(b[n]) {
			return n, errConnectAgain
		}
		var packet int
		packet, err = p.frames.Skip(b[n:])
		n += packet
	}
	return n, err
}

func (p *pipe) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	n, err := p.dst.Write(b)
	p.bytes.Add(int64(n))
	p.packets.Store(p.frames.Packets())
	return err
}

// finish carries the rest of a packet that has begun.
func (p *pipe) finish() error {
	for !p.frames.AtBorder() {
		b, readErr := p.src.next()
		packet, protocolErr := p.frames.Skip(b)
		writeErr := p.write(b[:packet])
		p.src.release()
		if err := errors.Join(writeErr, protocolErr); err != nil {
			return err
		}
		if readErr != nil && !p.frames.AtBorder() {
			return readErr
		}
	}
	return nil
}

// relay is step 8, once the broker has answered: both directions until both have ended.
func (s *session) relay() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.relayUp()
	}()
	s.relayDown()
	<-done
}

// relayUp carries what the client sends. When the client ends, everything it sent is written before the broker
// sees the FIN, which VerneMQ takes for the end of both directions; what the broker still has to say goes on.
func (s *session) relayUp() {
	switch ender, err := s.up.carry(); ender {
	case byProtocol:
		s.stop(protocolReason(err), err)
	case byDestination:
		s.over(BackendClosed, err)
	case bySource:
		s.over(ClientClosed, err)
	}
	if _, stopped := s.stoppedBy(); stopped {
		return // the broker must not end yet: a packet of it may be half way to the client
	}
	_ = closeWrite(s.backend.Conn) // fails when the broker is gone, which relayDown will see
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

// relayDown carries what the broker sends. When the broker ends, nobody is left to hear the client. When the
// client does not take any more, what it had sent before may still be on its way up.
func (s *session) relayDown() {
	switch ender, err := s.down.carry(); ender {
	case byDestination:
		s.over(ClientClosed, err)
		s.deaf = true
		soon := time.Now().Add(lingerTimeout)
		s.setReadDeadline(s.client.Conn, soon)
		_ = s.backend.SetWriteDeadline(soon)
		return
	default:
		s.over(BackendClosed, err)
	}
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
