// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	proxyproto "github.com/pires/go-proxyproto"
)

// FakeBroker is a broker that behaves like VerneMQ where Mosquitto does not:
//
//   - It ignores what follows CONNECT in the same read until more bytes arrive.
//   - When it is full, connections succeed and nothing is ever said on them.
//   - It closes with RST, never with FIN.
//
// It answers CONNECT, SUBSCRIBE, PUBLISH and PINGREQ and delivers nothing but what is
// written to a session. It keeps every byte that it receives, unless DiscardTraffic is
// set. Its methods are safe for concurrent use.
type FakeBroker struct {
	Addr string // host:port

	listener net.Listener
	serving  sync.WaitGroup

	mu       sync.Mutex
	behavior Behavior
	sessions []*FakeSession
	arrived  chan struct{} // closed and replaced by whatever Wait waits for
	closed   bool
}

// Behavior is how a FakeBroker treats the connections it accepts from now on.
type Behavior struct {
	// Silent accepts connections and says nothing: a node at max_connections.
	Silent bool

	// Proxy expects a PROXY header, which has to come whole in the first segment,
	// and resets a connection without one.
	Proxy bool

	// Connack answers CONNECT in place of an acceptance.
	Connack []byte

	// AfterConnack is sent right behind the CONNACK; then the connection is reset.
	// nil keeps the connection.
	AfterConnack []byte

	// DiscardTraffic keeps the first read of a connection, which holds its CONNECT, and
	// only counts the packets of the rest: for traffic without end.
	DiscardTraffic bool
}

// FakeSession is one connection that reached the FakeBroker.
type FakeSession struct {
	broker *FakeBroker
	conn   net.Conn
	bytes  []byte  // guarded by broker.mu
	counts [16]int // whole packets by type; guarded by broker.mu
	ended  bool    // guarded by broker.mu

	version Version            // of its CONNECT; used by serve alone
	header  *proxyproto.Header // used by serve alone
}

// StartFakeBroker starts a fake broker. The caller closes it.
func StartFakeBroker() (*FakeBroker, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the fake broker: %w", err)
	}
	d := &FakeBroker{Addr: l.Addr().String(), listener: l, arrived: make(chan struct{})}
	d.serving.Go(d.accept)
	return d, nil
}

// SetBehavior changes the behavior for connections that are accepted from now on.
func (d *FakeBroker) SetBehavior(h Behavior) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.behavior = h
}

// Close stops listening, resets every connection and waits until all is over.
func (d *FakeBroker) Close() error {
	err := d.listener.Close()
	d.mu.Lock()
	d.closed = true
	for _, s := range d.sessions {
		reset(s.conn)
	}
	d.mu.Unlock()
	d.serving.Wait()
	return err
}

// Sessions returns the connections on which something has come so far, oldest
// first. One that only connects and hangs up is a probe of whether there is a
// broker.
func (d *FakeBroker) Sessions() []*FakeSession {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(d.sessions), func(s *FakeSession) bool { return len(s.bytes) == 0 })
}

// Bytes returns everything that has come on this connection.
func (s *FakeSession) Bytes() []byte {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	return append([]byte(nil), s.bytes...)
}

// Packets is how many whole packets of a type (1 is CONNECT) have come on this
// connection and been dealt with.
func (s *FakeSession) Packets(kind byte) int {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	return s.counts[kind]
}

// Ended reports whether the connection is over.
func (s *FakeSession) Ended() bool {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	return s.ended
}

// Write sends bytes to the client, whatever they are. Nobody makes sure that they do
// not come between two bytes of an answer but whoever knows that there is none to give.
func (s *FakeSession) Write(p []byte) (int, error) { return s.conn.Write(p) }

// Wait waits until done says so of the connections; it is asked again whenever
// bytes arrive or a connection begins. what names it when ctx ends first.
func (d *FakeBroker) Wait(ctx context.Context, what string, done func([]*FakeSession) bool) error {
	for {
		d.mu.Lock()
		arrived := d.arrived
		d.mu.Unlock()
		if done(d.Sessions()) {
			return nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the fake broker to see %s: %w", what, ctx.Err())
		}
	}
}

// notify wakes what waits. d.mu is held.
func (d *FakeBroker) notify() {
	close(d.arrived)
	d.arrived = make(chan struct{})
}

// accept serves until the listener is closed.
func (d *FakeBroker) accept() {
	for {
		conn, err := d.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond) // out of descriptors, say: those come back
			continue
		}
		d.admit(conn)
	}
}

// admit begins a session.
func (d *FakeBroker) admit(conn net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		reset(conn)
		return
	}
	s := &FakeSession{broker: d, conn: conn}
	d.sessions = append(d.sessions, s)
	d.notify()
	behavior := d.behavior
	d.serving.Go(func() { s.serve(behavior) })
}

// reset closes with RST.
func reset(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0) // the connection may be gone
	conn.Close()
}

// serve reads until the other side closes. A read is the measure of what is
// coalesced: the first one that completes CONNECT has CONNECT answered alone, and
// what came with it waits for the next.
func (s *FakeSession) serve(h Behavior) {
	defer s.end()
	buf := make([]byte, 8<<10)
	var pending []byte
	for connected := false; ; {
		n, err := s.conn.Read(buf)
		if err != nil {
			return
		}
		s.record(h, buf[:n])
		if h.Silent {
			continue
		}
		pending = append(pending, buf[:n]...)
		if h.Proxy && s.header == nil {
			if pending = s.cutHeader(pending); s.header == nil {
				return
			}
		}
		for packet, rest := cutPacket(pending); packet != nil; packet, rest = cutPacket(pending) {
			pending = rest
			s.count(packet[0] >> 4)
			if !s.answer(h, packet) {
				return
			}
			if !connected {
				connected = true
				break
			}
		}
	}
}

// end closes the connection.
func (s *FakeSession) end() {
	reset(s.conn)
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	s.ended = true
}

// count counts a packet.
func (s *FakeSession) count(kind byte) {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	s.counts[kind]++
}

// record keeps what has come.
func (s *FakeSession) record(h Behavior, p []byte) {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	if !h.DiscardTraffic || len(s.bytes) == 0 {
		s.bytes = append(s.bytes, p...)
	}
	s.broker.notify()
}
