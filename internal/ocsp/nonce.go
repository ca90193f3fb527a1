// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ocsp

import (
	"crypto/rand"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// nonceSize is how long a nonce is, in bytes (RFC 9654 §2.1).
const nonceSize = 32

func newNonce() []byte {
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails
	return nonce
}

// nonceValue is what the extension of a nonce says.
func nonceValue(nonce []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1OctetString(nonce)
	return b.BytesOrPanic() // it is short
}

// withNonce adds a nonce to a request that has no extensions (RFC 6960 §4.1.1). Package x/crypto/ocsp makes none with
// extensions.
func withNonce(request, nonce []byte) ([]byte, error) {
	input := cryptobyte.String(request)
	var unsigned cryptobyte.String
	if !input.ReadASN1(&input, cbasn1.SEQUENCE) || !input.ReadASN1(&unsigned, cbasn1.SEQUENCE) || !input.Empty() {
		return nil, errors.New("adding a nonce: not an OCSP request without a signature")
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(unsigned)
			b.AddASN1(tag2, func(b *cryptobyte.Builder) { // requestExtensions
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier(oidNonce)
						b.AddASN1OctetString(nonceValue(nonce))
					})
				})
			})
		})
	})
	return b.Bytes()
}
