// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package pki is what packages agree on about client certificates: what one is
// called, and what it means that one is refused.
package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
)

// Errors of those who verify client certificates, beside the types of
// crypto/x509.
var (
	// ErrRevoked: a certificate of the chain is revoked.
	ErrRevoked = errors.New("certificate is revoked")

	// ErrRevocationUnknown: whether a certificate is revoked cannot be told, and
	// the configuration demands to know it.
	ErrRevocationUnknown = errors.New("revocation cannot be told")
)

// Fingerprint is the SHA-256 digest of a certificate's DER encoding.
type Fingerprint [sha256.Size]byte

// FingerprintOf returns the fingerprint of cert.
func FingerprintOf(cert *x509.Certificate) Fingerprint { return sha256.Sum256(cert.Raw) }

// String returns upper-case hexadecimal pairs joined by colons, the spelling
// that certificate-acl files its entries under and that
// "openssl x509 -fingerprint -sha256" prints.
func (fp Fingerprint) String() string {
	const digits = "0123456789ABCDEF"
	var text [len("AA:") * len(fp)]byte
	for i, b := range fp {
		text[3*i], text[3*i+1], text[3*i+2] = digits[b>>4], digits[b&0xF], ':'
	}
	return string(text[:len(text)-1])
}

// MarshalText is String for encoders, so that JSON holds the fingerprint as
// people know it and not as 32 numbers.
func (fp Fingerprint) MarshalText() ([]byte, error) { return []byte(fp.String()), nil }
