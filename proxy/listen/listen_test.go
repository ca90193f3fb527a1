// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package listen_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vernegate/vernegate/proxy/listen"
)

// patience is how long a test waits for what has to happen on real sockets.
const patience = time.Minute

// wantSharing skips the test on systems that do not divide connections, where SharedTCP has to fail.
func wantSharing(t *testing.T) {
	t.Helper()
	if listen.CanShare {
		return
	}
	if l, err := listen.SharedTCP(t.Context(), "127.0.0.1:0"); !errors.Is(err, errors.ErrUnsupported) {
		t.Fatalf("got %v and %v, want %v", l, err, errors.ErrUnsupported)
	}
	t.Skip("this system does not divide connections")
}

// A listenFunc is TCP or shared.
type listenFunc func(context.Context, string) (net.Listener, error)

func shared(ctx context.Context, addr string) (net.Listener, error) {
	return listen.SharedTCP(ctx, addr)
}

func listenOn(t *testing.T, open listenFunc, addr string) net.Listener {
	t.Helper()
	l, err := open(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// Of 64 connections, the kernel gives all to one of two with a probability of 2⁻⁶³.
func TestThoseWhoShareAnAddressDivideItsConnections(t *testing.T) {
	t.Parallel()
	wantSharing(t)
	first := listenOn(t, shared, "127.0.0.1:0")
	second := listenOn(t, shared, first.Addr().String())
	const clients = 64
	for range clients {
		c, err := net.Dial("tcp", first.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	accepted := map[net.Listener]int{}
	arrivals := make(chan net.Listener, clients)
	for _, l := range []net.Listener{first, second} {
		go func() {
			for c, err := l.Accept(); err == nil; c, err = l.Accept() {
				_ = c.Close()
				arrivals <- l
			}
		}()
	}
	for range clients {
		select {
		case l := <-arrivals:
			accepted[l]++
		case <-time.After(patience):
			t.Fatalf("got only %d and %d of %d connections", accepted[first], accepted[second], clients)
		}
	}
	if accepted[first] == 0 || accepted[second] == 0 {
		t.Errorf("got %d and %d connections, want some at both", accepted[first], accepted[second])
	}
}

// Sharing takes the consent of all.
func TestNobodySharesAnAddressUnasked(t *testing.T) {
	t.Parallel()
	wantSharing(t)
	for _, test := range []struct {
		name          string
		first, second listenFunc
	}{
		{"nobody shares", listen.TCP, listen.TCP},
		{"the first shares", shared, listen.TCP},
		{"the second shares", listen.TCP, shared},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			addr := listenOn(t, test.first, "127.0.0.1:0").Addr().String()
			l, err := test.second(t.Context(), addr)
			if !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("got %v and %v, want %v", l, err, syscall.EADDRINUSE)
			}
		})
	}
}

// A listener that pauses takes no connection, and leaves its part to the other one; then it takes its part again.
func TestWhoPausesLeavesConnectionsToTheOthers(t *testing.T) {
	t.Parallel()
	wantSharing(t)
	first, err := listen.SharedTCP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := first.Addr().String()
	var atFirst, atSecond atomic.Int32
	for l, count := range map[net.Listener]*atomic.Int32{first: &atFirst, listenOn(t, shared, addr): &atSecond} {
		go func() {
			for c, err := l.Accept(); err == nil; c, err = l.Accept() {
				count.Add(1)
				_, _ = c.Write([]byte{1})
				_ = c.Close()
			}
		}()
	}
	come := func() bool {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return false
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(patience))
		_, err = io.ReadFull(c, make([]byte, 1))
		return err == nil
	}

	first.Pause()
	first.Pause() // which changes nothing
	before := atFirst.Load()
	const clients = 64
	for n := range clients {
		if !come() {
			t.Fatalf("client %d was not served while one of two was paused", n)
		}
	}
	if a, b := atFirst.Load()-before, atSecond.Load(); a != 0 || b != clients {
		t.Errorf("%d clients came to the one that was paused and %d to the other, want 0 and %d", a, b, clients)
	}
	if got := first.Addr().String(); got != addr {
		t.Errorf("got address %s from the one that was paused, want %s", got, addr)
	}

	first.Resume()
	for deadline := time.Now().Add(patience); atFirst.Load() == before; {
		if time.Now().After(deadline) {
			t.Fatal("the one that resumed got no connection")
		}
		come()
	}
	first.Pause()
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	first.Resume() // opens nothing
	if c, err := first.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v and %v from a closed listener, want %v", c, err, net.ErrClosed)
	}
}

// Pause, Resume, Accept and Close at once. Whoever accepts ends with Close.
func TestPausingAtAnyMoment(t *testing.T) {
	t.Parallel()
	wantSharing(t)
	for range 20 {
		l, err := listen.SharedTCP(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		var working sync.WaitGroup
		working.Go(func() {
			for {
				c, err := l.Accept()
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil {
					_ = c.Close()
				}
			}
		})
		for range 2 {
			working.Go(func() {
				for range 50 {
					l.Pause()
					l.Resume()
				}
			})
		}
		working.Go(func() {
			for range 50 {
				if c, err := net.Dial("tcp", addr); err == nil {
					_ = c.Close()
				}
			}
			_ = l.Close()
		})
		working.Wait()
	}
}
