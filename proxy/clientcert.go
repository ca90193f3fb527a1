// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/internal/untrusted"
)

// A certificate is what is shown of a client's certificate; see SessionInfo. It never changes.
type certificate struct {
	fp                      pki.Fingerprint
	issuer, serial, subject string
}

// summarize describes a certificate, but for its fingerprint and issuer, which others share.
func summarize(leaf *x509.Certificate) certificate {
	return certificate{serial: untrusted.Text(leaf.SerialNumber.Text(16)), subject: untrusted.Text(pki.SubjectOf(leaf))}
}

// issuerOf returns the name of the issuer of a certificate, as in SessionInfo.
func issuerOf(cert *x509.Certificate) string { return untrusted.Text(pki.IssuerOf(cert)) }

// A clientCert is a client certificate with live sessions, and the chain that the latest verification has accepted: its
// sessions end when a certificate of that chain expires or is no longer trusted, and no other chain leads to a CA. The
// certificate itself is kept as DER: parsed, it would take five times the memory.
//
// What is below the embedded fields is guarded by mu of the registry.
type clientCert struct {
	certificate
	der  []byte
	name certName // since it was bound to its first chain

	prev, next *clientCert         // of the same name
	sent       []*x509.Certificate // by the client beside it; see boundedSent
	issuers    *issuerChain
	index      int // in issuers.certs
	sessions   []*session
	expiry     timer[clientCert] // of the chain
	recheck    timer[clientCert] // of the owner
	untold     atomic.Bool       // who the owner is, the last time that it was asked for; needs no mu
	authorize  timer[clientCert] // when Authorize is asked again
}

// An issuerChain is a verified chain without the client's certificate. Most clients share a few of them. A client
// certificate that is in the bundle itself is its own issuer.
type issuerChain struct {
	key   pki.Fingerprint // of the issuer's name and all CAs together
	cas   []*x509.Certificate
	names []certName // of the CAs
	certs []*clientCert

	// Who has issued the certificates below, as in SessionInfo, and as pki.CanonicalName has it.
	issuer, issuerName string
}

// issuersIn returns the part of a chain that an issuerChain holds.
func issuersIn(chain []*x509.Certificate) []*x509.Certificate {
	if len(chain) == 1 {
		return chain
	}
	return chain[1:]
}

// boundedSent returns what a client has sent beside its certificate, up to maxIssuersSize bytes of DER. It may lead to a
// CA when the accepted chain does no longer. crypto/tls shares the parsed certificates among connections.
func boundedSent(peer []*x509.Certificate) []*x509.Certificate {
	sent := peer[1:]
	for sizeOf(sent) > maxIssuersSize {
		sent = sent[:len(sent)-1]
	}
	return append([]*x509.Certificate(nil), sent...)
}

// expiryOf returns when the first certificate of a chain expires. At notAfter itself it is still valid (RFC 5280
// §4.1.2.5).
func expiryOf(chain []*x509.Certificate) (end time.Time) {
	for _, cert := range chain {
		end = earlier(end, cert.NotAfter)
	}
	return end.Add(time.Millisecond)
}

// parse returns the certificate as crypto/x509 knows it.
func (c *clientCert) parse() (*x509.Certificate, error) {
	leaf, err := x509.ParseCertificate(c.der)
	if err != nil {
		return nil, fmt.Errorf("parsing a certificate that was parsed before: %w", err)
	}
	return leaf, nil
}

// newClientCert makes the entry of a certificate that has no sessions yet.
func newClientCert(leaf *x509.Certificate) *clientCert {
	c := &clientCert{
		certificate: summarize(leaf),
		der:         bytes.Clone(leaf.Raw), // which is a part of the handshake message
	}
	c.fp = pki.FingerprintOf(leaf)
	c.expiry.about, c.recheck.about, c.authorize.about = c, c, c
	return c
}
