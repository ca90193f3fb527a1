// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	stdasn1 "encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte/asn1"
)

const (
	cnType = 3
	oType  = 10
	ouType = 11
)

// exact is ExactName of a name that is one.
func exact(t testing.TB, raw []byte) string {
	t.Helper()
	name, ok := ExactName(raw)
	if !ok {
		t.Fatalf("% x is no name", raw)
	}
	return name
}

func TestParsedNamesAreThoseOfCertificates(t *testing.T) {
	t.Parallel()
	utf8String := asn1.UTF8String
	lamp := nameOf([]rdn{{oType, utf8String, "acme"}}, []rdn{{cnType, asn1.PrintableString, "lamp"}})
	for text, raw := range map[string][]byte{
		"CN=lamp,O=acme":                 lamp,
		"cn = lamp , o = acme":           lamp,
		"2.5.4.3=lamp,OID.2.5.4.10=acme": lamp,
		`CN=\6cam\70,O=#0c0461636d65`:    lamp,
		"CN=lamp+OU=hall,O=acme":         nameOf([]rdn{{oType, utf8String, "acme"}}, []rdn{{ouType, utf8String, "hall"}, {cnType, utf8String, "lamp"}}),
		"OU=hall+CN=lamp,O=acme":         nameOf([]rdn{{oType, utf8String, "acme"}}, []rdn{{cnType, utf8String, "lamp"}, {ouType, utf8String, "hall"}}),
		`CN=a\,b\+c\"d\\e\#\=\<\>\;`:     nameOf([]rdn{{cnType, utf8String, `a,b+c"d\e#=<>;`}}),
		`CN=\ a b\ `:                     nameOf([]rdn{{cnType, utf8String, " a b "}}),
		`CN=\C3\89t\C3\A9`:               nameOf([]rdn{{cnType, utf8String, "Été"}}),
		"CN=Été":                         nameOf([]rdn{{cnType, utf8String, "Été"}}),
		"CN=":                            nameOf([]rdn{{cnType, utf8String, ""}}),
		"CN=#0500":                       nameOf([]rdn{{cnType, asn1.NULL, ""}}),
		"CN=a=b":                         nameOf([]rdn{{cnType, utf8String, "a=b"}}),
	} {
		if got, err := ParseName(text); err != nil || got != exact(t, raw) {
			t.Errorf("%s: got %q and %v, want %q", text, got, err, exact(t, raw))
		}
	}
}

func TestExactNamesTellNamesApart(t *testing.T) {
	t.Parallel()
	names := []string{
		"CN=lamp,O=acme", "O=acme,CN=lamp", "CN=Lamp,O=acme", "CN=lamp", "CN=lamp,O=acme,O=acme", "CN=lamp+O=acme",
		"CN=la  mp,O=acme", "CN=la mp,O=acme", "CN=lamp,OU=acme", `CN=lamp\,O\=acme`, "CN=#0500,O=acme", `CN=\05\00,O=acme`,
	}
	seen := map[string]string{}
	for _, text := range names {
		name, err := ParseName(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if other, is := seen[name]; is {
			t.Errorf("%s and %s are the same", text, other)
		}
		seen[name] = text
	}
	if name, ok := ExactName(nameOf()); ok {
		t.Errorf("a name without attributes is %q", name)
	}
}

func TestTextsThatAreNoNames(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":               "expected a type and =",
		"lamp":           "expected a type and =",
		"CN=lamp,":       "expected a type and =",
		"subject=CN=a":   `no attribute type "subject"`,
		"1=a":            `no attribute type "1"`,
		"2.x=a":          `no attribute type "2.x"`,
		`CN=lamp\`:       "expected behind \\",
		`CN=a\b`:         "expected behind \\",
		`CN="a"`:         "to have a \\ before it",
		"CN=a;O=b":       "to have a \\ before it",
		`CN=\FF`:         "not valid UTF-8",
		"CN=#0":          "hexadecimal digits",
		"CN=#":           "one ASN.1 element",
		"CN=#0500ff":     "one ASN.1 element",
		"2.4294967296=a": "no attribute type",
	} {
		if got, err := ParseName(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %q and %v, want %q", text, got, err, want)
		}
	}
}

// TestOpenSSLPrintsWhatParseNameReads has OpenSSL print subjects that people might have.
func TestOpenSSLPrintsWhatParseNameReads(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("needs openssl")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	attr := func(oid stdasn1.ObjectIdentifier, value any) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: oid, Value: value}
	}
	email := stdasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	uid := stdasn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}
	own := stdasn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 4711, 1}
	at := func(last int) stdasn1.ObjectIdentifier { return stdasn1.ObjectIdentifier{2, 5, 4, last} }
	for _, subject := range [][]pkix.AttributeTypeAndValue{
		{attr(at(6), "BR"), attr(at(8), "SP"), attr(at(7), "Campinas"), attr(at(10), "acme, Inc"), attr(at(11), "a+b"), attr(at(3), "lamp 1")},
		{attr(at(3), " #lamp\" \\ "), attr(at(5), "0042"), attr(email, "a@b.c"), attr(uid, "u"), attr(at(97), "VAT-1")},
		{attr(at(3), "Été 灯\n"), attr(own, "own")},
		{attr(at(4), "sur"), attr(at(42), "given"), attr(at(12), "title"), attr(at(41), "name"), attr(at(43), "i"), attr(at(44), "jr"), attr(at(46), "q"), attr(at(65), "p")},
		{attr(at(9), "street"), attr(at(13), "d"), attr(at(15), "b"), attr(at(17), "1")},
		{attr(at(3), "#2"), attr(at(3), "=3;<>")},
	} {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{ExtraNames: subject}}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(openssl, "x509", "-noout", "-subject", "-nameopt", "RFC2253")
		cmd.Stdin = bytes.NewReader(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		printed, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		text := strings.TrimSuffix(strings.TrimPrefix(string(printed), "subject="), "\n")
		if got, err := ParseName(text); err != nil || got != exact(t, cert.RawSubject) {
			t.Errorf("OpenSSL prints %s: got %q and %v, want %q", text, got, err, exact(t, cert.RawSubject))
		}
	}
}

// FuzzParseName: a name whose values are written with escapes alone is the name itself, and no text makes
// ParseName panic.
func FuzzParseName(f *testing.F) {
	f.Add("lamp", "acme", "CN=lamp,O=acme")
	f.Add(" é ", ",+", `CN=\ `)
	f.Add("#", "", "CN=#0500")
	escape := func(value string) string {
		var b strings.Builder
		for i := range len(value) {
			b.WriteString(`\` + hex.EncodeToString([]byte{value[i]}))
		}
		return b.String()
	}
	f.Fuzz(func(t *testing.T, cn, o, text string) {
		if name, err := ParseName(text); err == nil && name == "" {
			t.Errorf("%q is a name without attributes", text)
		}
		if !utf8.ValidString(cn) || !utf8.ValidString(o) {
			return
		}
		raw := nameOf([]rdn{{oType, asn1.UTF8String, o}}, []rdn{{cnType, asn1.UTF8String, cn}})
		if got, err := ParseName("CN=" + escape(cn) + ",O=" + escape(o)); err != nil || got != exact(t, raw) {
			t.Errorf("%q and %q: got %q and %v", cn, o, got, err)
		}
	})
}
