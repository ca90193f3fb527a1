// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/proxy"
)

func TestShutdownEndsSessionsAndDeliversWhatWasRead(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	client, backend := session(g, b)
	write(t, client, pingreq)
	wantBytes(t, backend, pingreq)
	write(t, backend, pingresp)
	wantBytes(t, client, pingresp)

	if err := g.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantEOF(t, client)
	wantEOF(t, backend)
	g.wantEnd(proxy.Shutdown)
	if _, err := net.Dial("tcp", g.addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dialing after shutdown: got %v, want %v", err, syscall.ECONNREFUSED)
	}
}

func TestShutdownBeforeTheConnack(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	g := startGate(t, func(c *proxy.Config) {
		c.Owner = func(ctx context.Context, _ proxy.Peer) (string, bool, error) {
			close(asked)
			<-ctx.Done()
			return "", false, ctx.Err()
		}
	})
	client := g.device(connect5)
	<-asked
	await(t, "the CONNECT to be read", func() bool { return g.Shutdown(t.Context()) == nil })
	got, _ := io.ReadAll(client)
	if want := "\x20\x03\x00\x88\x00"; len(got) > 0 && string(got) != want {
		t.Errorf("got % x, want % x, or nothing if CONNECT was not read yet", got, want)
	}
	g.wantEnd(proxy.Shutdown)
}

// A client that takes nothing cannot hold up a shutdown beyond the time it is given.
func TestShutdownCutsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	_, backend := session(g, b)
	stuffed := make(chan struct{})
	go func() {
		defer close(stuffed)
		_ = backend.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = io.Copy(backend, endless{})
	}()
	<-stuffed
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := g.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	g.wantEnd(proxy.Shutdown)
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestServeAfterShutdownReturns(t *testing.T) {
	t.Parallel()
	g := startGate(t, nil)
	if err := g.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Serve(proxy.Listener{Listener: l, Role: proxy.Devices}); err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

// failing is a listener out of descriptors for a while.
type failing struct {
	*pipeListener
	failures int
	times    []time.Time
}

func (l *failing) Accept() (net.Conn, error) {
	if len(l.times) < l.failures {
		l.times = append(l.times, time.Now())
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.pipeListener.Accept()
}

func TestFailedAcceptsArePaced(t *testing.T) {
	t.Parallel()
	testPKI()
	synctest.Test(t, func(t *testing.T) {
		l := &failing{newPipeListener(), 10, nil}
		g := serveGate(t, l, proxy.Devices, nil)
		c := l.dial() // is accepted in the end
		defer func() { _ = c.Close() }()
		synctest.Wait()

		pause := 5 * time.Millisecond
		for i := 1; i < len(l.times); i++ {
			if got := l.times[i].Sub(l.times[i-1]); got != pause {
				t.Errorf("pause %d: got %v, want %v", i, got, pause)
			}
			pause = min(2*pause, time.Second)
		}
		if got := counter(t, g.metrics, "vernegate_accept_errors_total", nil); got != 10 {
			t.Errorf("got %v errors counted, want 10", got)
		}
	})
}

// With 64 descriptors, 62 are for whoever comes: of the silent clients, the oldest ones make room for the others, while the
// two descriptors that are left let one of those inside reach its broker.
func TestSilentClientsDoNotStopThoseInside(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, func(c *proxy.Config) { brokers(b)(c); c.MaxDescriptors = 64 })
	inside := g.dial(testPKI().device)
	for range 70 {
		c, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	accepted := func() float64 {
		return counter(t, g.metrics, "vernegate_connections_accepted_total", map[string]string{"listener": "devices"})
	}
	await(t, "all connections to be accepted", func() bool { return accepted() == 71 })
	write(t, inside, connect311)
	b.greet(connect311Owned, connack311)
	wantBytes(t, inside, connack311)
	await(t, "no more descriptors to be used than there are", func() bool { used, _ := g.Descriptors(); return used <= 64 })
}

// A connection that comes when there is room again takes nobody's place, although there was none when it was waited for.
func TestRoomAgainDisplacesNobody(t *testing.T) {
	t.Parallel()
	const most = 10
	g := startGate(t, func(c *proxy.Config) { c.MaxDescriptors, c.HandshakeTimeout = most, time.Hour })
	oldest := dialRaw(t, g.addr)
	for range most - 2 {
		dialRaw(t, g.addr)
	}
	last := dialRaw(t, g.addr)
	used := func(n int) func() bool {
		return func() bool { used, _ := g.Descriptors(); return used == n }
	}
	await(t, "one to be taken for the next connection", used(most+1))
	_ = last.Close()
	await(t, "room", used(most))
	dialRaw(t, g.addr)
	await(t, "one to be taken for the next connection", used(most+1))
	if err := tls.Client(oldest, clientConfig(testPKI().device)).Handshake(); err != nil {
		t.Errorf("got %v from the oldest connection, want a handshake", err)
	}
}

// Connections that come one by one, each when the one before is through its handshake and has its broker, exceed the limit no
// more than those that come at once. It is told once that no more are accepted, and once that they are again.
func TestDescriptorsAreUsedUpOnce(t *testing.T) {
	t.Parallel()
	g := fullGate(t, func(c *proxy.Config) { c.MaxDescriptors = 10 })
	for round := 1; round <= 2; round++ {
		var clients []net.Conn
		for in := 1; g.UsedUp().IsZero(); in++ {
			if in > 10 {
				t.Fatalf("got %d sessions with 10 descriptors", in)
			}
			c := dialRaw(t, g.addr)
			clients = append(clients, c)
			go func() { _, _ = tls.Client(c, clientConfig(testPKI().device)).Write(connect311) }()
			await(t, "a session, or none to be let in", func() bool { return g.Count(proxy.Devices) == in || !g.UsedUp().IsZero() })
		}
		used, limit := counter(t, g.metrics, "vernegate_descriptors_used", nil), counter(t, g.metrics, "vernegate_descriptors_limit", nil)
		if used < limit || limit != 10 {
			t.Errorf("got %v of %v descriptors used, want all of 10", used, limit)
		}
		for _, c := range clients {
			_ = c.Close()
		}
		await(t, "descriptors to be free", func() bool {
			return g.Count(proxy.Devices) == 0 && g.UsedUp().IsZero() && len(g.toldOfDescriptors()) >= 2*round
		})
	}
	for i, msg := range g.toldOfDescriptors() {
		if want := []string{descriptorsUsedUp, descriptorsFree}[i%2]; msg != want {
			t.Errorf("line %d: got %q, want %q", i, msg, want)
		}
	}
}

const (
	descriptorsUsedUp = "file descriptors are used up, new connections wait until others end"
	descriptorsFree   = "file descriptors are free again"
)

// toldOfDescriptors returns the lines about them, in their order.
func (g *gate) toldOfDescriptors() (told []string) {
	g.logs.find(func(l map[string]any) bool {
		if msg, _ := l["msg"].(string); msg == descriptorsUsedUp || msg == descriptorsFree {
			told = append(told, msg)
		}
		return false
	})
	return told
}

func TestClosedConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, func(c *proxy.Config) { brokers(b)(c); c.MaxDescriptors = 4 })
	for range 10 {
		client, backend := session(g, b)
		_ = client.Close()
		wantEOF(t, backend)
		_ = backend.Close()
	}
}

// The reason says who has closed; an error beside it would be one of something else.
func TestOrderlyEndHasNoError(t *testing.T) {
	t.Parallel()
	for reason, first := range map[proxy.Reason]int{proxy.ClientClosed: 0, proxy.BackendClosed: 1} {
		b := startBroker(t)
		g := startGate(t, brokers(b))
		client, backend := session(g, b)
		sides := []net.Conn{client, backend}
		_ = sides[first].Close()
		wantEOF(t, sides[1-first])
		_ = sides[1-first].Close()
		if line := g.wantEnd(reason); line["err"] != nil {
			t.Errorf("%v: got the error %q, want none", reason, line["err"])
		}
	}
}

// No goroutine, and so no connection, is left behind by any kind of ending. Not parallel: it counts.
func TestNothingIsLeftBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("traffic", func(t *testing.T) {
		b := startBroker(t)
		g := startGate(t, brokers(b))
		for range 5 {
			client, backend := session(g, b)
			_ = client.Close()
			_, _ = io.Copy(io.Discard, backend)
			_ = backend.Close()

			_, backend = session(g, b)
			_ = backend.Close()

			_ = g.device([]byte("GET / HTTP/1.1\r\n\r\n"))
			_ = firstError(t, g.addr, clientConfig(nil))
			_ = g.device(connect311[:5]).NetConn().Close()
		}
	})
	await(t, "all goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

// What a client says of itself cannot forge, colour or flood a log.
func TestClientBytesInLogsAreEscapedAndBounded(t *testing.T) {
	t.Parallel()
	id := "a\nb\x1b[31m\u202e\"" + strings.Repeat("x", 1000)
	b := startBroker(t)
	g := startGate(t, brokers(b))
	packet := append([]byte("\x10"), byte((14+len(id)-2)&0x7f|0x80), byte((14+len(id)-2)>>7))
	packet = append(packet, "\x00\x04MQTT\x04\x02\x00\x3c"...)
	packet = append(packet, byte(len(id)>>8), byte(len(id)))
	packet = append(packet, id...)
	client := g.device(packet)
	backend := b.accept()
	write(t, backend, connack311)
	wantBytes(t, client, connack311)
	_ = backend.Close()
	got, _ := g.wantEnd(proxy.BackendClosed)["client_id"].(string)
	if want := `a\u000ab\u001b[31m\u202e"xxx`; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want it to begin with %q", got, want)
	}
	if len(got) > 600 {
		t.Errorf("got %d bytes, want them bounded", len(got))
	}
}
