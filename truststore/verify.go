// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore/crl"
)

// ErrNoCertificate is what Verify returns when the peer has sent no certificate.
var ErrNoCertificate = errors.New("no client certificate")

// Verify decides whether a TLS client is trusted at the given time. It is safe
// for concurrent use, and is meant for tls.Config.VerifyConnection, which runs
// for resumed sessions as well.
//
// peer is what the client has sent, leaf first. chains are what crypto/tls has
// verified, in this handshake or in the one that it resumes, under this
// generation or an earlier one. A signature stays good, so it is not checked
// again, but all that can have changed is: that the chain ends at a CA of this
// generation, that its certificates are valid now, and revocation. Where none of
// them is left, or none is given, they are built anew. One good chain is enough.
//
// It returns the chain that it has accepted: leaf first, ending at a CA of this
// generation. With an error that matches pki.ErrRevocationUnknown that is a chain
// that has nothing else against it, and with any other error nil.
//
// Errors match ErrNoCertificate, pki.ErrRevoked or pki.ErrRevocationUnknown, or
// wrap one of crypto/x509: x509.UnknownAuthorityError,
// x509.CertificateInvalidError and the rest.
func (g *Generation) Verify(peer []*x509.Certificate, chains [][]*x509.Certificate, now time.Time) ([]*x509.Certificate, error) {
	if len(peer) == 0 {
		return nil, ErrNoCertificate
	}
	if len(chains) > 0 {
		if chain, err := g.checkChains(chains, now); err == nil {
			return chain, nil
		}
	}
	chains, err := g.buildChains(peer, now)
	if err != nil {
		return nil, fmt.Errorf("verifying the client certificate: %w", err)
	}
	return g.checkChains(chains, now)
}

// checkChains returns the first of the chains that is good, of which there is at
// least one; else as Verify does.
func (g *Generation) checkChains(chains [][]*x509.Certificate, now time.Time) (doubted []*x509.Certificate, refusal error) {
	for _, chain := range chains {
		err := g.checkChain(chain, now)
		if err == nil {
			return chain, nil
		}
		if refusal = moreSevere(refusal, err); refusal == err && errors.Is(err, pki.ErrRevocationUnknown) {
			doubted = chain
		}
	}
	if !errors.Is(refusal, pki.ErrRevocationUnknown) {
		doubted = nil
	}
	return doubted, refusal
}

// buildChains does what crypto/tls does in a full handshake.
func (g *Generation) buildChains(peer []*x509.Certificate, now time.Time) ([][]*x509.Certificate, error) {
	opts := x509.VerifyOptions{
		Roots:         g.bundle.pool,
		Intermediates: x509.NewCertPool(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		CurrentTime:   now,
	}
	for _, cert := range peer[1:] {
		opts.Intermediates.AddCert(cert)
	}
	return peer[0].Verify(opts)
}

// checkChain checks that a chain, whose signatures are good, ends at an anchor of
// the bundle and is valid now, and every certificate of it against the CRLs of
// its issuer, going on above the chain's end through the bundle.
func (g *Generation) checkChain(chain []*x509.Certificate, now time.Time) error {
	end := g.bundle.find(chain[len(chain)-1])
	if end == nil {
		return x509.UnknownAuthorityError{Cert: chain[0]}
	}
	for _, cert := range chain {
		if now.Before(cert.NotBefore) || now.After(cert.NotAfter) { // RFC 5280 §4.1.2.5
			return x509.CertificateInvalidError{Cert: cert, Reason: x509.Expired}
		}
	}
	for i, ca := range chain[1:] {
		if err := g.check(chain[i], g.bundle.authorityOf(ca), now); err != nil {
			return err
		}
	}
	var path [4]*anchor // enough for any sane hierarchy not to allocate
	return g.checkAbove(append(path[:0], end), now)
}

// checkAbove checks the last anchor of the path, and those above it. A parent
// in the path already, as CAs that have signed each other are, leads nowhere.
// One way up is enough.
func (g *Generation) checkAbove(path []*anchor, now time.Time) error {
	end := path[len(path)-1]
	var refusal error
	for _, parent := range end.parents {
		if slices.Contains(path, parent) {
			continue
		}
		err := g.check(end.cert, parent.authority, now)
		if err == nil {
			err = g.checkAbove(append(path, parent), now)
		}
		if err == nil {
			return nil
		}
		refusal = moreSevere(refusal, err)
	}
	return refusal
}

// check looks one certificate up in the CRLs of its issuer, which is nil when
// the bundle does not know it.
func (g *Generation) check(cert *x509.Certificate, issuer *authority, now time.Time) error {
	r := g.revocation[issuer]
	if r == nil {
		r = new(revocation)
	}
	for _, l := range r.lists {
		if l.Has(cert.SerialNumber) {
			return fmt.Errorf("%w: serial %x of %q", pki.ErrRevoked, cert.SerialNumber, l.Issuer)
		}
	}
	return g.checkCoverage(cert, r.newest, now)
}

// checkCoverage checks that what is not revoked is known to be so: that there are current lists about the certificate,
// which together speak of all reasons (RFC 5280 §6.3.3).
func (g *Generation) checkCoverage(cert *x509.Certificate, newest []*list, now time.Time) error {
	var covered crl.Reasons
	var late *list
	for _, l := range newest {
		switch reasons := l.Covers(cert); {
		case reasons == 0:
		case g.rules.lateness(l, now) == tooLate:
			late = l
		default:
			covered |= reasons
		}
	}
	switch {
	case covered == crl.AllReasons:
		return nil
	case late != nil:
		return fmt.Errorf("%w: the CRL of %q has been overdue since %s", pki.ErrRevocationUnknown, late.Issuer, late.NextUpdate.Format(time.RFC3339))
	case g.rules.missing == Allow:
		return nil
	case covered != 0:
		return fmt.Errorf("%w: the CRLs of %q leave some reasons out", pki.ErrRevocationUnknown, cert.Issuer)
	}
	return fmt.Errorf("%w: there is no CRL of %q", pki.ErrRevocationUnknown, cert.Issuer)
}

// moreSevere returns the error that says more: that a certificate is revoked
// rather than that this is not known of another chain.
func moreSevere(a, b error) error {
	if a == nil || errors.Is(b, pki.ErrRevoked) && !errors.Is(a, pki.ErrRevoked) {
		return b
	}
	return a
}
