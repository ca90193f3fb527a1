// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package websocket carries MQTT in the binary frames of WebSocket (RFC 6455; MQTT 5.0, section 6).
//
// An [Endpoint] answers the HTTP request that asks for it, and makes a [Stream], which turns frames into the bytes of MQTT
// and back. github.com/coder/websocket does the protocol. It is only ever called when all bytes are there that it is going
// to read, and what it writes is collected: so a Stream never waits, needs no goroutine, and holds no buffer while its
// client is silent.
//
// It looks at no MQTT packets, sets no deadlines and closes no connections.
package websocket

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/coder/websocket"
)

const (
	// maxMessage is the size of the largest packet of MQTT in bytes, its fixed header included (5.0, 2.1.4). A message
	// may hold several packets, and a packet may be in several messages [MQTT-6.0.0-2], but none needs a larger one.
	maxMessage = 268_435_455 + 5
	// maxFrames bounds what one Decode does. A frame without data takes as long as some hundred bytes, so that bytes
	// alone would let a client hold up others.
	maxFrames = 512
	// controlCost is how many frames a control frame counts for: it is answered.
	controlCost = 8
	// readSize is how much Read reads at a time, in bytes.
	readSize = 1 << 10
)

// A Stream is one connection behind its upgrade. Its methods may be called concurrently, but Read and Decode by one
// goroutine at a time, and each byte that came from the client has to go to one of the two.
//
// It holds resources until Close or Release.
type Stream struct {
	source io.Reader
	sink   io.Writer

	mu      sync.Mutex // guards what follows
	conn    *websocket.Conn
	wire    wire
	message io.Reader // the latest message
	left    int       // how many bytes of the payload of its latest frame are to come
	partial bool      // more frames of it are to come
	failed  error     // why nothing more is decoded; nil = it is
	ended   error     // how the client has ended; nil = it has not
}

// background has no deadline, so that coder/websocket starts neither timers nor goroutines for it.
var background = context.Background()

// Read reads bytes of MQTT, and waits for them. The error is that of the source, a *ClosedError or a *FrameError.
func (s *Stream) Read(p []byte) (n int, err error) {
	for n == 0 && err == nil && len(p) > 0 {
		if !s.Pending() {
			chunk := make([]byte, readSize)
			got, readErr := s.source.Read(chunk)
			if got == 0 && readErr != nil {
				return 0, readErr
			}
			s.keep(chunk[:got])
		}
		n, err = s.Decode(p, nil)
	}
	return n, err
}

// keep adds to what is to be decoded.
func (s *Stream) keep(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wire.fresh = b
	s.wire.keep()
}

// Pending reports whether Decode can give or do more without more bytes from the client.
func (s *Stream) Pending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending()
}

// pending is Pending with mu held.
func (s *Stream) pending() bool {
	if s.failed != nil {
		return false
	}
	_, whole := s.wire.head()
	return whole || s.left > 0 && s.wire.size() > 0
}

// EndWith notes how the client ends behind what the next Decode receives. Decode returns err once nothing is pending. A client
// that has ended may still read.
func (s *Stream) EndWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = err
}

// Decode decodes what is pending, and then received, which the client has sent behind it. It puts the bytes of MQTT into dst,
// and returns how many there are; with an error, those before it. It does not wait; what it does not take it keeps for the
// next call. dst and received may begin at the same byte unless something is pending.
//
// What is to be answered goes to the sink: pongs, and the client's close frame. The error is a *ClosedError, a *FrameError
// or that of EndWith, and stays.
func (s *Stream) Decode(dst, received []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return 0, s.failed
	}
	s.wire.fresh = received
	n, s.failed = s.decode(dst)
	s.wire.keep()
	_ = s.flush() // whoever writes next sees the error, too
	if s.failed == nil && s.ended != nil && !s.pending() {
		return n, s.ended
	}
	return n, s.failed
}

// decode is Decode with mu held.
func (s *Stream) decode(dst []byte) (n int, err error) {
	for budget := maxFrames; n < len(dst); {
		if s.left > 0 {
			size := min(s.left, s.wire.size(), len(dst)-n)
			if size == 0 {
				return n, nil
			}
			got, err := s.payload(dst[n : n+size])
			n += got
			if err != nil {
				return n, err
			}
			continue
		}
		h, whole := s.wire.head()
		if !whole || budget <= 0 {
			return n, nil
		}
		budget--
		if h.control {
			budget -= controlCost - 1
		}
		if err := s.frame(h); err != nil {
			return n, err
		}
	}
	return n, nil
}

// frame has the head of a frame read, which is there, and all of the frame if it is a control frame.
func (s *Stream) frame(h head) error {
	if h.payload > maxMessage {
		return &FrameError{int(websocket.StatusMessageTooBig), errTooLarge}
	}
	s.wire.limit = h.bytes()
	err := s.next()
	s.wire.limit = 0
	if err != nil && !errors.Is(err, errNoMore) {
		return s.fault(err)
	}
	if !h.control {
		s.left, s.partial = int(h.payload), !h.final
	}
	return nil
}

// next has coder/websocket read the head of a frame. After a control frame, and after a part of a message that is empty, it
// looks for the next one, and errNoMore ends that: between two frames an error of reading does it no harm.
func (s *Stream) next() error {
	if s.partial {
		if _, err := s.message.Read(nil); err != io.EOF {
			return err
		}
		return nil
	}
	kind, message, err := s.conn.Reader(background)
	if err != nil {
		return err
	}
	if kind != websocket.MessageBinary { // [MQTT-6.0.0-1]
		return &FrameError{int(websocket.StatusUnsupportedData), errText}
	}
	s.message = message
	return nil
}

// payload has p filled with the payload of a frame, which is there.
func (s *Stream) payload(p []byte) (int, error) {
	s.wire.limit = len(p)
	n, err := s.message.Read(p)
	s.wire.limit = 0
	s.left -= n
	if err != nil {
		return n, s.fault(err)
	}
	return n, nil
}

// fault says in terms of this package what coder/websocket has found wrong. It has sent a close frame in most cases.
func (s *Stream) fault(err error) error {
	if frame := (*FrameError)(nil); errors.As(err, &frame) {
		return frame
	}
	if code := websocket.CloseStatus(err); code >= 0 {
		return &ClosedError{int(code)}
	}
	code := websocket.StatusProtocolError
	if errors.Is(err, websocket.ErrMessageTooBig) {
		code = websocket.StatusMessageTooBig
	}
	return &FrameError{int(code), err}
}

// Write sends b as one binary message. It waits only where the sink does. The error is that of the sink, or why nothing more
// is decoded: after a close frame nothing must be sent (RFC 6455 §5.5.1).
func (s *Stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return 0, s.failed
	}
	buffer := buffers.Get().(*[]byte)
	defer func() {
		if cap(*buffer) <= keptSize {
			buffers.Put(buffer)
		}
	}()
	s.wire.out = (*buffer)[:0]
	err := s.conn.Write(background, websocket.MessageBinary, b)
	*buffer = s.wire.out[:0]
	if err == nil {
		err = s.flush()
	}
	s.wire.out = nil
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

// keptSize bounds the buffers that are kept for frames on their way out, in bytes.
const keptSize = 256 << 10

// buffers are for frames on their way out.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// flush sends what was collected.
func (s *Stream) flush() error {
	if len(s.wire.out) == 0 {
		return nil
	}
	_, err := s.sink.Write(s.wire.out)
	s.wire.out = nil
	return err
}

// Close sends a close frame, unless there was one. After a *FrameError the code in it is the one that counts.
func (s *Stream) Close(code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if frame := (*FrameError)(nil); errors.As(s.failed, &frame) {
		code = frame.Code
	}
	_ = s.conn.Close(websocket.StatusCode(code), "") // looks for the client's, of which nothing is there
	_ = s.flush()
	s.fail()
}

// Release is Close without a word.
func (s *Stream) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.conn.CloseNow()
	s.fail()
}

// fail makes an end of decoding and writing.
func (s *Stream) fail() {
	if s.failed == nil {
		s.failed = errClosed
	}
	s.wire = wire{}
}
