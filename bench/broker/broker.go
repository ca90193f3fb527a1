// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package broker is the least that a proxy can have behind it and still be measured: it lets everybody in, echoes or
// drops what is published to it, and publishes to its subscribers what it is told to.
package broker

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/vernegate/vernegate/bench/wire"
)

// Sizes of buffers: sessions have small ones of their own, so that there can be many; a session that moves large packets
// borrows a large one.
const (
	smallBuffer = 2 << 10
	largeBuffer = 128 << 10
)

// A Broker listens on a loopback port of its own, or at a Unix socket. Its methods are safe for concurrent use.
type Broker struct {
	Addr string // host:port, or unix:/path

	l       net.Listener
	err     error // why no more are accepted; written by accept alone
	dropped atomic.Int64
	large   sync.Pool // of *[largeBuffer]byte
	serving sync.WaitGroup

	mu          sync.Mutex
	conns       map[net.Conn]struct{} // nil once closed
	subscribers map[net.Conn]struct{}
}

// Start starts a broker at a loopback port. The caller closes it.
func Start() (*Broker, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the broker: %w", err)
	}
	return serve(l, l.Addr().String()), nil
}

// StartAtSocket starts a broker at a Unix socket. The caller closes it.
func StartAtSocket(path string) (*Broker, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("starting the broker: %w", err)
	}
	return serve(l, "unix:"+path), nil
}

func serve(l net.Listener, addr string) *Broker {
	b := &Broker{
		Addr:        addr,
		l:           l,
		large:       sync.Pool{New: func() any { return new([largeBuffer]byte) }},
		conns:       make(map[net.Conn]struct{}),
		subscribers: make(map[net.Conn]struct{}),
	}
	b.serving.Go(b.accept)
	return b
}

// Close ends the broker with all its sessions and waits for them. The error is what has gone wrong while it served,
// too.
func (b *Broker) Close() error {
	err := b.l.Close()
	b.mu.Lock()
	for c := range b.conns {
		_ = c.Close() // the first error counts, and that was the listener's
	}
	b.conns = nil
	b.mu.Unlock()
	b.serving.Wait()
	return errors.Join(err, b.err)
}

// Drop ends all sessions. The broker goes on accepting.
func (b *Broker) Drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		_ = c.Close() // its own goroutine forgets it
	}
}

// Dropped returns how many bytes of packets were dropped so far.
func (b *Broker) Dropped() int64 { return b.dropped.Load() }

// Publish writes a packet to every subscriber, one after the other, and skips those who are gone.
func (b *Broker) Publish(packet []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.subscribers {
		if _, err := c.Write(packet); err != nil {
			delete(b.subscribers, c)
		}
	}
}

func (b *Broker) accept() {
	for {
		c, err := b.l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // a lack of descriptors: the load will wait in vain, and whoever closes us learns why
			b.err = err
			return
		}
		if b.join(c) {
			b.serving.Go(func() {
				defer b.leave(c)
				s := session{b, c, bufio.NewReaderSize(c, smallBuffer), bufio.NewWriterSize(c, smallBuffer)}
				_ = s.serve() // how clients and proxies leave is not what is measured
			})
		}
	}
}

// join reports whether the connection is to be served.
func (b *Broker) join(c net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conns == nil {
		_ = c.Close()
		return false
	}
	b.conns[c] = struct{}{}
	return true
}

func (b *Broker) leave(c net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, c)
	delete(b.subscribers, c)
	_ = c.Close()
}

// A session is one connection of a broker.
type session struct {
	broker *Broker
	conn   net.Conn
	r      *bufio.Reader
	w      *bufio.Writer
}

// serve answers until the client or the proxy ends.
func (s *session) serve() error {
	for {
		if s.r.Buffered() == 0 {
			if err := s.w.Flush(); err != nil {
				return err
			}
		}
		first, remaining, err := wire.ReadHeader(s.r)
		if err != nil {
			return err
		}
		if err := s.packet(first, remaining); err != nil {
			return err
		}
	}
}

// packet does what a packet asks for, whose header was read.
func (s *session) packet(first byte, remaining int) error {
	switch first >> 4 {
	case wire.Connect:
		return s.answer(remaining, wire.Connack)
	case wire.Subscribe:
		s.broker.mu.Lock() // from the SUBACK on, the client gets every packet
		defer s.broker.mu.Unlock()
		s.broker.subscribers[s.conn] = struct{}{}
		return s.answer(remaining, wire.Suback)
	case wire.Publish:
		return s.published(first, remaining)
	case wire.Disconnect:
		return io.EOF
	}
	return fmt.Errorf("a packet of type %d", first>>4)
}

func (s *session) answer(remaining int, with []byte) error {
	if _, err := s.r.Discard(remaining); err != nil {
		return err
	}
	if _, err := s.w.Write(with); err != nil {
		return err
	}
	return s.w.Flush() // before Publish writes beside us
}

// published echoes or drops a PUBLISH. One that is echoed leaves in one piece.
func (s *session) published(first byte, remaining int) error {
	topic, err := s.r.Peek(3)
	if err != nil {
		return err
	}
	large := s.broker.large.Get().(*[largeBuffer]byte)
	defer s.broker.large.Put(large)
	if topic[2] == wire.Drop {
		return s.drop(large[:], remaining)
	}
	head := wire.AppendHeader(large[:0], first, remaining)
	whole := large[:len(head)+remaining]
	if _, err := io.ReadFull(s.r, whole[len(head):]); err != nil {
		return err
	}
	_, err = s.w.Write(whole) // what is larger than its buffer goes around it
	return err
}

func (s *session) drop(scratch []byte, remaining int) error {
	for remaining > 0 {
		n, err := s.r.Read(scratch[:min(remaining, len(scratch))])
		s.broker.dropped.Add(int64(n))
		remaining -= n
		if err != nil {
			return err
		}
	}
	return nil
}
