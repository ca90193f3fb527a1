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

// Double is a broker with VerneMQ's habits, which Mosquitto lacks:
//
//   - What follows CONNECT in the same read it leaves lying until more bytes arrive.
//   - When it is full, connections succeed and nothing is ever said on them.
//   - It closes with RST, never with FIN.
//
// It answers CONNECT, SUBSCRIBE, PUBLISH and PINGREQ and delivers nothing but what is
// written to a session. Every byte that reaches it is kept, unless its habit is to
// forget. Its methods are safe for concurrent use.
type Double struct {
	Addr string // host:port

	listener net.Listener
	serving  sync.WaitGroup

	mu       sync.Mutex
	habit    Habit
	sessions []*DoubleSession
	arrived  chan struct{} // closed and replaced by whatever Wait waits for
	closed   bool
}

// Habit is how a Double treats the connections it accepts from now on.
type Habit struct {
	// Silent accepts connections and says nothing: a node at max_connections.
	Silent bool

	// Proxy expects a PROXY header, which has to come whole in the first segment,
	// and resets a connection without one.
	Proxy bool

	// Connack answers CONNECT in place of an acceptance.
	Connack []byte

	// Farewell is sent right behind the CONNACK; then the connection is reset.
	// nil keeps the connection.
	Farewell []byte

	// Forgetful keeps the first read of a connection, which holds its CONNECT, and
	// only counts the packets of the rest: for traffic without end.
	Forgetful bool
}

// DoubleSession is one connection that reached the Double.
type DoubleSession struct {
	double *Double
	conn   net.Conn
	bytes  []byte  // guarded by double.mu
	counts [16]int // whole packets by type; guarded by double.mu
	ended  bool    // guarded by double.mu

	version Version            // of its CONNECT; used by serve alone
	header  *proxyproto.Header // used by serve alone
}

// StartDouble starts a broker double. The caller closes it.
func StartDouble() (*Double, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the broker double: %w", err)
	}
	d := &Double{Addr: l.Addr().String(), listener: l, arrived: make(chan struct{})}
	d.serving.Go(d.accept)
	return d, nil
}

// Behave changes the habit for connections that are accepted from now on.
func (d *Double) Behave(h Habit) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.habit = h
}

// Close stops listening, resets every connection and waits until all is over.
func (d *Double) Close() error {
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
func (d *Double) Sessions() []*DoubleSession {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(d.sessions), func(s *DoubleSession) bool { return len(s.bytes) == 0 })
}

// Bytes returns everything that has come on this connection.
func (s *DoubleSession) Bytes() []byte {
	s.double.mu.Lock()
	defer s.double.mu.Unlock()
	return append([]byte(nil), s.bytes...)
}

// Packets is how many whole packets of a type (1 is CONNECT) have come on this
// connection and been dealt with.
func (s *DoubleSession) Packets(kind byte) int {
	s.double.mu.Lock()
	defer s.double.mu.Unlock()
	return s.counts[kind]
}

// Ended says whether the connection is over.
func (s *DoubleSession) Ended() bool {
	s.double.mu.Lock()
	defer s.double.mu.Unlock()
	return s.ended
}

// Write sends bytes to the client, whatever they are. Nobody makes sure that they do
// not come between two bytes of an answer but whoever knows that there is none to give.
func (s *DoubleSession) Write(p []byte) (int, error) { return s.conn.Write(p) }

// Wait waits until done says so of the connections; it is asked again whenever
// bytes arrive or a connection begins. what names it when ctx ends first.
func (d *Double) Wait(ctx context.Context, what string, done func([]*DoubleSession) bool) error {
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
			return fmt.Errorf("waiting for the broker double to see %s: %w", what, ctx.Err())
		}
	}
}

// notify wakes whoever waits. d.mu is held.
func (d *Double) notify() {
	close(d.arrived)
	d.arrived = make(chan struct{})
}

// accept serves until the listener is closed.
func (d *Double) accept() {
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
func (d *Double) admit(conn net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		reset(conn)
		return
	}
	s := &DoubleSession{double: d, conn: conn}
	d.sessions = append(d.sessions, s)
	d.notify()
	habit := d.habit
	d.serving.Go(func() { s.serve(habit) })
}

// reset closes with RST.
func reset(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0) // the connection may be gone
	conn.Close()
}

// serve reads until the other side closes. A read is the measure of what is
// coalesced: the first one that completes CONNECT has CONNECT answered alone, and
// what came with it waits for the next.
func (s *DoubleSession) serve(h Habit) {
	defer s.end()
	buf := make([]byte, 8<<10)
	var pending []byte
	for greeted := false; ; {
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
			if !greeted {
				greeted = true
				break
			}
		}
	}
}

// end closes the connection.
func (s *DoubleSession) end() {
	reset(s.conn)
	s.double.mu.Lock()
	defer s.double.mu.Unlock()
	s.ended = true
}

// count counts a packet.
func (s *DoubleSession) count(kind byte) {
	s.double.mu.Lock()
	defer s.double.mu.Unlock()
	s.counts[kind]++
}

// record keeps what has come.
func (s *DoubleSession) record(h Habit, p []byte) {
	s.double.mu.Lock()
	defer s.double.mu.Unlock()
	if !h.Forgetful || len(s.bytes) == 0 {
		s.bytes = append(s.bytes, p...)
	}
	s.double.notify()
}
