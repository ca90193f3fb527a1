// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/vernegate/vernegate/proxy"
)

// wantSharing skips the test on systems that do not divide connections, where ListenShared has to fail.
func wantSharing(t *testing.T) {
	t.Helper()
	if proxy.CanShare {
		return
	}
	if l, err := proxy.ListenShared(t.Context(), "127.0.0.1:0"); !errors.Is(err, errors.ErrUnsupported) {
		t.Fatalf("got %v and %v, want %v", l, err, errors.ErrUnsupported)
	}
	t.Skip("this system does not divide connections")
}

// A listenFunc is Listen or ListenShared.
type listenFunc func(context.Context, string) (net.Listener, error)

func listenOn(t *testing.T, listen listenFunc, addr string) net.Listener {
	t.Helper()
	l, err := listen(t.Context(), addr)
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
	first := listenOn(t, proxy.ListenShared, "127.0.0.1:0")
	second := listenOn(t, proxy.ListenShared, first.Addr().String())
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
		{"nobody shares", proxy.Listen, proxy.Listen},
		{"the first shares", proxy.ListenShared, proxy.Listen},
		{"the second shares", proxy.Listen, proxy.ListenShared},
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
