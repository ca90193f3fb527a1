// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package listen_test

import (
	"context"
	"errors"
	"net"
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

// A listenFunc is TCP or SharedTCP.
type listenFunc func(context.Context, string) (net.Listener, error)

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
	first := listenOn(t, listen.SharedTCP, "127.0.0.1:0")
	second := listenOn(t, listen.SharedTCP, first.Addr().String())
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
		{"the first shares", listen.SharedTCP, listen.TCP},
		{"the second shares", listen.TCP, listen.SharedTCP},
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
