// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/proxy"
)

var errResponder = errors.New("the responder does not answer")

func TestWhoIsNotAuthorizedIsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		denied  error
		connack []byte
		reason  proxy.Reason
	}{
		"revoked": {fmt.Errorf("OCSP: %w", pki.ErrRevoked), []byte("\x20\x02\x00\x05"), proxy.TLSRevoked},
		"unknown": {errResponder, []byte("\x20\x02\x00\x03"), proxy.IdentityUnavailable},
		"demanded and unknown": {
			fmt.Errorf("OCSP: %w", pki.ErrRevocationUnknown), []byte("\x20\x02\x00\x03"), proxy.CertStatusUnknown,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startGate(t, func(c *proxy.Config) {
				c.Authorize = func(context.Context, proxy.Peer) (time.Time, error) { return time.Time{}, test.denied }
			})
			client := g.device(connect311)
			wantBytes(t, client, test.connack)
			wantEOF(t, client)
			g.wantEnd(test.reason)
		})
	}
}

// The two questions about a client are asked at the same time, with the chain that the Trust has accepted. The second one
// is asked again for live sessions when its answer says so, or else with the owner.
func TestAuthorizationIsAskedBesideTheOwner(t *testing.T) {
	t.Parallel()
	const often = 20 * time.Millisecond
	for name, test := range map[string]struct{ recheck, again time.Duration }{
		"again when its answer ends": {0, often},
		"again with the owner":       {often, 0},
		"again before the owner":     {time.Hour, often},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testAuthorization(t, test.recheck, test.again)
		})
	}
}

// testAuthorization has Authorize say that it is to be asked again after a while; 0 = nothing.
func testAuthorization(t *testing.T, recheck, after time.Duration) {
	device := testPKI().ca.Intermediate("plant 7").Issue("admin:dev1")
	b := startBroker(t)
	asked := make(chan proxy.Peer, 100)
	var denied atomic.Pointer[error]
	var looked, authorized atomic.Bool // once
	g := startGate(t, func(c *proxy.Config) {
		brokers(b)(c)
		c.Recheck = recheck
		meet := make(chan struct{})
		c.Owner = func(context.Context, proxy.Peer) (string, bool, error) {
			if looked.CompareAndSwap(false, true) {
				<-meet // for ever, if the one waited for the other
			}
			return "admin:dev1", true, nil
		}
		c.Authorize = func(_ context.Context, peer proxy.Peer) (again time.Time, err error) {
			if after > 0 {
				again = time.Now().Add(after)
			}
			if authorized.CompareAndSwap(false, true) {
				meet <- struct{}{}
			}
			asked <- peer
			if err := denied.Load(); err != nil {
				return again, *err
			}
			return again, nil
		}
	})
	client, backend := session5(g, b, device)
	for i := range 3 {
		peer := <-asked
		if peer.Fingerprint != pki.FingerprintOf(device.Leaf) || len(peer.Chain) != 3 ||
			!peer.Chain[0].Equal(device.Leaf) || !peer.Chain[2].Equal(testPKI().ca.Cert) {
			t.Fatalf("question %d: got a chain of %d certificates, want the one that was accepted", i, len(peer.Chain))
		}
		if peer.Live != (i > 0) {
			t.Errorf("question %d: live is %v", i, peer.Live)
		}
	}
	denied.Store(&errResponder)
	for range 3 {
		<-asked
	}
	write(t, client, pingreq) // that it could not be found out ends nothing
	wantBytes(t, backend, pingreq)
	revoked := fmt.Errorf("OCSP: %w", pki.ErrRevoked)
	denied.Store(&revoked)
	wantStopped(t, client, backend, 0x87)
	g.wantEnd(proxy.CertRevoked)
}

// The answer that ends first decides when the sessions of a certificate are asked about again, and an end that is over
// when the session begins counts.
func TestAuthorizationIsAskedAgainAtTheEarliestTime(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	answers := make(chan time.Duration, 3)
	revoked := make(chan struct{})
	g := startGate(t, func(c *proxy.Config) {
		brokers(b)(c)
		c.Authorize = func(_ context.Context, peer proxy.Peer) (time.Time, error) {
			if peer.Live {
				<-revoked
				return time.Time{}, fmt.Errorf("OCSP: %w", pki.ErrRevoked)
			}
			return time.Now().Add(<-answers), nil
		}
	})
	answers <- time.Hour
	first, firstBackend := session5(g, b, testPKI().device)
	answers <- -time.Hour
	second, secondBackend := session5(g, b, testPKI().device)
	answers <- time.Hour
	third, thirdBackend := session5(g, b, testPKI().device)
	close(revoked)
	wantStopped(t, first, firstBackend, 0x87)
	wantStopped(t, second, secondBackend, 0x87)
	wantStopped(t, third, thirdBackend, 0x87)
}

func TestAdmitDecidesWhoUsesAListener(t *testing.T) {
	t.Parallel()
	g := startGate(t, func(c *proxy.Config) {
		c.Admit = func(role proxy.Role, owner string) bool { return role == proxy.Services || owner != "admin:dev1" }
	})
	client := g.device(connect311)
	wantBytes(t, client, []byte("\x20\x02\x00\x05"))
	g.wantEnd(proxy.IdentityNotAllowed)
}

// A certificate-acl that does not answer holds up rechecks, and nothing that ends sessions.
func TestSlowRechecksDoNotKeepSessionsAlive(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	var slow atomic.Bool
	g := startGate(t, func(c *proxy.Config) {
		brokers(b)(c)
		c.Recheck = 10 * time.Millisecond
		c.Owner = func(ctx context.Context, _ proxy.Peer) (string, bool, error) {
			if slow.Load() {
				<-ctx.Done()
			}
			return "admin:dev1", true, nil
		}
	})
	for range 40 { // more than are asked for at a time
		session5(g, b, testPKI().ca.Issue("admin:dev1"))
	}
	device, client, backend := sessionThatExpires(g, b)
	slow.Store(true)
	wantStopped(t, client, backend, 0x87)
	if late := time.Since(device.Leaf.NotAfter); late > patience/2 {
		t.Errorf("ended %v after the certificate expired", late)
	}
}

// Why a certificate has no owner is for the log; the client is told that it is not authorized, and a live session ends.
func TestReasonForNoOwnerIsLogged(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	var gone atomic.Bool
	g := startGate(t, func(c *proxy.Config) {
		brokers(b)(c)
		c.Recheck = 10 * time.Millisecond
		c.Owner = func(context.Context, proxy.Peer) (string, bool, error) {
			if gone.Load() {
				return "", false, fmt.Errorf("%w: two names", proxy.ErrNoOwner)
			}
			return "admin:dev1", true, nil
		}
	})
	client, backend := session5(g, b, testPKI().ca.Issue("admin:dev1"))
	gone.Store(true)
	wantStopped(t, client, backend, 0x87)
	g.wantEnd(proxy.OwnerChanged)

	g = startGate(t, func(c *proxy.Config) {
		c.Owner = func(context.Context, proxy.Peer) (string, bool, error) {
			return "", false, fmt.Errorf("%w: two names", proxy.ErrNoOwner)
		}
	})
	wantBytes(t, g.device(connect311), []byte("\x20\x02\x00\x05"))
	if line := g.wantEnd(proxy.IdentityUnknown); !strings.Contains(fmt.Sprint(line["err"]), "two names") {
		t.Errorf("the line is %v, want the reason in it", line)
	}
}

// Sessions of services have no lifetime. The service's, which is older, would have ended before the device's.
func TestServicesAreThoseThatServiceNames(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	var service atomic.Bool
	service.Store(true)
	g := startGate(t, func(c *proxy.Config) {
		brokers(b)(c)
		c.MaxLifetime = 50 * time.Millisecond
		c.Service = func(string) bool { return service.Load() }
	})
	hub, behindHub := session5(g, b, testPKI().ca.Issue("admin:dev1"))
	service.Store(false)
	device, behindDevice := session5(g, b, testPKI().ca.Issue("admin:dev1"))
	wantStopped(t, device, behindDevice, 0xA0)
	write(t, hub, pingreq)
	wantBytes(t, behindHub, pingreq)
}
