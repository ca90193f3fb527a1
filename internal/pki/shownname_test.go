// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// A name costs what is shown of it, however many attributes a stranger has put into it, and however long they are.
func TestOfLongNamesTheBeginningIsWritten(t *testing.T) {
	t.Parallel()
	many := nameOf(append([][]rdn{{{3, asn1.UTF8String, "lamp"}}}, slices.Repeat([][]rdn{{{11, asn1.UTF8String, "a"}}}, 20_000)...)...)
	set := nameOf(append([]rdn{{3, asn1.UTF8String, "lamp"}}, slices.Repeat([]rdn{{11, asn1.UTF8String, "a"}}, 20_000)...))
	long := nameOf([]rdn{{3, asn1.UTF8String, "lamp"}}, []rdn{{11, asn1.UTF8String, strings.Repeat("a", 200_000)}})
	for _, raw := range [][]byte{many, set, long} {
		cert := &x509.Certificate{RawSubject: raw, RawIssuer: raw}
		for name, got := range map[string]string{"SubjectOf": SubjectOf(cert), "IssuerOf": IssuerOf(cert), "NameString": NameString(raw)} {
			if !strings.Contains(got, "CN=lamp") || !strings.HasSuffix(got, "…") || len(got) > 2*maxShownName {
				t.Errorf("%s: got %d bytes, %.60q, want a bounded name with CN=lamp", name, len(got), got)
			}
		}
	}
}

// Types of attributes are numbers of any length.
func TestLongTypesAreNotWritten(t *testing.T) {
	t.Parallel()
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Repeat([]byte{1}, 200_000)) })
				b.AddASN1(asn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte("lamp")) })
			})
		})
	})
	if got := NameString(b.BytesOrPanic()); len(got) > 2*maxShownName {
		t.Errorf("got %d bytes, %.60q", len(got), got)
	}
}

func TestNamesAreWrittenUpToABound(t *testing.T) {
	t.Parallel()
	value := strings.Repeat("a", 2000)
	if got, want := NameString(nameOf([]rdn{{3, asn1.UTF8String, value}})), "CN="+value; got != want {
		t.Errorf("got %.60q, want %.60q", got, want)
	}
}
