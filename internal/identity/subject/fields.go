// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package subject

import (
	"crypto/x509"
	stdasn1 "encoding/asn1"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/vernegate/vernegate/internal/pki"
)

// A field is something that a certificate says of its holder.
type field struct {
	name   string
	values func(leaf *x509.Certificate) []string // every one there is
}

// Attributes of a subject (RFC 5280, appendix A.1).
var (
	commonName         = stdasn1.ObjectIdentifier{2, 5, 4, 3}
	organization       = stdasn1.ObjectIdentifier{2, 5, 4, 10}
	organizationalUnit = stdasn1.ObjectIdentifier{2, 5, 4, 11}
)

// Tags of a GeneralName (RFC 5280, section 4.2.1.6). All three hold an IA5String.
var (
	rfc822Name = asn1.Tag(1).ContextSpecific()
	dnsName    = asn1.Tag(2).ContextSpecific()
	uriName    = asn1.Tag(6).ContextSpecific()
)

// fields are all there are, in the order of the documents.
var fields = []field{
	{"cn", attribute(commonName)},
	{"o", attribute(organization)},
	{"ou", attribute(organizationalUnit)},
	{"serial", func(leaf *x509.Certificate) []string { return []string{leaf.SerialNumber.Text(16)} }},
	{"fingerprint", func(leaf *x509.Certificate) []string { return []string{pki.FingerprintOf(leaf).String()} }},
	{"san.uri", alternativeName(uriName)},
	{"san.dns", alternativeName(dnsName)},
	{"san.email", alternativeName(rfc822Name)},
}

// fieldNamed finds a field.
func fieldNamed(name string) (field, bool) {
	i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
	if i < 0 {
		return field{}, false
	}
	return fields[i], true
}

// fieldNames lists the names of all fields for people.
func fieldNames() string {
	var names []string
	for _, f := range fields {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}

// attribute returns the values of an attribute of the subject. One that is no text
// counts as a value, an empty one.
func attribute(oid stdasn1.ObjectIdentifier) func(*x509.Certificate) []string {
	return func(leaf *x509.Certificate) (values []string) {
		for _, a := range leaf.Subject.Names {
			if a.Type.Equal(oid) {
				text, _ := a.Value.(string)
				values = append(values, text)
			}
		}
		return values
	}
}

// subjectAlternativeName is the extension that holds a certificate's other names.
var subjectAlternativeName = stdasn1.ObjectIdentifier{2, 5, 29, 17}

// alternativeName returns the subject's alternative names of a kind as the
// certificate has them. Package x509 has URIs taken apart, and two that differ may
// look the same when they are put together again.
func alternativeName(tag asn1.Tag) func(*x509.Certificate) []string {
	return func(leaf *x509.Certificate) (values []string) {
		for _, e := range leaf.Extensions {
			if !e.Id.Equal(subjectAlternativeName) {
				continue
			}
			input := cryptobyte.String(e.Value)
			var names, name cryptobyte.String
			if !input.ReadASN1(&names, asn1.SEQUENCE) {
				return nil
			}
			for !names.Empty() {
				var kind asn1.Tag
				if !names.ReadAnyASN1(&name, &kind) {
					return nil
				}
				if kind == tag {
					values = append(values, string(name))
				}
			}
		}
		return values
	}
}
