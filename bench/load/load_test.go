// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package load_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vernegate/vernegate/bench/broker"
	"github.com/vernegate/vernegate/bench/load"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// patience is how long a test waits for what has to happen on real sockets.
const patience = 20 * time.Second

// startFleet starts a broker behind TLS until the test ends, and returns devices that connect to it.
func startFleet(t *testing.T) (*load.Fleet, *broker.Broker) {
	t.Helper()
	b, err := broker.Start()
	if err != nil {
		t.Fatal(err)
	}
	ca := certtest.NewCA("load")
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{ca.Issue("localhost", certtest.Server("localhost")).TLS()},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    ca.Pool(),
	})
	if err != nil {
		t.Fatal(err)
	}
	var relaying sync.WaitGroup
	relaying.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			relaying.Go(func() { relay(c, b.Addr) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		relaying.Wait()
	})
	return &load.Fleet{Addr: l.Addr().String(), Devices: []tls.Certificate{ca.Issue("a").TLS(), ca.Issue("b").TLS()}}, b
}

func relay(client net.Conn, addr string) {
	defer client.Close()
	broker, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer broker.Close()
	var up sync.WaitGroup
	up.Go(func() {
		defer broker.Close()
		_, _ = io.Copy(broker, client)
	})
	_, _ = io.Copy(client, broker)
	_ = client.Close()
	up.Wait()
}

// until runs a load until it has done so much, and ends it.
func until(t *testing.T, l load.Load, enough func(done int64) bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	var done atomic.Int64
	ended := make(chan error, 1)
	go func() { ended <- l(ctx, &done) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !enough(done.Load()) {
		select {
		case err := <-ended:
			t.Fatalf("the load has ended after %d with %v", done.Load(), err)
		case <-tick.C:
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func atLeast(n int64) func(int64) bool { return func(done int64) bool { return done >= n } }

func open(t *testing.T, f *load.Fleet, n int) load.Sessions {
	t.Helper()
	sessions, err := f.Open(0, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sessions.Close)
	return sessions
}

func TestDevicesReconnect(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := startFleet(t)
			f.Version = version
			until(t, load.NewConnectLoad(f, 2).Reconnect(), atLeast(10))
		})
	}
}

func TestDevicesResume(t *testing.T) {
	t.Parallel()
	f, _ := startFleet(t)
	f.Resume = true
	open(t, f, 2)
	until(t, load.NewConnectLoad(f, 1).Reconnect(), atLeast(10))
}

func TestDevicesThatHaveNotBeenThereDoNotResume(t *testing.T) {
	t.Parallel()
	f, _ := startFleet(t)
	f.Resume = true
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	var done atomic.Int64
	if err := load.NewConnectLoad(f, 1).Reconnect()(ctx, &done); err == nil {
		t.Error("full handshakes passed as resumed ones")
	}
}

func TestMessagesComeBack(t *testing.T) {
	t.Parallel()
	f, _ := startFleet(t)
	sessions := open(t, f, 3)
	if err := sessions.Prime(16 << 10); err != nil {
		t.Fatal(err)
	}
	c := load.NewEchoLoad(sessions, 64)
	until(t, c.ClosedLoop(2), atLeast(20))
	toured := c.Elapsed()
	until(t, c.OpenLoop(2000), atLeast(20))
	for span, took := range map[string][]time.Duration{"tour": c.Durations(0, toured), "paced": c.Durations(toured, c.Elapsed())} {
		if len(took) < 20 {
			t.Errorf("%s: %d messages have come back, want 20 or more", span, len(took))
		}
		if took[0] <= 0 || took[len(took)-1] > patience {
			t.Errorf("%s: messages took from %v to %v", span, took[0], took[len(took)-1])
		}
	}
}

func TestBytesGoUpAndDown(t *testing.T) {
	t.Parallel()
	f, b := startFleet(t)
	const size, enough = 64 << 10, 1 << 20
	until(t, open(t, f, 2).Up(size), func(int64) bool { return b.Dropped() > enough })
	until(t, open(t, f, 2).Down(b, size), atLeast(enough))
}

func TestFanCountsWhatReachesAll(t *testing.T) {
	t.Parallel()
	f, b := startFleet(t)
	sessions := open(t, f, 5)
	var got int64
	until(t, sessions.Fan(b, 64), func(done int64) bool { got = done; return done > 1000 })
	if got == 0 || load.PacketSize(64) != 64+5 {
		t.Errorf("%d bytes in packets of %v, want packets of %d", got, load.PacketSize(64), 64+5)
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	var took []time.Duration
	for i := range 200 {
		took = append(took, time.Duration(i+1))
	}
	for share, want := range map[float64]time.Duration{0: 1, .5: 101, .99: 199, 1: 200} {
		if got := load.Percentile(took, share); got != want {
			t.Errorf("%v of 1 to 200: got %d, want %d", share, got, want)
		}
	}
	if got := load.Percentile(nil, .5); got != 0 {
		t.Errorf("of nothing: got %d, want 0", got)
	}
}

func TestKeptDevicesConnectAgain(t *testing.T) {
	t.Parallel()
	f, b := startFleet(t)
	k := load.NewKeeper(f, 2)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { k.Run(ctx); close(ended) }()
	all := len(f.Devices)
	eventually(t, "all are connected", func() bool { return k.Connected() == all })
	k.SetRate(200)
	var trips int
	eventually(t, "messages come back", func() bool { trips += len(k.Take().RoundTrips); return trips >= 5 })
	if lost := k.Lost(); lost != 0 {
		t.Errorf("%d connections were lost, want none", lost)
	}
	b.Drop()
	eventually(t, "all have lost their connections", func() bool { return k.Lost() >= all })
	eventually(t, "all are connected again", func() bool { return k.Connected() == all })

	k.Dismiss(1)
	b.Drop()
	eventually(t, "all have lost their connections again", func() bool { return k.Lost() >= 2*all })
	eventually(t, "the others are connected again", func() bool { return k.Connected() == all-1 })
	stop()
	<-ended
	if n := k.Connected(); n != 0 {
		t.Errorf("%d devices are connected after the end", n)
	}
}

func TestDevicesDoNotResumeWhileTheyAreToldNotTo(t *testing.T) {
	t.Parallel()
	f, _ := startFleet(t)
	f.Resume = true
	open(t, f, 2)
	for _, full := range []bool{true, false} {
		f.SetFull(full)
		c, err := f.Connect(0)
		if err != nil {
			t.Fatal(err)
		}
		if resumed := c.ConnectionState().DidResume; resumed == full {
			t.Errorf("told to make full handshakes: %t; resumed: %t", full, resumed)
		}
		_ = c.Close()
	}
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	late := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not after %v: %s", patience, what)
		}
	}
}
