// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"io"
	"net"
	"time"
)

const (
	// lingerTimeout is how long one side may take to end after the other has: to read what is still on its
	// way to it, and to close.
	lingerTimeout = 10 * time.Second
	// hangUpTimeout is how long hangUp waits for the peer's own end.
	hangUpTimeout = time.Second
	// hangUpBytes is how much hangUp reads away meanwhile.
	hangUpBytes = 64 << 10
)

// aLongTimeAgo is a deadline that has passed: it ends waiting reads and writes at once.
var aLongTimeAgo = time.Unix(1, 0)

// A pipe is one direction of a session. Writing is what paces reading: while dst does not take bytes, none are
// read from src, so that back-pressure reaches the sender.
type pipe struct {
	src   *source
	dst   io.Writer
	bytes int64 // carried so far; to be read when the pipe has ended
}

// carry copies until src ends (readErr, io.EOF for an orderly end) or dst does (writeErr). What was read
// before src ended has been written.
func (p *pipe) carry() (readErr, writeErr error) {
	for {
		b, readErr := p.src.next()
		if len(b) > 0 {
			n, writeErr := p.dst.Write(b)
			p.src.release()
			p.bytes += int64(n)
			if writeErr != nil {
				return nil, writeErr
			}
		}
		if readErr != nil {
			return readErr, nil
		}
	}
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
	readErr, writeErr := s.up.carry()
	if writeErr != nil {
		s.over(BackendClosed, writeErr)
	} else {
		s.over(ClientClosed, readErr)
		_ = closeWrite(s.backend.Conn) // fails when the broker is gone, which relayDown will see
	}
	soon := time.Now().Add(lingerTimeout)
	s.setReadDeadline(s.backend.Conn, soon)
	_ = s.client.SetWriteDeadline(soon)
}

// relayDown carries what the broker sends. When the broker ends, nobody is left to hear the client. When the
// client does not take any more, what it had sent before may still be on its way up.
func (s *session) relayDown() {
	readErr, writeErr := s.down.carry()
	if writeErr != nil {
		s.over(ClientClosed, writeErr)
		soon := time.Now().Add(lingerTimeout)
		s.setReadDeadline(s.client.Conn, soon)
		_ = s.backend.SetWriteDeadline(soon)
		return
	}
	s.over(BackendClosed, readErr)
	_ = s.client.SetReadDeadline(aLongTimeAgo)
	_ = s.backend.SetWriteDeadline(aLongTimeAgo)
}

// hangUp ends a connection so that what was written to it arrives: its end first, then reading until the peer
// ends too, within bounds. To close with unread bytes makes the kernel send RST, which can overtake and discard
// a CONNACK or a TLS alert that the peer has not read yet.
func hangUp(c net.Conn) {
	if closeWrite(c) == nil && c.SetReadDeadline(time.Now().Add(hangUpTimeout)) == nil {
		_, _ = io.CopyN(io.Discard, c, hangUpBytes)
	}
	_ = c.Close()
}

// closeWrite sends the end of the stream where the connection can do so in one direction.
func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
