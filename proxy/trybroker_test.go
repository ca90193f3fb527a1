// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/packets"
	"github.com/vernegate/vernegate/proxy"
)

// playBroker answers the CONNECT of one connection and does something with the session then. It returns what went wrong.
func playBroker(b *broker, then func(net.Conn) error) (done chan error) {
	done = make(chan error, 1)
	go func() {
		c := <-b.conns
		defer func() { _ = c.Close() }()
		if _, err := packets.ReadConnect(c, 1<<10); err != nil {
			done <- err
			return
		}
		_, _ = c.Write(connack311)
		done <- then(c)
	}()
	return done
}

// leaves wants a DISCONNECT and the end.
func leaves(c net.Conn) error {
	rest, err := io.ReadAll(c)
	if err == nil && string(rest) != string(disconnect) {
		err = errors.New("no DISCONNECT")
	}
	return err
}

func TestTryBrokerHoldsItsSession(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	done := playBroker(b, leaves)
	began := time.Now()
	const hold = 50 * time.Millisecond
	if code, err := proxy.TryBroker(t.Context(), proxy.Config{}, b.addr(), hold); code != 0 || err != nil {
		t.Errorf("got %v and %v", code, err)
	}
	if took := time.Since(began); took < hold {
		t.Errorf("the session has lasted for %v, want at least %v", took, hold)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A VerneMQ that has just started takes sessions and ends them.
func TestTryBrokerTellsOfASessionThatDoesNotLast(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	done := playBroker(b, func(net.Conn) error { return nil })
	_, err := proxy.TryBroker(t.Context(), proxy.Config{}, b.addr(), patience)
	if err == nil || !strings.Contains(err.Error(), "it ended the session after") {
		t.Errorf("got %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTryBrokerStopsWhenItIsTold(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := playBroker(b, func(c net.Conn) error {
		cancel()
		return leaves(c)
	})
	_, _ = proxy.TryBroker(ctx, proxy.Config{}, b.addr(), time.Hour) // what it says depends on how far it has come
	<-done
}
