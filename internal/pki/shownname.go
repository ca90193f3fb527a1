// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
)

// maxShownName bounds the distinguished names that are shown, in bytes of DER. Strangers choose how long theirs are: a
// client's certificate may have 256 KiB. The time that pkix.Name takes to write one grows with the square of the length.
const maxShownName = 2 << 10

// SubjectOf returns the subject of a certificate for people, as pkix.Name has it. Of a name that is too long to be shown, it
// returns how it begins in the certificate.
func SubjectOf(cert *x509.Certificate) string { return shown(cert.RawSubject, cert.Subject.String) }

// IssuerOf is SubjectOf for the issuer of a certificate.
func IssuerOf(cert *x509.Certificate) string { return shown(cert.RawIssuer, cert.Issuer.String) }

// NameString is SubjectOf for a distinguished name in DER. It also reads names that crypto/x509 refuses for the characters
// in their strings; what is no name at all is "?".
func NameString(raw []byte) string {
	return shown(raw, func() string {
		rdns, ok := readName(raw)
		if !ok {
			return "?"
		}
		return spell(rdns)
	})
}

func shown(raw []byte, text func() string) string {
	if len(raw) <= maxShownName {
		return text()
	}
	rdns, ok := readName(raw)
	if !ok {
		return "?"
	}
	return spell(beginning(rdns)) + "…"
}

// beginning returns what can be shown of a long name: its first attributes, and of the last of these a part.
func beginning(rdns [][]attribute) (first [][]attribute) {
	room := maxShownName
	for _, rdn := range rdns {
		for _, a := range rdn {
			if room -= 8 + len(a.oid); room < 0 { // at least what it takes in DER beside its value
				return first
			}
			a.value = a.value[:min(len(a.value), room)]
			room -= len(a.value)
			first = append(first, []attribute{a})
		}
	}
	return first
}

// spell writes a name as pkix.Name does.
func spell(rdns [][]attribute) string {
	var sequence pkix.RDNSequence
	for _, rdn := range rdns {
		var set pkix.RelativeDistinguishedNameSET
		for _, a := range rdn {
			set = append(set, pkix.AttributeTypeAndValue{Type: a.oid, Value: strings.ToValidUTF8(a.value, "\uFFFD")})
		}
		sequence = append(sequence, set)
	}
	var name pkix.Name
	name.FillFromRDNSequence(&sequence)
	return name.String()
}
