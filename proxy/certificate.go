// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"crypto/x509"
	"fmt"

	"github.com/vernegate/vernegate/internal/pki"
)

// A certificate is what is kept of a client's certificate while it has live sessions: what to show of it, and what
// it takes to verify it again. A parsed one takes five times the memory. It never changes.
type certificate struct {
	fp                      pki.Fingerprint
	issuer, serial, subject string // as in Connection; issuer is "" until told
	der                     []byte
	above                   []*x509.Certificate // that came with it; parsed, as crypto/tls shares them among clients
}

// summarize keeps what is needed of the certificates of a client, leaf first, but for the fingerprint and the issuer,
// which others share.
func summarize(peer []*x509.Certificate) certificate {
	leaf := peer[0]
	return certificate{
		serial:  leaf.SerialNumber.Text(16),
		subject: printable(leaf.Subject.String()),
		der:     bytes.Clone(leaf.Raw), // which is a part of the handshake message
		above:   append([]*x509.Certificate(nil), peer[1:]...),
	}
}

// issuerOf returns the name of the issuer of a certificate, as in Connection.
func issuerOf(cert *x509.Certificate) string { return printable(cert.Issuer.String()) }

// verify has trust decide again. The error is Trust.Verify's.
func (c *certificate) verify(trust Trust) error {
	leaf, err := x509.ParseCertificate(c.der)
	if err != nil {
		return fmt.Errorf("reading a certificate that was read before: %w", err)
	}
	_, err = trust.Verify(append([]*x509.Certificate{leaf}, c.above...), nil)
	return err
}
