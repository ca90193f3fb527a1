// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// answerTo connects and returns how that ended: 0 for a connection, else the code of
// the CONNACK that refused it.
func answerTo(ctx context.Context, t *testing.T, dial stack.Dial, v stack.Version) byte {
	t.Helper()
	c, err := stack.Connect(ctx, dial, stack.Options{Version: v, ClientID: unique()})
	var refusal *stack.RefusedError
	switch {
	case errors.As(err, &refusal):
		return refusal.Code
	case err != nil:
		t.Fatalf("connecting with %v: %v", v, err)
	}
	c.Disconnect()
	return 0
}

// TestManySessionsMakeOneRequest holds 5 000 sessions with one fingerprint at once.
// It is not parallel: it needs this process's descriptors for itself.
func TestManySessionsMakeOneRequest(t *testing.T) {
	const sessions, atOnce = 5000, 64
	fake := startFakeBroker(t)
	s := newFixture(t, fake.Addr, "VERNEGATE_LOG_LEVEL", "warn", "VERNEGATE_ACL_TTL", "10m")
	device := s.device("acme:lamp")
	config := s.clientTLS(device, tls.VersionTLS12)
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1) // resumed, 1.2 needs no public-key operation
	dial := stack.Through(s.Devices, config)
	hello := connectPacket{version: stack.V311, clientID: "x"}.bytes()

	ctx := within(t, 2*stepTime)
	opened := make(chan *stack.Wire, sessions)
	t.Cleanup(func() {
		close(opened)
		for w := range opened {
			w.Close()
		}
	})
	var all errgroup.Group
	all.SetLimit(atOnce)
	for range sessions {
		all.Go(func() error {
			w, err := stack.DialWire(ctx, dial)
			if err != nil {
				return err
			}
			opened <- w
			if err := w.Send(hello); err != nil {
				return err
			}
			_, err = w.ReadN(len(accepted(stack.V311)))
			return err
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := len(fake.Sessions()); n != sessions {
		t.Errorf("%d sessions reached the broker, want %d", n, sessions)
	}
	if n := s.acl.Requests(stack.Fingerprint(device.Leaf)); n != 1 {
		t.Errorf("%d sessions of one device made %d requests to certificate-acl, want 1", sessions, n)
	}
}

// An outage is a way in which certificate-acl does not tell.
type outage struct {
	name  string
	begin func(*stack.ACL) error
}

// outages follow upon each other without a moment of health between them.
var outages = []outage{
	{"down", (*stack.ACL).Down},
	{"5xx", func(acl *stack.ACL) error { acl.Answer(stack.ServerError); return listenAgain(acl) }},
	{"slow", func(acl *stack.ACL) error { acl.Answer(stack.Hang); return nil }},
	{"lying", func(acl *stack.ACL) error { acl.Answer(stack.HTML); return nil }},
	{"behind an ingress without it", func(acl *stack.ACL) error { acl.Answer(stack.DefaultBackend); return nil }},
}

func TestKnownDevicesConnectWhileCertificateACLIsGone(t *testing.T) {
	t.Parallel()
	s := newFixture(t, broker, "VERNEGATE_ACL_TTL", "100ms", "CERTIFICATE_ACL_REQ_TIMEOUT_MS", "1000")
	ctx := within(t, 2*stepTime)
	known, unknown := s.device("acme:lamp"), s.device("acme:door")
	if code := answerTo(ctx, t, s.through(known, 0), stack.V311); code != 0 {
		t.Fatalf("a device was refused with 0x%02X while all is well", code)
	}
	for _, o := range outages {
		s.checkOutage(t, o, known, unknown)
	}
	if err := listenAgain(s.acl); err != nil {
		t.Fatal(err)
	}
	s.acl.Answer(nil)
	if code := answerTo(ctx, t, s.through(unknown, 0), stack.V5); code != 0 {
		t.Errorf("certificate-acl is back and a device is refused with 0x%02X: an error was remembered", code)
	}
}

// checkOutage expects the known device to get in, and the unknown one to be told
// within the time of a look-up that the server is unavailable.
func (s *fixture) checkOutage(t *testing.T, o outage, known, unknown *certtest.Cert) {
	t.Helper()
	ctx := within(t, stepTime)
	if err := o.begin(s.acl); err != nil {
		t.Fatal(err)
	}
	asked := s.acl.Requests(stack.Fingerprint(known.Leaf))
	for _, v := range versions {
		if code := answerTo(ctx, t, s.through(known, 0), v); code != 0 {
			t.Errorf("%s: %v: a known device was refused with 0x%02X, want its last owner to hold", o.name, v, code)
		}
		began := time.Now()
		if code, want := answerTo(ctx, t, s.through(unknown, 0), v), codeOf(v, 3, 0x88); code != want {
			t.Errorf("%s: %v: an unknown device got 0x%02X, want 0x%02X", o.name, v, code, want)
		}
		if took := time.Since(began); took > stepTime {
			t.Errorf("%s: %v: the refusal took %v with a look-up timeout of 1 s", o.name, v, took)
		}
	}
	if o.name == "down" {
		return // nobody there to count who asks
	}
	eventually(t, stepTime, "the known device is asked for again and let in all the same", func() bool {
		if code := answerTo(ctx, t, s.through(known, 0), stack.V311); code != 0 {
			t.Errorf("%s: a known device was refused with 0x%02X", o.name, code)
		}
		return s.acl.Requests(stack.Fingerprint(known.Leaf)) > asked
	})
}

func TestNotFoundIsAskedAgainAfterItsTTL(t *testing.T) {
	t.Parallel()
	const negativeTTL = time.Second
	s := newFixture(t, broker, "VERNEGATE_ACL_NEGATIVE_TTL", negativeTTL.String())
	ctx := within(t, stepTime)
	device := s.pki.Root.Issue("device")
	dial, fingerprint := s.through(device, 0), stack.Fingerprint(device.Leaf)

	began := time.Now()
	for _, v := range versions {
		want := codeOf(v, 5, 0x87)
		if code := answerTo(ctx, t, dial, v); code != want {
			t.Errorf("%v: a device that nobody owns got 0x%02X, want 0x%02X", v, code, want)
		}
	}
	if n := s.acl.Requests(fingerprint); n != 1 && time.Since(began) < negativeTTL {
		t.Errorf("three refusals within the negative TTL took %d requests, want 1", n)
	}

	s.acl.Own(fingerprint, "acme:lamp")
	eventually(t, stepTime, "the device is let in", func() bool {
		return answerTo(ctx, t, dial, stack.V5) == 0
	})
}

// A 404 for a path without its last slash is Express', and says nothing about any
// certificate.
func TestWrongURLCouldNotTell(t *testing.T) {
	t.Parallel()
	acl := must(stack.StartACL())(t)
	t.Cleanup(func() { acl.Close() })
	s := newFixture(t, broker, "CERTIFICATE_ACL_URL", strings.TrimSuffix(acl.URL, "/"))
	if code := answerTo(within(t, stepTime), t, s.through(s.device("acme:lamp"), 0), stack.V5); code != 0x88 {
		t.Errorf("got 0x%02X, want 0x88: certificate-acl was not asked", code)
	}
}

func TestLiesCouldNotTell(t *testing.T) {
	t.Parallel()
	truth := must(stack.StartACL())(t) // where the redirect leads
	t.Cleanup(func() { truth.Close() })
	lies := map[string]http.HandlerFunc{
		"redirect":     stack.Redirect(truth.URL + "AA"),
		"web page":     stack.HTML,
		"object":       stack.Object,
		"no route":     stack.NoRoute,
		"ingress":      stack.DefaultBackend,
		"huge":         stack.Huge,
		"drip":         stack.Drip,
		"hang":         stack.Hang,
		"server error": stack.ServerError,
	}
	truth.Own("AA", "acme:lamp")
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, broker, "CERTIFICATE_ACL_REQ_TIMEOUT_MS", "1000")
			s.acl.Answer(lie)
			ctx := within(t, stepTime)
			device := s.device("acme:lamp")
			began := time.Now()
			if code := answerTo(ctx, t, s.through(device, 0), stack.V5); code != 0x88 {
				t.Errorf("got 0x%02X, want 0x88: certificate-acl did not tell", code)
			}
			if took := time.Since(began); took > stepTime {
				t.Errorf("the refusal took %v with a look-up timeout of 1 s", took)
			}
			s.acl.Answer(nil)
			if code := answerTo(ctx, t, s.through(device, 0), stack.V311); code != 0 {
				t.Errorf("the truth is told again and the device is refused with 0x%02X", code)
			}
			if asked := truth.Asked(); len(asked) > 0 {
				t.Errorf("the redirect was followed: %v", asked)
			}
		})
	}
}
