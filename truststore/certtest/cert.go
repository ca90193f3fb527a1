// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certtest

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"slices"
)

// Cert is an issued certificate with its key and the intermediates that lead
// to the root.
type Cert struct {
	Leaf *x509.Certificate
	Key  crypto.Signer

	chain []*x509.Certificate
}

// Chain returns the leaf and its intermediates in the order they are sent, as
// a new slice.
func (c *Cert) Chain() []*x509.Certificate {
	return slices.Concat([]*x509.Certificate{c.Leaf}, c.chain)
}

// CertPEM returns the leaf followed by its intermediates.
func (c *Cert) CertPEM() []byte { return CertsPEM(c.Chain()...) }

// KeyPEM returns the private key as PKCS #8.
func (c *Cert) KeyPEM() []byte {
	return encodePEM("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(c.Key)))
}

// TLS returns the certificate as crypto/tls wants it, intermediates included.
func (c *Cert) TLS() tls.Certificate {
	out := tls.Certificate{PrivateKey: c.Key, Leaf: c.Leaf}
	for _, cert := range c.Chain() {
		out.Certificate = append(out.Certificate, cert.Raw)
	}
	return out
}
