// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package subject_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vernegate/vernegate/internal/identity/subject"
)

// leafWith is what a Rule looks at in a certificate with these subjects, which need not
// be signed for that.
func leafWith(os, cns []string) *x509.Certificate {
	var names []pkix.AttributeTypeAndValue
	for _, value := range os {
		names = append(names, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, o}, Value: value})
	}
	for _, value := range cns {
		names = append(names, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, cn}, Value: value})
	}
	return &x509.Certificate{Subject: pkix.Name{Names: names}}
}

// FuzzOwners makes templates with any text between two fields, and certificates with any
// values of them. Each owner can be read back: it is the text of the template with the
// values in it, and two certificates have one owner only if they have the same values.
func FuzzOwners(f *testing.F) {
	f.Add("", ":", "", "acme", "lamp", "acme", "door")
	f.Add("x", ":", ".dev", "a:b", "c", "a", "b:c")
	f.Add("", "--", "-", "a-", "b", "a", "-b")
	f.Add("", "aa", "", "ba", "ab", "b", "aab")
	f.Add("{", "}", "{}", "a}", "b", "a", "}b")
	f.Add("", ":", "", "", "x", "x", "")
	escape := strings.NewReplacer("{", "{{", "}", "}}")
	f.Fuzz(func(t *testing.T, before, between, behind, o1, cn1, o2, cn2 string) {
		var tmpl subject.Template
		err := tmpl.UnmarshalText([]byte(escape.Replace(before) + "{o}" + escape.Replace(between) + "{cn}" + escape.Replace(behind)))
		if (err != nil) != (between == "") {
			t.Fatalf("with %q between the fields: %v", between, err)
		}
		if err != nil {
			return
		}
		r, err := subject.NewRule(tmpl, nil)
		if err != nil {
			t.Fatal(err)
		}
		owner1, err1 := r.Owner(leafWith([]string{o1}, []string{cn1}))
		owner2, err2 := r.Owner(leafWith([]string{o2}, []string{cn2}))
		if err1 == nil {
			if want := before + o1 + between + cn1 + behind; owner1 != want {
				t.Errorf("the owner is %q, want %q", owner1, want)
			}
			if o1 == "" || cn1 == "" {
				t.Errorf("an empty value became a part of %q", owner1)
			}
		}
		if err1 == nil && err2 == nil && owner1 == owner2 && (o1 != o2 || cn1 != cn2) {
			t.Errorf("%q of %q and %q of %q are one owner, %q", cn1, o1, cn2, o2, owner1)
		}
		for _, values := range [][2][]string{{{o1, o2}, {cn1}}, {{o1}, {cn1, cn2}}, {nil, {cn1}}, {{o1}, nil}} {
			if owner, err := r.Owner(leafWith(values[0], values[1])); err == nil {
				t.Errorf("with organizations %q and names %q the owner is %q, want none", values[0], values[1], owner)
			}
		}
		if err1 != nil && (strings.ContainsAny(err1.Error(), "\n\r\x1b") || !utf8.ValidString(err1.Error()) || len(err1.Error()) > 4<<10+8*len(between)) {
			t.Errorf("the error is %q, want one bounded line", err1)
		}
	})
}

// FuzzPatterns has a pattern cut a value in two. What is captured, with the text of the pattern
// around it, is the whole value.
func FuzzPatterns(f *testing.F) {
	f.Add("spiffe://example.org/acme/lamp")
	f.Add("spiffe://example.org/acme/lamp/x")
	f.Add("spiffe://example.org/a\n/b")
	var tmpl subject.Template
	if err := tmpl.UnmarshalText([]byte("{tenant}/{device}")); err != nil {
		f.Fatal(err)
	}
	var patterns subject.Patterns
	if err := patterns.UnmarshalText([]byte(`cn=spiffe://example\.org/(?<tenant>[^/]+)/(?<device>[^/]+)`)); err != nil {
		f.Fatal(err)
	}
	r, err := subject.NewRule(tmpl, patterns)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value string) {
		owner, err := r.Owner(leafWith(nil, []string{value}))
		parts := strings.Split(strings.TrimPrefix(value, "spiffe://example.org/"), "/")
		fits := strings.HasPrefix(value, "spiffe://example.org/") && len(parts) == 2 && parts[0] != "" && parts[1] != ""
		if (err == nil) != fits || err == nil && "spiffe://example.org/"+owner != value {
			t.Errorf("%q: the owner is %q (%v)", value, owner, err)
		}
	})
}
