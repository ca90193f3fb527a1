// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certacl

import (
	"crypto/sha256"
	"crypto/x509"
)

// Fingerprint is the SHA-256 digest of a certificate's DER encoding.
type Fingerprint [sha256.Size]byte

// FingerprintOf returns the fingerprint of cert, the leaf that a device
// presented.
func FingerprintOf(cert *x509.Certificate) Fingerprint {
	return sha256.Sum256(cert.Raw)
}

// String returns upper-case hexadecimal pairs joined by colons, the spelling
// that certificate-acl files its entries under and that
// "openssl x509 -fingerprint -sha256" prints.
func (fp Fingerprint) String() string {
	const digits = "0123456789ABCDEF"
	text := make([]byte, 0, len("AA:")*len(fp))
	for _, b := range fp {
		text = append(text, digits[b>>4], digits[b&0xF], ':')
	}
	return string(text[:len(text)-1])
}

// MarshalText is String for encoders, so that JSON holds the fingerprint as
// people know it and not as 32 numbers.
func (fp Fingerprint) MarshalText() ([]byte, error) {
	return []byte(fp.String()), nil
}
