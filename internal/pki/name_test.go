// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"crypto/x509/pkix"
	stdasn1 "encoding/asn1"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// rdn is one attribute of a name as it is encoded.
type rdn struct {
	last  byte // of the attribute's identifier, 2.5.4.last
	tag   asn1.Tag
	value string
}

// nameOf encodes a name of RDNs, each of some attributes.
func nameOf(rdns ...[]rdn) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, set := range rdns {
			b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
				for _, a := range set {
					b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier(stdasn1.ObjectIdentifier{2, 5, 4, int(a.last)})
						b.AddASN1(a.tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(a.value)) })
					})
				}
			})
		}
	})
	return b.BytesOrPanic()
}

func TestNamesAreComparedWhateverTheirEncoding(t *testing.T) {
	t.Parallel()
	const cn, o = 3, 10
	one := nameOf([]rdn{{cn, asn1.PrintableString, "Bug Root"}})
	for name, row := range map[string]struct {
		a, b []byte
		same bool
	}{
		"UTF8String":          {one, nameOf([]rdn{{cn, asn1.UTF8String, "Bug Root"}}), true},
		"letter case":         {one, nameOf([]rdn{{cn, asn1.UTF8String, "BUG root"}}), true},
		"white space":         {one, nameOf([]rdn{{cn, asn1.PrintableString, "  Bug \t Root "}}), true},
		"BMPString":           {one, nameOf([]rdn{{cn, bmpString, "\x00B\x00u\x00g\x00 \x00R\x00o\x00o\x00t"}}), true},
		"UniversalString":     {nameOf([]rdn{{cn, asn1.UTF8String, "é"}}), nameOf([]rdn{{cn, universalString, "\x00\x00\x00\xc9"}}), true},
		"TeletexString":       {nameOf([]rdn{{cn, asn1.UTF8String, "É"}}), nameOf([]rdn{{cn, teletexString, "\xe9"}}), true},
		"order within an RDN": {nameOf([]rdn{{cn, asn1.UTF8String, "a"}, {o, asn1.UTF8String, "b"}}), nameOf([]rdn{{o, asn1.UTF8String, "b"}, {cn, asn1.UTF8String, "a"}}), true},

		"other words":      {one, nameOf([]rdn{{cn, asn1.UTF8String, "BugRoot"}}), false},
		"other attribute":  {one, nameOf([]rdn{{o, asn1.UTF8String, "Bug Root"}}), false},
		"one more":         {one, nameOf([]rdn{{cn, asn1.UTF8String, "Bug Root"}}, []rdn{{cn, asn1.UTF8String, ""}}), false},
		"order of RDNs":    {nameOf([]rdn{{cn, asn1.UTF8String, "a"}}, []rdn{{o, asn1.UTF8String, "b"}}), nameOf([]rdn{{o, asn1.UTF8String, "b"}}, []rdn{{cn, asn1.UTF8String, "a"}}), false},
		"one RDN or two":   {nameOf([]rdn{{cn, asn1.UTF8String, "a"}, {o, asn1.UTF8String, "b"}}), nameOf([]rdn{{cn, asn1.UTF8String, "a"}}, []rdn{{o, asn1.UTF8String, "b"}}), false},
		"what is no text":  {nameOf([]rdn{{cn, asn1.INTEGER, "\x05"}}), nameOf([]rdn{{cn, asn1.INTEGER, "\x06"}}), false},
		"what is no name":  {[]byte("a"), []byte("A"), false},
		"text and no text": {nameOf([]rdn{{cn, asn1.UTF8String, "\x02\x01\x05"}}), nameOf([]rdn{{cn, asn1.INTEGER, "\x05"}}), false},
	} {
		if got := CanonicalName(row.a) == CanonicalName(row.b); got != row.same {
			t.Errorf("%s: got the same %v, want %v", name, got, row.same)
		}
	}
}

func TestOddNamesCanBeRead(t *testing.T) {
	t.Parallel()
	for want, raw := range map[string][]byte{
		"CN=under_score": nameOf([]rdn{{3, asn1.PrintableString, "under_score"}}),
		"CN=a,O=b":       nameOf([]rdn{{10, asn1.UTF8String, "b"}}, []rdn{{3, asn1.UTF8String, "a"}}),
		"?":              []byte("no name"),
	} {
		if got := NameString(raw); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// FuzzName compares with encoding/asn1: a name of strings that it reads is the same in capitals and in another type.
func FuzzName(f *testing.F) {
	f.Add(nameOf([]rdn{{3, asn1.PrintableString, "Bug Root"}, {10, asn1.UTF8String, "É x"}}))
	f.Add(nameOf([]rdn{{3, bmpString, "\x00B"}}, []rdn{{6, asn1.PrintableString, "BR"}}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		canonical := CanonicalName(raw)
		_ = NameString(raw)
		var sequence pkix.RDNSequence
		if rest, err := stdasn1.Unmarshal(raw, &sequence); err != nil || len(rest) > 0 || bytes.ContainsAny(raw, "\x14\x1e") {
			return // a TeletexString or BMPString, which it reads in its own way
		}
		for _, set := range sequence {
			for i := range set {
				text, ok := set[i].Value.(string)
				if !ok || !utf8.ValidString(text) || !strings.EqualFold(text, strings.ToLower(text)) {
					return
				}
				set[i].Value = stdasn1.RawValue{Tag: stdasn1.TagUTF8String, Bytes: []byte(" " + strings.ToLower(text))}
			}
		}
		again, err := stdasn1.Marshal(sequence)
		if err != nil {
			return
		}
		if got := CanonicalName(again); got != canonical && !strings.HasPrefix(canonical, "?") {
			t.Errorf("got %q, want %q", got, canonical)
		}
	})
}
