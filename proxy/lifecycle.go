// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
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
	// stillValid is when to look again at a certificate whose chain has expired and that is trusted nevertheless, as the
	// clock was set back or the Trust could not tell of which chain.
	stillValid = time.Minute
)

// A Withdrawal names what a new Trust no longer trusts that the one before did.
type Withdrawal struct {
	// CAs were trusted, as themselves or through CAs above them, and are not any more.
	CAs []*x509.Certificate
	// Revoked are the certificates that are on a CRL now: the name of the issuer, as pki.CanonicalName has it, and the
	// serial number, big-endian and without leading zeros. Nil = none.
	Revoked iter.Seq2[string, []byte]
}

// Withdraw ends the live sessions that Config.Trust does not trust any more, of those that w names; the others
// are not looked at. It returns when the endings have begun, so that it is the caller's to run it beside
// whatever must not wait; it ends early with ctx. Call it after Config.Trust has begun to return the new Trust.
func (s *Server) Withdraw(ctx context.Context, w Withdrawal) {
	pace := rate.NewLimiter(endingsPerSecond, endingsPerSecond/100)
	for _, c := range s.live.affected(w) {
		err := s.verifyAgain(c)
		if err == nil {
			continue
		}
		for _, session := range s.live.sessionsOf(c) {
			session.stop(withdrawn(err), err)
			if pace.Wait(ctx) != nil {
				return
			}
		}
	}
}

// endUntrusted ends the live sessions of a certificate if it is not trusted any more.
func (s *Server) endUntrusted(c *clientCert) {
	if err := s.verifyAgain(c); err != nil {
		for _, session := range s.live.sessionsOf(c) {
			session.stop(withdrawn(err), err)
		}
	}
}

// verifyAgain has the current Trust decide anew on a certificate with live sessions, and binds them to the chain that it
// accepts. That a CRL is missing or overdue keeps newcomers out where the policy says so; it ends no session.
//
// A Trust that comes while another one is being asked is asked as well. So whatever the order in which several
// goroutines do this, the sessions are bound to what the last Trust accepts; and when the one after that withdraws a CA
// of it, they are found by that.
func (s *Server) verifyAgain(c *clientCert) error {
	leaf, err := c.parse()
	if err != nil {
		return err
	}
	peer := append([]*x509.Certificate{leaf}, s.live.sentWith(c)...)
	for {
		trust := s.cfg.Trust()
		chain, err := trust.Verify(peer, nil)
		if errors.Is(err, pki.ErrRevocationUnknown) {
			err = nil
		}
		if err == nil && len(chain) > 0 {
			s.live.rebind(c, chain)
		}
		if s.cfg.Trust() == trust {
			return err
		}
	}
}

// withdrawn classifies what Trust.Verify says of the certificate of a live session.
func withdrawn(err error) Reason {
	if invalid := (x509.CertificateInvalidError{}); errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		return CertExpired
	}
	return CertRevoked
}

// enter makes the session a live one: from now on it ends when its certificate is no longer trusted, has
// expired, or belongs to another owner, and at the end of its lifetime. The error is an *endError.
func (s *session) enter(id identity) error {
	state := s.tls.ConnectionState()
	s.tlsVersion, s.resumed = state.Version, state.DidResume
	now := time.Now()
	cert, err := s.server.live.add(s, state.PeerCertificates, s.newcomer.chain, times{
		lifetime:  s.lifetimeEnd(now),
		recheck:   s.firstRecheck(now),
		authorize: s.server.nextAuthorization(id.again, now),
	})
	if err != nil {
		return because(TLSUntrusted, err)
	}
	// A Trust that came before this moment may have withdrawn the chain before the session could be found by it.
	if s.server.cfg.Trust() != s.newcomer.trust {
		s.server.endUntrusted(cert)
	}
	if s.server.changes.count(cert.fp) != s.newcomer.changes { // so may one of the owner
		s.server.recheckOwner(cert)
	} else if id.soon {
		s.server.live.recheckAgain(cert, now.Add(s.server.nextRecheck(false)))
	}
	s.newcomer = nil
	return nil
}

// lifetimeEnd is when the session has lived long enough: at the configured lifetime, give or take a tenth, so
// that devices that came together do not go together. Zero means never.
func (s *session) lifetimeEnd(now time.Time) time.Time {
	lifetime := s.server.cfg.MaxLifetime
	if lifetime == 0 || s.role == Services || s.server.cfg.Service(s.owner) {
		return time.Time{}
	}
	return now.Add(time.Duration(float64(min(lifetime, longLifetime)) * (0.9 + 0.2*rand.Float64())))
}

// longLifetime is how long a session may live in any case. Much longer, and a tenth more is no time.Duration any more.
const longLifetime = 100 * 365 * 24 * time.Hour

// nextAuthorization is when to ask Authorize again that has said so, or has left it to Recheck. Zero means never.
func (s *Server) nextAuthorization(again, now time.Time) time.Time {
	switch {
	case s.cfg.Authorize == nil:
		return time.Time{}
	case again.IsZero() && s.cfg.Recheck > 0:
		return now.Add(s.cfg.Recheck)
	}
	return again
}

// earlier returns the earlier of two times, of which the zero one means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// serveTimers serves the timers of the live sessions, and those of the log, until the server stops. Those that end sessions
// have a goroutine of their own: rechecks may take as long as certificate-acl likes.
func (s *Server) serveTimers() {
	defer s.running.Done()
	s.running.Go(func() { s.live.rechecks.serve(s.ctx, s.startRecheckers()) })
	s.running.Go(func() { s.live.authorizations.serve(s.ctx, s.authorizeAgain) })
	s.running.Go(func() { s.live.expiries.serve(s.ctx, s.expired) })
	s.running.Go(func() {
		s.live.lifetimes.serve(s.ctx, func(c *session) { c.stop(MaxLifetime, nil) })
	})
	suppressed := time.NewTicker(suppressedInterval)
	defer suppressed.Stop()
	for {
		select {
		case <-suppressed.C:
			s.sampling.flush(s.cfg.Audit)
		case <-s.ctx.Done():
			return
		}
	}
}

// expired ends the sessions of a certificate whose chain has expired, unless another chain has come with a renewed CA.
func (s *Server) expired(c *clientCert) {
	s.endUntrusted(c)
	s.live.resetTimer(&s.live.expiries, &c.expiry, time.Now().Add(stillValid))
}

// authorizeAgain asks Authorize about a client with live sessions, and ends them if it is revoked by now.
func (s *Server) authorizeAgain(c *clientCert) {
	var again time.Time
	if peer, err := s.live.peerOf(c); err == nil {
		if again, err = s.cfg.Authorize(s.ctx, peer); errors.Is(err, pki.ErrRevoked) {
			for _, session := range s.live.sessionsOf(c) {
				session.stop(CertRevoked, err)
			}
		}
	}
	if next := s.nextAuthorization(again, time.Now()); !next.IsZero() {
		s.live.resetTimer(&s.live.authorizations, &c.authorize, next)
	}
}
