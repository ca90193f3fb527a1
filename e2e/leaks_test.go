// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// TestNothingIsLeftBehind has hundreds of connections come to every kind of end.
// Afterwards the process holds what it held after the first of them.
func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	const rounds, atOnce = 50, 16
	const idleWorkers = 32 // goroutines that vernegate keeps for handshakes to come; fewer than a leak of one in each round
	s := newFixture(t, broker, "VERNEGATE_LOG_LEVEL", "warn")
	visits := s.visits()
	ctx := within(t, 2*stepTime)
	tour := func(rounds int) {
		var all errgroup.Group
		all.SetLimit(atOnce)
		for range rounds {
			for name, visit := range visits {
				all.Go(func() error {
					if err := visit(ctx); err != nil {
						t.Errorf("%s: %v", name, err)
					}
					return nil
				})
			}
		}
		_ = all.Wait() // what went wrong has been reported
	}

	tour(2)
	descriptors, goroutines := s.holds(t)
	tour(rounds)
	eventually(t, stepTime, "the process holds no more than before", func() bool {
		d, g := s.holds(t)
		return d <= descriptors && g <= goroutines+idleWorkers
	})
	if sessions := must(s.Metrics(ctx))(t).Sum("vernegate_sessions"); sessions != 0 {
		t.Errorf("%v sessions are counted as live, want none", sessions)
	}
}

// holds is how many descriptors and goroutines vernegate has with nothing to do:
// its idle connections to certificate-acl are closed first.
func (s *fixture) holds(t *testing.T) (descriptors int, goroutines float64) {
	t.Helper()
	if err := errors.Join(s.acl.Down(), listenAgain(s.acl)); err != nil {
		t.Fatal(err)
	}
	eventually(t, stepTime, "no session is left", func() bool {
		return must(s.Metrics(within(t, stepTime)))(t).Sum("vernegate_sessions") == 0
	})
	metrics := must(s.Metrics(within(t, stepTime)))(t)
	descriptors, err := s.Descriptors()
	if errors.Is(err, errors.ErrUnsupported) {
		return 0, metrics["go_goroutines"]
	}
	return must(descriptors, err)(t), metrics["go_goroutines"]
}

// visits are connections that come to different ends; each returns once its own
// side is over.
func (s *fixture) visits() map[string]func(context.Context) error {
	hello := connectPacket{version: stack.V5, clientID: "x"}.bytes()
	good := s.through(s.device("acme:lamp"), 0)
	tlsDial := func(device *certtest.Cert) stack.Dial { return s.through(device, tls.VersionTLS12) }
	return map[string]func(context.Context) error{
		"goodbye":                          s.client(good, (*stack.Client).Disconnect),
		"cut":                              s.client(good, (*stack.Client).Cut),
		"refused by identity":              s.raw(tlsDial(s.pki.Root.Issue("nobody's")), hello, (*stack.Wire).ReadToEnd),
		"malformed":                        s.raw(good, hello[:len(hello)-1], nil),
		"not MQTT":                         s.raw(good, []byte("GET / HTTP/1.1\r\n\r\n"), (*stack.Wire).ReadToEnd),
		"cut before CONNACK":               s.raw(good, hello, nil),
		"cut before CONNECT":               s.raw(good, nil, nil),
		"cut in the handshake":             s.raw(stack.Direct(s.Devices), []byte{22, 3, 1, 1, 0, 1}, nil),
		"cut from the start":               s.raw(stack.Direct(s.Devices), nil, nil),
		"not TLS":                          s.raw(stack.Direct(s.Devices), hello, (*stack.Wire).ReadToEnd),
		"refused certificate":              s.refusedCertificate(tlsDial(certtest.NewCA("else").Issue("stranger"))),
		"goodbye by WebSocket":             s.client(s.byWebSocket(s.device("acme:lamp"), 0), (*stack.Client).Disconnect),
		"cut by WebSocket":                 s.client(s.byWebSocket(s.device("acme:lamp"), 0), (*stack.Client).Cut),
		"cut before CONNACK, by WebSocket": s.raw(s.byWebSocket(s.device("acme:lamp"), 0), hello, nil),
		"no request for WebSocket":         s.raw(stack.Through(s.WebSocket, s.clientTLS(s.device("acme:lamp"), 0)), hello, nil),
		"a page's visit":                   s.raw(stack.Through(s.WebSocket, s.clientTLS(s.device("acme:lamp"), 0)), []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), (*stack.Wire).ReadToEnd),
		"device among services":            s.raw(stack.Through(s.Services, s.clientTLS(s.device("acme:x"), 0)), hello, (*stack.Wire).ReadToEnd),
	}
}

// client connects with paho and ends as it is told.
func (s *fixture) client(dial stack.Dial, end func(*stack.Client)) func(context.Context) error {
	return func(ctx context.Context) error {
		c, err := stack.Connect(ctx, dial, stack.Options{Version: stack.V311, ClientID: unique()})
		if err == nil {
			end(c)
		}
		return err
	}
}

// raw connects, sends, reads if it is told how, and closes.
func (s *fixture) raw(dial stack.Dial, send []byte, read func(*stack.Wire) ([]byte, error)) func(context.Context) error {
	return func(ctx context.Context) error {
		w, err := stack.DialWire(ctx, dial)
		if err != nil {
			return err
		}
		defer w.Close()
		if err := w.Send(send); err != nil || read == nil {
			return err
		}
		_, err = read(w)
		return err
	}
}

// refusedCertificate expects the handshake to fail.
func (s *fixture) refusedCertificate(dial stack.Dial) func(context.Context) error {
	return func(ctx context.Context) error {
		w, err := stack.DialWire(ctx, dial)
		if err == nil {
			w.Close()
			return errors.New("a certificate of nobody's CA was accepted")
		}
		return nil
	}
}
