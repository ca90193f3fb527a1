// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// namingPoint is a certificate that names a distribution point by a URI; "" names none.
func namingPoint(uri string, isCA bool) *x509.Certificate {
	cert := &x509.Certificate{IsCA: isCA, RawIssuer: []byte{0x30, 0}}
	if uri == "" {
		return cert
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(pointNameTag, func(b *cryptobyte.Builder) {
				b.AddASN1(fullNameTag, func(b *cryptobyte.Builder) {
					b.AddASN1(uriTag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(uri)) })
				})
			})
		})
	})
	cert.Extensions = []pkix.Extension{{Id: oidCRLDistributionPoint, Value: b.BytesOrPanic()}}
	return cert
}

// TestAListIncludesAnotherOneThatSaysNoMore compares scopes with what they say of every kind of certificate.
func TestAListIncludesAnotherOneThatSaysNoMore(t *testing.T) {
	t.Parallel()
	const a, b = "http://a", "http://b"
	var certs []*x509.Certificate
	for _, uri := range []string{"", a, b} {
		certs = append(certs, namingPoint(uri, false), namingPoint(uri, true))
	}
	var lists []*List
	for _, names := range [][]string{nil, {a}, {b}, {a, b}} {
		for _, reasons := range []Reasons{AllReasons, 1 << 1, 1<<1 | 1<<2} {
			for _, only := range []scope{{}, {usersOnly: true}, {casOnly: true}} {
				only.reasons, only.named, only.point.uris = reasons, names != nil, names
				lists = append(lists, &List{scope: only})
			}
		}
	}
	for _, one := range lists {
		for _, other := range lists {
			want := true
			for _, cert := range certs {
				points := PointsOf(cert)
				want = want && other.Covers(&points)&^one.Covers(&points) == 0
			}
			if got := one.Includes(other, ""); got != want {
				t.Errorf("%+v includes %+v: got %v, want %v", one.scope, other.scope, got, want)
			}
		}
	}
}

func TestAListIsThatOfTheURLThatItNames(t *testing.T) {
	t.Parallel()
	const here = "http://here"
	everything := &List{scope: scope{reasons: AllReasons}}
	for name, row := range map[string]struct {
		offered scope
		want    bool
	}{
		"this one":        {scope{reasons: AllReasons, named: true, point: point{uris: []string{"ldap://x", here}}}, true},
		"another one":     {scope{reasons: AllReasons, named: true, point: point{uris: []string{"http://elsewhere"}}}, false},
		"its users alone": {scope{reasons: AllReasons, named: true, point: point{uris: []string{here}}, usersOnly: true}, false},
		"some reasons":    {scope{reasons: 1 << 1, named: true, point: point{uris: []string{here}}}, false},
	} {
		offered := &List{scope: row.offered}
		if got := offered.Includes(everything, here); got != row.want {
			t.Errorf("%s: got %v, want %v", name, got, row.want)
		}
	}
}
