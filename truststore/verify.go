// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"bytes"
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

// buildChains does what crypto/tls does in a full handshake, with bounded work: a client with many certificates beside its own
// could have x509 check a hundred signatures with keys of its choice, which takes half a second.
func (g *Generation) buildChains(peer []*x509.Certificate, now time.Time) ([][]*x509.Certificate, error) {
	opts := x509.VerifyOptions{
		Roots:         g.bundle.pool,
		Intermediates: x509.NewCertPool(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		CurrentTime:   now,
	}
	sent := peer[1:]
	if len(sent) > fewSent {
		sent = g.bundle.below(sent[:min(len(sent), maxSent)])
	}
	for _, cert := range sent {
		opts.Intermediates.AddCert(cert)
	}
	return peer[0].Verify(opts)
}

const (
	fewSent = 2 // certificates beside the client's own, with which x509 has little to search
	maxSent = 8 // of which those behind are ignored
)

// below returns those of some certificates that a CA of the bundle has signed, or one of them that is returned itself. All
// signatures are checked with keys that the bundle stands for.
func (b *bundle) below(certs []*x509.Certificate) (found []*x509.Certificate) {
	for _, cert := range certs {
		if slices.ContainsFunc(b.bySubject[string(cert.RawIssuer)], func(auth *authority) bool { return auth.hasSigned(cert) }) {
			found = append(found, cert)
		}
	}
	for i := 0; i < len(found); i++ { // which grows
		for _, cert := range certs {
			if bytes.Equal(found[i].RawSubject, cert.RawIssuer) && !slices.Contains(found, cert) && hasSigned(found[i], cert) {
				found = append(found, cert)
			}
		}
	}
	return found
}

// hasSigned reports whether a certificate is signed with the key of another one.
func hasSigned(issuer, cert *x509.Certificate) bool {
	return issuer.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil
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
	return g.checkAbove(end, now)
}

// checkAbove checks an anchor, and those above it, up to one that has none above it: one way is enough. Where all have, as
// CAs that have signed each other, nothing may be against any of them. It looks at each once, however many ways lead there.
func (g *Generation) checkAbove(end *anchor, now time.Time) (refusal error) {
	var room [8]*anchor // enough for any sane hierarchy not to allocate
	reached := append(room[:0], end)
	for i := 0; i < len(reached); i++ {
		child := reached[i]
		if len(child.parents) == 0 {
			return nil
		}
		for _, parent := range child.parents {
			if slices.Contains(reached, parent) {
				continue
			}
			if err := g.check(child.cert, parent.authority, now); err != nil {
				refusal = moreSevere(refusal, err)
				continue
			}
			reached = append(reached, parent)
		}
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
	points := crl.PointsOf(cert)
	for _, l := range newest {
		switch reasons := l.Covers(&points); {
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
		return fmt.Errorf("%w: the CRLs of %q leave some reasons out", pki.ErrRevocationUnknown, pki.IssuerOf(cert))
	}
	return fmt.Errorf("%w: there is no CRL of %q", pki.ErrRevocationUnknown, pki.IssuerOf(cert))
}

// moreSevere returns the error that says more: that a certificate is revoked
// rather than that this is not known of another chain.
func moreSevere(a, b error) error {
	if a == nil || errors.Is(b, pki.ErrRevoked) && !errors.Is(a, pki.ErrRevoked) {
		return b
	}
	return a
}
