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

// A bystander is a good client that talks all the time.
type bystander struct {
	client *stack.Client
	topic  string
}

func newBystander(t *testing.T, s *site) *bystander {
	t.Helper()
	b := &bystander{topic: unique()}
	b.client = connect(t, s.through(s.device("acme:bystander"), 0), stack.Options{Version: stack.V311, ClientID: unique()})
	if _, err := b.client.Subscribe(within(t, 10*time.Second), b.topic, 1); err != nil {
		t.Fatal(err)
	}
	return b
}

// check sends a message to itself, and lets a newcomer in, both in good time.
func (b *bystander) check(t *testing.T, s *site) {
	t.Helper()
	ctx := within(t, 20*time.Second)
	began := time.Now()
	if err := b.client.Publish(ctx, stack.Message{Topic: b.topic, Payload: "tick", QoS: 1}); err != nil {
		t.Fatalf("a client that does no harm cannot publish: %v", err)
	}
	if _, err := b.client.Receive(ctx); err != nil {
		t.Fatalf("a client that does no harm gets no message: %v", err)
	}
	if err := knock(ctx, s.through(s.device("acme:newcomer"), 0)); err != nil {
		t.Fatalf("a new client that does no harm is kept out: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a message and a new client took %v", took)
	}
}

// until checks the bystander again and again until done is closed.
func (b *bystander) until(t *testing.T, s *site, done <-chan struct{}) {
	t.Helper()
	for {
		b.check(t, s)
		select {
		case <-done:
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// A miser lets the first bytes of what is written through and keeps the rest.
type miser struct {
	net.Conn
	allow int
}

// Write implements net.Conn.
func (m *miser) Write(p []byte) (int, error) {
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

// A sluggard is a kind of client that does not get on. Over a fresh connection it
// does what it does, and returns where to read what vernegate says.
type sluggard func(ctx context.Context, conn net.Conn, config *tls.Config) (io.Reader, error)

// overTLS makes a sluggard of what a client does after its handshake; m holds back
// what is written below TLS.
func overTLS(do func(ctx context.Context, conn net.Conn, m *miser) error) sluggard {
	return func(ctx context.Context, conn net.Conn, config *tls.Config) (io.Reader, error) {
		m := &miser{conn, 1 << 20}
		over := tls.Client(m, config)
		if err := over.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		return over, do(ctx, over, m)
	}
}

// sluggards are all of them.
func sluggards(hello []byte) map[string]sluggard {
	connect := connectPacket{version: stack.V311, clientID: "x"}.bytes()
	return map[string]sluggard{
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
		"silent after the handshake": overTLS(func(context.Context, net.Conn, *miser) error { return nil }),
		"half a record of CONNECT": overTLS(func(_ context.Context, conn net.Conn, m *miser) error {
			m.allow = len(connect) / 2
			_, err := conn.Write(connect)
			return err
		}),
		"a byte of CONNECT a second": overTLS(func(ctx context.Context, conn net.Conn, _ *miser) error {
			go drip(ctx, conn, connect)
			return nil
		}),
		"256 KiB announced, little sent": overTLS(func(_ context.Context, conn net.Conn, _ *miser) error {
			_, err := conn.Write(announced256KiB)
			return err
		}),
		"256 MiB announced": overTLS(func(_ context.Context, conn net.Conn, _ *miser) error {
			_, err := conn.Write(announced256MiB)
			return err
		}),
	}
}

// TestSluggardsAreClosedOnTime has many clients of each slow kind at once. None
// outlives the timeout of the step that it is at, together they cost little, and a
// bystander notices nothing.
func TestSluggardsAreClosedOnTime(t *testing.T) {
	t.Parallel()
	const each, timeout, grace = 50, 5 * time.Second, 5 * time.Second
	s := newSite(t, broker, "VERNEGATE_HANDSHAKE_TIMEOUT", timeout.String(), "VERNEGATE_CONNECT_TIMEOUT", timeout.String())
	config := s.clientTLS(s.device("acme:lamp"), 0)
	ctx := within(t, 60*time.Second)
	victim := newBystander(t, s)
	before := s.memory(t)

	kinds := sluggards(clientHello(t, config))
	var all errgroup.Group
	for name, act := range kinds {
		for range each {
			all.Go(func() error { return outlast(ctx, name, s.Devices, config, act, timeout+grace) })
		}
	}
	if err := s.endure(t, victim, &all); err != nil {
		t.Error(err)
	}
	s.checkGrowth(t, before, len(kinds)*each, 64<<10)
}

// outlast connects, acts, and fails unless vernegate closes within d.
func outlast(ctx context.Context, name, addr string, config *tls.Config, act sluggard, d time.Duration) error {
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

// endure has the bystander go on until all have finished.
func (s *site) endure(t *testing.T, victim *bystander, all *errgroup.Group) error {
	t.Helper()
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		err = all.Wait()
	}()
	victim.until(t, s, done)
	return err
}

// TestAnnouncedSizeCostsNothing has clients announce the largest CONNECT that is
// allowed and send the first bytes of it: memory grows with what has come, not with
// what was announced. It is the heap that is compared, for the kernel does not count
// memory that was asked for and never touched.
func TestAnnouncedSizeCostsNothing(t *testing.T) {
	t.Parallel()
	const clients, limit = 400, 16 << 10 // bytes for each
	s := newSite(t, broker)
	config := s.clientTLS(s.device("acme:lamp"), 0)
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	victim := newBystander(t, s)
	heap := func() float64 {
		return must(s.Metrics(within(t, 10*time.Second)))(t).Sum("go_memstats_heap_alloc_bytes")
	}

	shaken := make([]*stack.Wire, clients)
	for i := range shaken {
		shaken[i] = dialWire(t, stack.Through(s.Devices, config))
	}
	victim.check(t, s)
	before := heap()
	for _, w := range shaken {
		if err := w.Send(announced256KiB); err != nil {
			t.Fatal(err)
		}
	}
	victim.check(t, s)
	if grown := heap() - before; grown > clients*limit {
		t.Errorf("%d announcements of 256 KiB cost %.0f bytes each, want at most %d", clients, grown/clients, limit)
	}
	if !shaken[0].ReadQuiet(50 * time.Millisecond) {
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

// TestTenThousandSilentSockets opens sockets and says nothing on them. It is not
// parallel: it needs this process's descriptors for itself.
func TestTenThousandSilentSockets(t *testing.T) {
	const timeout, grace = 10 * time.Second, 10 * time.Second
	sockets := affordable(t, 10000)
	s := newSite(t, broker, "VERNEGATE_HANDSHAKE_TIMEOUT", timeout.String(), "VERNEGATE_LOG_LEVEL", "warn")
	victim := newBystander(t, s)
	before := s.memory(t)

	var all errgroup.Group
	opened := make([]net.Conn, sockets)
	for i := range opened {
		opened[i] = must(net.Dial("tcp", s.Devices))(t)
	}
	for _, conn := range opened {
		all.Go(func() error {
			defer conn.Close()
			if err := conn.SetReadDeadline(time.Now().Add(timeout + grace)); err != nil {
				return err
			}
			_, err := io.ReadAll(conn)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("a silent socket was not closed within %v", timeout+grace)
			}
			return nil
		})
	}
	victim.check(t, s)
	s.checkGrowth(t, before, sockets, 16<<10)
	if err := s.endure(t, victim, &all); err != nil {
		t.Error(err)
	}
}

// checkGrowth compares how much memory vernegate holds with before, in bytes: no
// more than limit for each connection. The race detector, which the binary has when
// this test has it, costs several times as much again.
func (s *site) checkGrowth(t *testing.T, before int64, connections, limit int) {
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
func (s *site) memory(t *testing.T) int64 {
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
