// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"strings"
	"testing"

	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/vernegate/vernegate/internal/pki"
)

// namingPoint is a certificate that names a distribution point by a URI; "" names none.
func namingPoint(uri string, isCA bool) *x509.Certificate {
	if uri == "" {
		return naming(isCA)
	}
	return naming(isCA, pointWith(nil, uri))
}

// naming is a certificate with distribution points.
func naming(isCA bool, points ...[]byte) *x509.Certificate {
	cert := &x509.Certificate{IsCA: isCA, RawIssuer: []byte{0x30, 0}}
	if points != nil {
		cert.Extensions = []pkix.Extension{{Id: oidCRLDistributionPoint, Value: element(cbasn1.SEQUENCE, points...)}}
	}
	return cert
}

// pointWith is a distribution point that is named by URIs, and its reasons as ReasonFlags has them; nil is all.
func pointWith(reasons []byte, uris ...string) []byte {
	var names, flags []byte
	for _, uri := range uris {
		names = append(names, element(uriTag, []byte(uri))...)
	}
	if reasons != nil {
		flags = element(reasonsTag, reasons)
	}
	return element(cbasn1.SEQUENCE, element(pointNameTag, element(fullNameTag, names)), flags)
}

func TestAListIsAboutCertificatesThatNameItsPoint(t *testing.T) {
	t.Parallel()
	const keyCompromise, caCompromise = Reasons(1 << 1), Reasons(1 << 2)
	keys, cas := []byte{6, 0x40}, []byte{5, 0x20}
	list := func(reasons Reasons, others []string, uris ...string) *List {
		return &List{scope: scope{reasons: reasons, named: true, point: point{uris: newNames(uris), others: newNames(others)}}}
	}
	itself := []string{pki.CanonicalName([]byte{0x30, 0})}
	many := strings.Split("abcdefghijklmnopqrstuvwxyz", "")
	for name, row := range map[string]struct {
		list *List
		cert *x509.Certificate
		want Reasons
	}{
		"another name":                 {list(AllReasons, nil, "a"), naming(false, pointWith(nil, "b")), 0},
		"one of its names":             {list(AllReasons, nil, "a", "b"), naming(false, pointWith(nil, "c", "b")), AllReasons},
		"one of its points":            {list(AllReasons, nil, "b"), naming(false, pointWith(nil, "a"), pointWith(nil, "b")), AllReasons},
		"for some reasons":             {list(AllReasons, nil, "a"), naming(false, pointWith(keys, "a"), pointWith(nil, "b")), keyCompromise},
		"a list of some reasons":       {list(caCompromise, nil, "a"), naming(false, pointWith(nil, "a")), caCompromise},
		"a list of other reasons":      {list(caCompromise, nil, "a"), naming(false, pointWith(keys, "a")), 0},
		"one name in two points":       {list(AllReasons, nil, "a"), naming(false, pointWith(keys, "a"), pointWith(cas, "a")), keyCompromise | caCompromise},
		"two names, for some reasons":  {list(AllReasons, nil, "a", "b"), naming(false, pointWith(keys, "a"), pointWith(cas, "b")), keyCompromise | caCompromise},
		"one of many names":            {list(AllReasons, nil, many...), naming(false, pointWith(keys, "A", "z"), pointWith(cas, "a")), keyCompromise | caCompromise},
		"none of many names":           {list(AllReasons, nil, many...), naming(false, pointWith(nil, "A", "B"), pointWith(nil, "")), 0},
		"the CA itself, without point": {list(AllReasons, itself), naming(false), AllReasons},
		"the CA itself, beside a name": {list(caCompromise, itself, "a"), naming(false, pointWith(keys, "a")), caCompromise},
	} {
		points := PointsOf(row.cert)
		for range 2 { // it is asked for all lists of the CA
			if got := row.list.Covers(&points); got != row.want {
				t.Errorf("%s: covers %b, want %b", name, got, row.want)
			}
		}
	}
}

// BenchmarkCovers has a certificate and a list with many names each, or one of them.
func BenchmarkCovers(b *testing.B) {
	uris := func(prefix string, n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("http://%s/%06d", prefix, i))
		}
		return all
	}
	for _, n := range []struct{ cert, list int }{{1, 1}, {1, 40_000}, {4000, 4000}} {
		cert := naming(false, pointWith(nil, uris("cert", n.cert)...))
		list := &List{scope: scope{reasons: AllReasons, named: true, point: point{uris: newNames(uris("list", n.list))}}}
		b.Run(fmt.Sprintf("%d names, list with %d", n.cert, n.list), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				points := PointsOf(cert)
				if list.Covers(&points) != 0 {
					b.Fatal("covered")
				}
			}
		})
	}
}

// TestAListIncludesAnotherOneThatSaysNoMore compares scopes with what they say of every kind of certificate.
func TestAListIncludesAnotherOneThatSaysNoMore(t *testing.T) {
	t.Parallel()
	const a, b = "http://a", "http://b"
	many := append(strings.Split("abcdefghij", ""), a)
	var certs []*x509.Certificate
	for _, uri := range append([]string{"", b}, many...) {
		certs = append(certs, namingPoint(uri, false), namingPoint(uri, true))
	}
	var lists []*List
	for _, names := range [][]string{nil, {a}, {b}, {a, b}, many, append(many, b)} {
		for _, reasons := range []Reasons{AllReasons, 1 << 1, 1<<1 | 1<<2} {
			for _, only := range []scope{{}, {usersOnly: true}, {casOnly: true}} {
				only.reasons, only.named, only.point.uris = reasons, names != nil, newNames(names)
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
		"this one":        {scope{reasons: AllReasons, named: true, point: point{uris: newNames([]string{"ldap://x", here})}}, true},
		"another one":     {scope{reasons: AllReasons, named: true, point: point{uris: newNames([]string{"http://elsewhere"})}}, false},
		"its users alone": {scope{reasons: AllReasons, named: true, point: point{uris: newNames([]string{here})}, usersOnly: true}, false},
		"some reasons":    {scope{reasons: 1 << 1, named: true, point: point{uris: newNames([]string{here})}}, false},
	} {
		offered := &List{scope: row.offered}
		if got := offered.Includes(everything, here); got != row.want {
			t.Errorf("%s: got %v, want %v", name, got, row.want)
		}
	}
}
