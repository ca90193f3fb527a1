// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte/asn1"
)

// A name costs what is shown of it, however many attributes a stranger has put into it.
func TestLongNamesAreNotWritten(t *testing.T) {
	t.Parallel()
	long := nameOf(slices.Repeat([][]rdn{{{3, asn1.UTF8String, "a"}}}, 20_000)...)
	cert := &x509.Certificate{RawSubject: long, RawIssuer: long}
	for range 20_000 { // as crypto/x509 does, so that to write the name would take seconds
		cert.Subject.OrganizationalUnit = append(cert.Subject.OrganizationalUnit, "a")
	}
	cert.Issuer = cert.Subject
	const want = "(a name of 240005 bytes)"
	for name, got := range map[string]string{
		"SubjectOf": SubjectOf(cert), "IssuerOf": IssuerOf(cert), "NameString": NameString(long),
	} {
		if got != want {
			t.Errorf("%s: got %.60q, want %q", name, got, want)
		}
	}
}

func TestNamesAreWrittenUpToABound(t *testing.T) {
	t.Parallel()
	value := strings.Repeat("a", 2000)
	if got, want := NameString(nameOf([]rdn{{3, asn1.UTF8String, value}})), "CN="+value; got != want {
		t.Errorf("got %.60q, want %.60q", got, want)
	}
}
