// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// limitedFixture is a fixture before a fake broker, with limits.
func limitedFixture(t *testing.T, env ...string) *fixture {
	t.Helper()
	fake := must(stack.StartFakeBroker())(t)
	t.Cleanup(func() { fake.Close() })
	return newFixture(t, fake.Addr, env...)
}

// wantFull wants device to be told in every version that there is no room for it.
func (s *fixture) wantFull(t *testing.T, device *certtest.Cert, slug string) {
	t.Helper()
	for _, v := range versions {
		w := dialWire(t, s.through(device, 0))
		if err := w.Send(connectPacket{version: v, clientID: unique()}.bytes()); err != nil {
			t.Fatal(err)
		}
		if got, want := must(w.ReadToEnd())(t), refused(v, 3, 0x97); !bytes.Equal(got, want) {
			t.Errorf("%v: the client got % X, want % X", v, got, want)
		}
		w.Close()
		s.ending(t, w.LocalAddr(), slug)
	}
}

// join connects device in whatever version.
func (s *fixture) join(t *testing.T, device *certtest.Cert) *stack.Client {
	t.Helper()
	return connect(t, s.through(device, 0), stack.Options{Version: stack.V5, ClientID: unique()})
}

func TestLimitOfSessions(t *testing.T) {
	t.Parallel()
	s := limitedFixture(t, "VERNEGATE_MAX_CONNECTIONS", "2")
	lamp, meter := s.device("acme:lamp"), s.device("acme:meter")
	leaving := s.join(t, lamp)
	s.join(t, meter)
	s.wantFull(t, lamp, "limit_connections")
	leaving.Disconnect()
	s.joinEventually(t, meter)
	s.wantFull(t, meter, "limit_connections")
	s.checkCounts(t, "limit_connections")
}

func TestLimitOfAnOwner(t *testing.T) {
	t.Parallel()
	s := limitedFixture(t, "VERNEGATE_MAX_CONNECTIONS_PER_OWNER", "2")
	lamp, spare := s.device("acme:lamp"), s.device("acme:lamp") // two certificates, one owner
	leaving := s.join(t, lamp)
	s.join(t, spare)
	s.wantFull(t, lamp, "limit_owner")
	s.join(t, s.device("acme:meter"))
	leaving.Disconnect()
	s.joinEventually(t, spare)
	s.wantFull(t, lamp, "limit_owner")
	s.checkCounts(t, "limit_owner")
}

// joinEventually connects device as soon as there is room, which is when the end of
// another session has been noticed.
func (s *fixture) joinEventually(t *testing.T, device *certtest.Cert) {
	t.Helper()
	eventually(t, stepTime, "room for another session", func() bool {
		c, err := stack.Connect(within(t, stepTime), s.through(device, 0), stack.Options{Version: stack.V5, ClientID: unique()})
		if err != nil {
			return false
		}
		t.Cleanup(c.Cut)
		return true
	})
}

// The address that is counted is the one that the load balancer tells.
func TestLimitOfAnAddress(t *testing.T) {
	t.Parallel()
	s := limitedFixture(t, "VERNEGATE_MAX_CONNECTIONS_PER_IP", "2", "VERNEGATE_PROXY_PROTOCOL_FROM", "127.0.0.1")
	lamp := s.device("acme:lamp")
	from := func(family, address string) stack.Dial {
		return s.throughProxy(lamp, fmt.Sprintf("PROXY %s %s %[2]s 4711 8883\r\n", family, address))
	}
	for _, address := range []string{"192.0.2.7", "192.0.2.8"} {
		for range 2 {
			connect(t, from("TCP4", address), stack.Options{Version: stack.V5, ClientID: unique()})
		}
	}
	connect(t, from("TCP6", "2001:db8::1"), stack.Options{Version: stack.V5, ClientID: unique()})
	connect(t, from("TCP6", "2001:db8::2"), stack.Options{Version: stack.V5, ClientID: unique()})
	for family, address := range map[string]string{"TCP4": "192.0.2.7", "TCP6": "2001:db8::3"} {
		if _, err := from(family, address)(within(t, stepTime)); err == nil {
			t.Errorf("a third connection from %s succeeded", address)
		}
	}
	must(s.WaitRecord(within(t, stepTime), "the refusal of an address", func(r stack.Record) bool {
		return r.Has("reason", "rate_limited") && r.Has("remote", "192.0.2.7:4711")
	}))(t)
	s.checkCounts(t, "rate_limited")
}

// Of more devices than can have their turn in time, those that can get in, and the
// others are closed at once.
func TestLimitOfTheHandshakeRate(t *testing.T) {
	t.Parallel()
	s := limitedFixture(t, "VERNEGATE_HANDSHAKE_RATE", "10", "VERNEGATE_HANDSHAKE_TIMEOUT", "2s")
	config := s.clientTLS(s.device("acme:lamp"), tls.VersionTLS13)
	const devices = 60
	var (
		mu            sync.Mutex
		in, out, done = 0, 0, sync.WaitGroup{}
	)
	for range devices {
		done.Go(func() {
			_, err := stack.Through(s.Devices, config)(within(t, stepTime))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				in++
			case errors.Is(err, io.EOF):
				out++
			default:
				t.Errorf("a device that had to wait too long got %v, want a close", err)
			}
		})
	}
	done.Wait()
	// The burst of 10 and two seconds' worth; who came late may have had a little more.
	if in < 25 || out == 0 {
		t.Errorf("%d devices got in and %d were refused, want about 30 of %d", in, out, devices)
	}
	s.checkCounts(t, "rate_limited")
}

// A storm goes by without anybody left outside, and without a live session noticing
// more than that. Not parallel: other tests have deadlines.
func TestStormOfReconnectingDevices(t *testing.T) {
	s := limitedFixture(t)
	lamp := s.device("acme:lamp")
	live := s.join(t, lamp)
	var storm sync.WaitGroup
	for i := range 300 {
		storm.Go(func() {
			o := stack.Options{Version: versions[i%len(versions)], ClientID: unique()}
			c, err := stack.Connect(within(t, stepTime), s.through(lamp, 0), o)
			if err != nil {
				t.Errorf("device %d: %v", i, err)
				return
			}
			c.Cut()
		})
	}
	calm := make(chan struct{})
	go func() { defer close(calm); storm.Wait() }()
	for n := 0; ; n++ {
		if err := live.Publish(within(t, stepTime), stack.Message{Topic: "acme:lamp/attrs", QoS: 1}); err != nil {
			t.Fatalf("message %d of the live session: %v", n, err)
		}
		select {
		case <-calm:
			return
		default:
		}
	}
}
