// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package subject_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/url"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/internal/identity/subject"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore/certtest"
)

var ca = certtest.NewCA("plant")

// rule makes a rule of a template and patterns.
func rule(t testing.TB, template, patterns string) *subject.Rule {
	t.Helper()
	var tmpl subject.Template
	if err := tmpl.UnmarshalText([]byte(template)); err != nil {
		t.Fatal(err)
	}
	var ps subject.Patterns
	if err := ps.UnmarshalText([]byte(patterns)); err != nil {
		t.Fatal(err)
	}
	r, err := subject.NewRule(tmpl, ps)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// issue makes a certificate.
func issue(cn string, change func(*x509.Certificate)) *x509.Certificate {
	if change == nil {
		return ca.Issue(cn).Leaf
	}
	return ca.Issue(cn, certtest.Template(change)).Leaf
}

func parseURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u
}

// attribute is one of a subject.
func attribute(last int, value string) pkix.AttributeTypeAndValue {
	return pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, last}, Value: value}
}

const (
	cn = 3
	o  = 10
	ou = 11
)

func subjectOf(attributes ...pkix.AttributeTypeAndValue) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.Subject = pkix.Name{ExtraNames: attributes} }
}

func TestOwnersByTemplate(t *testing.T) {
	t.Parallel()
	const spiffe = `san.uri=spiffe://example\.org/tenant/(?<tenant>[^/]+)/device/(?<device>[^/]+)`
	withURIs := func(uris ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			for _, u := range uris {
				c.URIs = append(c.URIs, parseURL(u))
			}
		}
	}
	plain := issue("lamp", nil)
	for name, test := range map[string]struct {
		template, patterns string
		leaf               *x509.Certificate
		owner, why         string // the one or the other
	}{
		"cn":                  {"{cn}", "", plain, "lamp", ""},
		"o and cn":            {"{o}:{cn}", "", issue("", subjectOf(attribute(o, "acme"), attribute(cn, "lamp"))), "acme:lamp", ""},
		"text around":         {"acme:{ou}-{cn}.dev", "", issue("", subjectOf(attribute(ou, "hall"), attribute(cn, "lamp"))), "acme:hall-lamp.dev", ""},
		"braces":              {"{{{cn}}}", "", plain, "{lamp}", ""},
		"serial":              {"acme:{serial}", "", issue("x", func(c *x509.Certificate) { c.SerialNumber = big.NewInt(0xBEEF) }), "acme:beef", ""},
		"fingerprint":         {"acme:{fingerprint}", "", plain, "acme:" + pki.FingerprintOf(plain).String(), ""},
		"dns":                 {"acme:{san.dns}", "", issue("x", func(c *x509.Certificate) { c.DNSNames = []string{"lamp.example.org"} }), "acme:lamp.example.org", ""},
		"email":               {"acme:{san.email}", "", issue("x", func(c *x509.Certificate) { c.EmailAddresses = []string{"lamp@example.org"} }), "acme:lamp@example.org", ""},
		"one name of each":    {"{san.dns}:{san.email}", "", issue("x", func(c *x509.Certificate) { c.DNSNames, c.EmailAddresses = []string{"a"}, []string{"b@c"} }), "a:b@c", ""},
		"a name twice":        {"{cn}:{cn}", "", plain, "lamp:lamp", ""},
		"spiffe":              {"{tenant}:{device}", spiffe, issue("x", withURIs("spiffe://example.org/tenant/acme/device/lamp")), "acme:lamp", ""},
		"capture and field":   {"{tenant}:{cn}", `o=(?<tenant>[a-z]+) Ltd\.?`, issue("", subjectOf(attribute(o, "acme Ltd."), attribute(cn, "lamp"))), "acme:lamp", ""},
		"pattern alone":       {"{cn}", `o=acme`, issue("", subjectOf(attribute(o, "acme"), attribute(cn, "lamp"))), "lamp", ""},
		"old spelling":        {"{x}", `cn=(?P<x>.+)`, plain, "lamp", ""},
		"last value has more": {"{o}:{cn}", "", issue("", subjectOf(attribute(o, "acme"), attribute(cn, "a:b"))), "acme:a:b", ""},

		"no cn":                 {"{cn}", "", issue("", subjectOf(attribute(o, "acme"))), "", "0 values of cn"},
		"the last of two cns":   {"{cn}", "", issue("", subjectOf(attribute(cn, "lamp"), attribute(cn, "door"))), "", "2 values of cn"},
		"the same cn twice":     {"{cn}", "", issue("", subjectOf(attribute(cn, "lamp"), attribute(cn, "lamp"))), "", "2 values of cn"},
		"empty cn":              {"{cn}", "", issue("", subjectOf(attribute(cn, ""), attribute(o, "acme"))), "", "no text in cn"},
		"no alternative names":  {"{san.uri}", "", plain, "", "0 values of san.uri"},
		"two uris":              {"{tenant}:{device}", spiffe, issue("x", withURIs("spiffe://example.org/tenant/acme/device/lamp", "spiffe://example.org/x")), "", "2 values of san.uri"},
		"dns is no uri":         {"{san.uri}", "", issue("x", func(c *x509.Certificate) { c.DNSNames = []string{"lamp"} }), "", "0 values of san.uri"},
		"another trust domain":  {"{tenant}:{device}", spiffe, issue("x", withURIs("spiffe://evil.org/tenant/acme/device/lamp")), "", "san.uri does not match its pattern"},
		"more behind":           {"{tenant}:{device}", spiffe, issue("x", withURIs("spiffe://example.org/tenant/acme/device/lamp/x")), "", "does not match"},
		"more before":           {"{x}", `cn=(?<x>amp)`, plain, "", "does not match"},
		"pattern alone is not":  {"{cn}", `o=acme`, issue("", subjectOf(attribute(o, "acme2"), attribute(cn, "lamp"))), "", "o does not match"},
		"pattern without field": {"{cn}", `o=acme`, plain, "", "0 values of o"},
		"capture of nothing":    {"{x}", `cn=(?<x>a)?lamp`, plain, "", "nothing for x"},
		"unused capture":        {"{cn}", `cn=(?<x>a)?lamp`, plain, "", "nothing for x"},
		"text in a value":       {"{o}:{cn}", "", issue("", subjectOf(attribute(o, "acme:b"), attribute(cn, "lamp"))), "", `o holds ":"`},
		"overlapping text":      {"{o}--{cn}", "", issue("", subjectOf(attribute(o, "acme-"), attribute(cn, "lamp"))), "", `o holds "--"`},
		"line feed in a value":  {"{x}", `cn=(?<x>[a-z]+)`, issue("", subjectOf(attribute(cn, "lamp\nx"))), "", `lamp\u000ax`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			owner, err := rule(t, test.template, test.patterns).Owner(test.leaf)
			if test.why == "" && (err != nil || owner != test.owner) {
				t.Errorf("got %q and %v, want %q", owner, err, test.owner)
			}
			if test.why != "" && (err == nil || owner != "" || !strings.Contains(err.Error(), test.why)) {
				t.Errorf("got %q and %v, want an error with %q", owner, err, test.why)
			}
		})
	}
}

// Two URIs that package url puts together in the same way are two.
func TestURIsAreAsTheCertificateHasThem(t *testing.T) {
	t.Parallel()
	leaf := issue("x", func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: []byte("\x30\x0b\x86\x09SPIFFE://")}}
	})
	if owner, err := rule(t, "{san.uri}", "").Owner(leaf); err != nil || owner != "SPIFFE://" {
		t.Errorf("got %q and %v", owner, err)
	}
}

func TestTemplatesThatAreNone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":          "no field",
		"acme":      "no field",
		"{{cn}}":    "no field",
		"{cn":       "begins no name",
		"cn}":       "closes nothing",
		"{}":        "begins no name",
		"{c{n}":     "begins no name",
		"{ cn }":    "begins no name",
		"{o}{cn}":   "nothing stands between {o} and {cn}",
		"a{o}{o}:x": "nothing stands between",
	} {
		err := new(subject.Template).UnmarshalText([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestPatternsThatAreNone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"cn":         "expected FIELD=REGEXP",
		"x=y":        "expected FIELD=REGEXP",
		"cn=[":       "the pattern of cn does not compile",
		"cn=a)|(b":   "the pattern of cn does not compile", // although it would with what anchors it
		"cn=(?=x)":   "the pattern of cn does not compile", // RE2 looks not ahead
		"cn=a\nou=(": "the pattern of ou does not compile",
	} {
		err := new(subject.Patterns).UnmarshalText([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestRulesNameWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	var tmpl subject.Template
	var patterns subject.Patterns
	if err := tmpl.UnmarshalText([]byte("{tenant}:{device}:{CN}")); err != nil {
		t.Fatal(err)
	}
	if err := patterns.UnmarshalText([]byte("cn=(?<tenant>.)(?<ou>.)\ncn=.\no=(?<tenant>.)")); err != nil {
		t.Fatal(err)
	}
	_, err := subject.NewRule(tmpl, patterns)
	for _, want := range []string{"{device} is no capture", "{CN} is no capture", "called ou, as a field is", "cn has two patterns", "two captures are called tenant"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q, too", err, want)
		}
	}
}
