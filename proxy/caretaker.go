// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"iter"
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"

	"github.com/vernegate/vernegate/internal/pki"
)

const (
	// endingsPerSecond paces endings that come in bulk, when a CA is removed: the devices come back at about
	// the same rate, and those that stay must not notice.
	endingsPerSecond = 5000
	// recheckers is how many owners are asked for again at a time.
	recheckers = 16
	// stillValid is when to look again at a certificate that has outlived the chains it came in with, because
	// one of its CAs was renewed.
	stillValid = time.Minute
)

// A Withdrawal names what a new Trust no longer trusts that the one before did.
type Withdrawal struct {
	// CAs were trusted, as themselves or through CAs above them, and are not any more.
	CAs []*x509.Certificate
	// Revoked are the certificates that are on a CRL now: the raw name of the issuer and the serial number,
	// big-endian and without leading zeros. Nil = none.
	Revoked iter.Seq2[[]byte, []byte]
}

// Withdraw ends the live sessions that Config.Trust does not trust any more, of those that w names; the others
// are not looked at. It returns when the endings have begun, so that it is the caller's to run it beside
// whatever must not wait; it ends early with ctx.
func (s *Server) Withdraw(ctx context.Context, w Withdrawal) {
	trust := s.cfg.Trust()
	pace := rate.NewLimiter(endingsPerSecond, endingsPerSecond/100)
	for _, b := range s.live.withdraw(trust, w) {
		for _, c := range s.live.sessionsOf(b) {
			if !c.trusted(trust) && pace.Wait(ctx) != nil {
				return
			}
		}
	}
}

// trusted verifies the certificate of a live session anew, and ends the session when that fails. That a CRL is
// missing or overdue keeps newcomers out where the policy says so; it tells nothing about those who are in.
func (s *session) trusted(trust Trust) bool {
	err := s.certificate.verify(trust)
	if err == nil || errors.Is(err, pki.ErrRevocationUnknown) {
		return true
	}
	s.stop(withdrawn(err), err)
	return false
}

// withdrawn classifies what Trust.Verify says of the certificate of a live session.
func withdrawn(err error) Reason {
	if invalid := (x509.CertificateInvalidError{}); errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		return CertExpired
	}
	return CertRevoked
}

// enter makes the session a live one: from now on it ends when its certificate is no longer trusted, has
// expired, or belongs to somebody else, and at the end of its lifetime.
func (s *session) enter() {
	state := s.tls.ConnectionState()
	s.tlsVersion, s.resumed = state.Version, state.DidResume
	now := time.Now()
	end := earlier(s.lifetimeEnd(now), expiry(&state))
	if stale := s.server.live.add(s, s.verified, &state, end, s.firstRecheck(now)); stale {
		s.trusted(s.server.cfg.Trust())
	}
	s.verified = nil // lest a session keep a Trust, and all its CRLs, for as long as it lives
}

// lifetimeEnd is when the session has lived long enough: at the configured lifetime, give or take a tenth, so
// that devices that came together do not go together. Zero means never.
func (s *session) lifetimeEnd(now time.Time) time.Time {
	lifetime := s.server.cfg.MaxLifetime
	if lifetime == 0 || s.role != Devices || !isDevice(s.owner) {
		return time.Time{}
	}
	s.lifetime = now.Add(time.Duration(float64(lifetime) * (0.9 + 0.2*rand.Float64())))
	return s.lifetime
}

// firstRecheck spreads the questions for owners over the interval. Zero means never.
func (s *session) firstRecheck(now time.Time) time.Time {
	interval := s.server.cfg.Recheck
	if interval == 0 {
		return time.Time{}
	}
	return now.Add(time.Duration(float64(interval) * rand.Float64()))
}

// expiry is when the last of the verified chains comes to its end, which it does when the first of its
// certificates does.
func expiry(state *tls.ConnectionState) (last time.Time) {
	for _, chain := range state.VerifiedChains {
		var end time.Time
		for _, cert := range chain {
			end = earlier(end, cert.NotAfter)
		}
		if end.After(last) {
			last = end
		}
	}
	return last.Add(time.Millisecond) // at notAfter itself it is still valid (RFC 5280 §4.1.2.5)
}

// earlier returns the earlier of two times, of which the zero one means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// takeCare keeps the agenda of the live sessions until the server stops.
func (s *Server) takeCare() {
	defer s.running.Done()
	questions := make(chan *bearer)
	defer close(questions)
	for range recheckers {
		s.running.Go(func() {
			for b := range questions {
				s.recheck(b)
			}
		})
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		a, wait := s.live.due(time.Now())
		switch {
		case a == nil:
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-s.live.sooner:
			case <-s.ctx.Done():
				return
			}
		case a.session != nil:
			a.session.timeIsUp()
		default:
			select {
			case questions <- a.bearer:
			case <-s.ctx.Done():
				return
			}
		}
	}
}

// timeIsUp ends a session at its appointed end. When its chains have expired, another one may have come with a
// renewed CA.
func (s *session) timeIsUp() {
	now := time.Now()
	if !s.lifetime.IsZero() && !now.Before(s.lifetime) {
		s.stop(MaxLifetime, nil)
		return
	}
	if s.trusted(s.server.cfg.Trust()) {
		s.server.live.postpone(&s.live.end, earlier(s.lifetime, now.Add(stillValid)))
	}
}

// recheck asks again for the owner of a certificate with live sessions. That nobody can tell ends nothing.
func (s *Server) recheck(b *bearer) {
	owner, ok, err := s.cfg.Owner(s.ctx, b.fp)
	if err == nil {
		for _, c := range s.live.sessionsOf(b) {
			if id := (identity{owner, ok, nil}); owner != c.owner || id.verdict(c.role) != nil {
				c.stop(OwnerChanged, nil)
			}
		}
	}
	s.live.postpone(&b.recheck, time.Now().Add(s.cfg.Recheck))
}
