// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vernegate/vernegate/e2e/stack"
)

// A healthyClient is a client that must not notice what other clients do.
type healthyClient struct {
	client *stack.Client
	topic  string
}

func newHealthyClient(t *testing.T, s *fixture) *healthyClient {
	t.Helper()
	b := &healthyClient{topic: unique()}
	b.client = connect(t, s.through(s.device("acme:healthyClient"), 0), stack.Options{Version: stack.V311, ClientID: unique()})
	if _, err := b.client.Subscribe(within(t, stepTime), b.topic, 1); err != nil {
		t.Fatal(err)
	}
	return b
}

// healthyTime is how long a message and a new connection of healthy clients may take: for
// a machine that is busy, and less than the timeouts of patience, so that a client fails
// that has to wait until vernegate gives up on others.
const healthyTime = 150 * time.Second

// check publishes to itself, and connects a new client, both within d.
func (b *healthyClient) check(t *testing.T, s *fixture, d time.Duration) {
	t.Helper()
	ctx := within(t, d)
	if err := b.client.Publish(ctx, stack.Message{Topic: b.topic, Payload: "tick", QoS: 1}); err != nil {
		t.Fatalf("a healthy client cannot publish: %v", err)
	}
	if _, err := b.client.Receive(ctx); err != nil {
		t.Fatalf("a healthy client gets no message: %v", err)
	}
	if err := tryConnect(ctx, s.through(s.device("acme:newcomer"), 0)); err != nil {
		t.Fatalf("a new healthy client cannot connect: %v", err)
	}
}

// A truncatingConn writes the first allow bytes and drops the rest.
type truncatingConn struct {
	net.Conn
	allow int
}

// Write implements net.Conn.
func (m *truncatingConn) Write(p []byte) (int, error) {
	n := min(m.allow, len(p))
	m.allow -= n
	if _, err := m.Conn.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// drip writes a byte a second until p is written, the other side closes or ctx ends.
func drip(ctx context.Context, w io.Writer, p []byte) {
	for i := range p {
		if _, err := w.Write(p[i : i+1]); err != nil {
			return
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
	}
}

// clientHello is the first record of a handshake.
func clientHello(t *testing.T, config *tls.Config) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer far.Close()
	go func() {
		_ = tls.Client(near, config).Handshake() // far goes away after the first record
		near.Close()
	}()
	record := make([]byte, 16<<10)
	return record[:must(far.Read(record))(t)]
}

// A slowClient is a kind of client that does not finish its handshake or its CONNECT. It
// acts on a new connection, and returns where to read what vernegate sends.
type slowClient func(ctx context.Context, conn net.Conn, config *tls.Config) (io.Reader, error)

// overTLS makes a slowClient of what a client does after its handshake; m truncates
// what is written below TLS.
func overTLS(do func(ctx context.Context, conn net.Conn, m *truncatingConn) error) slowClient {
	return func(ctx context.Context, conn net.Conn, config *tls.Config) (io.Reader, error) {
		m := &truncatingConn{conn, 1 << 20}
		over := tls.Client(m, config)
		if err := over.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		return over, do(ctx, over, m)
	}
}

// slowClients returns all kinds, by name. hello is a ClientHello.
func slowClients(hello []byte) map[string]slowClient {
	connect := connectPacket{version: stack.V311, clientID: "x"}.bytes()
	return map[string]slowClient{
		"silent from the start": func(_ context.Context, conn net.Conn, _ *tls.Config) (io.Reader, error) {
			return conn, nil
		},
		"a byte of handshake a second": func(ctx context.Context, conn net.Conn, _ *tls.Config) (io.Reader, error) {
			go drip(ctx, conn, hello)
			return conn, nil
		},
		"half a ClientHello": func(_ context.Context, conn net.Conn, _ *tls.Config) (io.Reader, error) {
			_, err := conn.Write(hello[:len(hello)/2])
			return conn, err
		},
		"silent after the handshake": overTLS(func(context.Context, net.Conn, *truncatingConn) error { return nil }),
		"half a record of CONNECT": overTLS(func(_ context.Context, conn net.Conn, m *truncatingConn) error {
			m.allow = len(connect) / 2
			_, err := conn.Write(connect)
			return err
		}),
		"a byte of CONNECT a second": overTLS(func(ctx context.Context, conn net.Conn, _ *truncatingConn) error {
			go drip(ctx, conn, connect)
			return nil
		}),
		"256 KiB announced, little sent": overTLS(func(_ context.Context, conn net.Conn, _ *truncatingConn) error {
			_, err := conn.Write(announced256KiB)
			return err
		}),
		"256 MiB announced": overTLS(func(_ context.Context, conn net.Conn, _ *truncatingConn) error {
			_, err := conn.Write(announced256MiB)
			return err
		}),
	}
}

// TestSlowClientsDelayNobody holds many clients of each slow kind at once, all before their
// timeouts. They cost little memory, and others are served.
func TestSlowClientsDelayNobody(t *testing.T) {
	t.Parallel()
	const each, limit = 50, 48 << 10 // bytes of memory for each
	s := newFixture(t, broker, "VERNEGATE_ADMIN_TOKEN", adminToken)
	config := s.clientTLS(s.device("acme:lamp"), 0)
	ctx := within(t, 2*stepTime)
	healthy := newHealthyClient(t, s)
	live := func() float64 {
		now := must(s.Live(within(t, stepTime), adminToken))(t)
		return now.Heap + now.Stacks
	}
	before := live()
	kinds := slowClients(clientHello(t, config))
	var acting errgroup.Group
	for name, act := range kinds {
		for range each {
			conn := must(net.Dial("tcp", s.Devices))(t)
			t.Cleanup(func() { conn.Close() })
			acting.Go(func() error {
				if _, err := act(ctx, conn, config); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				return nil
			})
		}
	}
	if err := acting.Wait(); err != nil {
		t.Fatal(err)
	}
	healthy.check(t, s, healthyTime)
	if each := (live() - before) / float64(len(kinds)*each); each > limit {
		t.Errorf("slow clients cost %.0f bytes each, want at most %d", each, limit)
	}
}

// TestSlowClientsAreClosedOnTime: the timeout of a step holds for all of it, not for each
// byte. A client that sends a byte a second would get through CONNECT, and would need
// minutes for its handshake.
func TestSlowClientsAreClosedOnTime(t *testing.T) {
	t.Parallel()
	// Handshakes that compute need time on a busy machine; what comes behind them does not.
	s := newFixture(t, broker, "VERNEGATE_HANDSHAKE_TIMEOUT", "20s", "VERNEGATE_CONNECT_TIMEOUT", "5s")
	config := s.clientTLS(s.device("acme:lamp"), 0)
	ctx := within(t, 2*stepTime)
	var all errgroup.Group
	for name, act := range slowClients(clientHello(t, config)) {
		for range 10 {
			all.Go(func() error { return expectClose(ctx, name, s.Devices, config, act, stepTime) })
		}
	}
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
}

// expectClose connects, acts, and fails unless vernegate closes within d.
func expectClose(ctx context.Context, name, addr string, config *tls.Config, act slowClient, d time.Duration) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	from, err := act(ctx, conn, config)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	if _, err := io.ReadAll(from); errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%s: not closed within %v", name, d)
	}
	return nil
}

// TestAnnouncedSizeCostsNothing has clients announce the largest CONNECT that is
// allowed and send the first bytes of it: memory grows with what was received, not with
// what was announced. It compares the live heap, after a collection: the resident set does
// not count memory that was allocated and never touched.
func TestAnnouncedSizeCostsNothing(t *testing.T) {
	t.Parallel()
	const clients, limit = 400, 16 << 10 // bytes for each
	s := newFixture(t, broker, "VERNEGATE_ADMIN_TOKEN", adminToken)
	config := s.clientTLS(s.device("acme:lamp"), 0)
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	healthy := newHealthyClient(t, s)
	heap := func() float64 { return must(s.Live(within(t, stepTime), adminToken))(t).Heap }

	connected := make([]*stack.Wire, clients)
	for i := range connected {
		connected[i] = dialWire(t, stack.Through(s.Devices, config))
	}
	healthy.check(t, s, healthyTime)
	before := heap()
	for _, w := range connected {
		if err := w.Send(announced256KiB); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 { // vernegate may not have read all of it the first time
		healthy.check(t, s, healthyTime)
		if grown := heap() - before; grown > clients*limit {
			t.Fatalf("%d announcements of 256 KiB cost %.0f bytes each, want at most %d", clients, grown/clients, limit)
		}
	}
	if !connected[0].ReadQuiet(50 * time.Millisecond) {
		t.Error("the announcement was refused: this shows nothing about its cost")
	}
}

// Beginnings of a 3.1.1 CONNECT, half a kilobyte each, with a remaining length that
// the rest does not keep: the most that VERNEGATE_MAX_CONNECT_SIZE allows by
// default, and the most that the encoding can express.
var (
	announced256KiB = append([]byte("\x10\xFC\xFF\x0F"), startOfBody...)
	announced256MiB = append([]byte("\x10\xFF\xFF\xFF\x7F"), startOfBody...)
	startOfBody     = append([]byte("\x00\x04MQTT\x04\x02\x00\x3C\x00\x01x"), make([]byte, 500)...)
)

// TestTenThousandSilentSockets opens sockets and sends nothing on them. It is not
// parallel: it needs this process's descriptors for itself.
func TestTenThousandSilentSockets(t *testing.T) {
	const timeout = 30 * time.Second
	sockets := affordable(t, 10000)
	s := newFixture(t, broker, "VERNEGATE_HANDSHAKE_TIMEOUT", timeout.String(), "VERNEGATE_LOG_LEVEL", "warn")
	healthy := newHealthyClient(t, s)
	before := s.memory(t)

	opened := make([]net.Conn, sockets)
	for i := range opened {
		opened[i] = must(net.Dial("tcp", s.Devices))(t)
		t.Cleanup(func() { opened[i].Close() })
	}
	healthy.check(t, s, timeout)
	s.checkGrowth(t, before, sockets, 16<<10)
	late := time.Now().Add(timeout + stepTime)
	for _, conn := range opened {
		if err := conn.SetReadDeadline(late); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a silent socket was not closed within %v", timeout+stepTime)
		}
	}
}

// checkGrowth compares how much memory vernegate holds with before, in bytes: no
// more than limit for each connection. The race detector, which the binary has when
// this test has it, costs several times as much again.
func (s *fixture) checkGrowth(t *testing.T, before int64, connections, limit int) {
	t.Helper()
	if stack.Race {
		limit *= 8
	}
	grown := s.memory(t) - before
	each := int(grown) / connections
	t.Logf("%d connections cost %d bytes each", connections, each)
	if each > limit {
		t.Errorf("%d connections cost %d bytes each (%d MiB in all), want at most %d", connections, each, grown>>20, limit)
	}
}

// memory is what vernegate holds, in bytes; on systems that do not tell, always 0.
func (s *fixture) memory(t *testing.T) int64 {
	t.Helper()
	held, err := s.RSS()
	if errors.Is(err, errors.ErrUnsupported) {
		return 0
	}
	return must(held, err)(t)
}

// affordable is n, or fewer where this process may not hold as many descriptors.
func affordable(t *testing.T, n int) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if room := int(limit.Cur) - 500; room < n {
		t.Logf("%d descriptors allowed: %d sockets instead of %d", limit.Cur, room, n)
		return room
	}
	return n
}
