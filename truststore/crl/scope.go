// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/vernegate/vernegate/internal/pki"
)

// Extensions of lists (RFC 5280 §5.2), and the one of certificates that says where their list is (§4.2.1.13).
var (
	oidAuthorityKeyID       = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidCRLNumber            = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidDeltaCRL             = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidDistributionPoint    = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidFreshestCRL          = asn1.ObjectIdentifier{2, 5, 29, 46}
	oidCRLDistributionPoint = asn1.ObjectIdentifier{2, 5, 29, 31}
)

// Extensions of entries (RFC 5280 §5.3), as the contents of their identifiers in DER: most entries of most lists have
// one, and none should cost memory.
const (
	entryReasonCode        = "\x55\x1d\x15" // 2.5.29.21
	entryInvalidityDate    = "\x55\x1d\x18" // 2.5.29.24
	entryCertificateIssuer = "\x55\x1d\x1d" // 2.5.29.29

	removeFromCRL = "\x0a\x01\x08" // the value of a reason code: ENUMERATED 8
)

// Fields of a DistributionPoint, a DistributionPointName and a GeneralName (RFC 5280 §4.2.1.13 and §4.2.1.6).
var (
	pointNameTag     = cbasn1.Tag(0).ContextSpecific().Constructed()
	fullNameTag      = cbasn1.Tag(0).ContextSpecific().Constructed()
	reasonsTag       = cbasn1.Tag(1).ContextSpecific()
	crlIssuerTag     = cbasn1.Tag(2).ContextSpecific().Constructed()
	uriTag           = cbasn1.Tag(6).ContextSpecific()
	directoryNameTag = cbasn1.Tag(4).ContextSpecific().Constructed()
)

// scope is what certificates of its issuer a list speaks of.
type scope struct {
	usersOnly, casOnly bool

	// point is the whole IssuingDistributionPoint extension.
	point string

	// A list that names its distribution point speaks of those certificates only that name it, too.
	named  bool
	uris   []string // names that are a URI
	others []string // all other names, as generalNames has them
}

// covers reports whether a list of this scope speaks of a certificate.
func (s *scope) covers(cert *x509.Certificate) bool {
	if cert.IsCA && s.usersOnly || !cert.IsCA && s.casOnly {
		return false
	}
	return !s.named || s.matchesPointOf(cert)
}

// matchesPointOf reports whether one of the names of the list's distribution point is one of a distribution point, or
// of its CRL issuer, that the certificate names (RFC 5280 §6.3.3(b)(2)(i)).
func (s *scope) matchesPointOf(cert *x509.Certificate) bool {
	for _, uri := range s.uris {
		if slices.Contains(cert.CRLDistributionPoints, uri) {
			return true
		}
	}
	if len(s.others) == 0 {
		return false
	}
	named := pointsOf(cert)
	return slices.ContainsFunc(s.others, func(name string) bool { return slices.Contains(named, name) })
}

// pointsOf returns the names of a certificate's distribution points but for URIs, which crypto/x509 knows.
func pointsOf(cert *x509.Certificate) (names []string) {
	points := pointsIn(cert.Extensions, oidCRLDistributionPoint)
	for !points.Empty() {
		var point, name, reasons, issuer cryptobyte.String
		var hasName, hasReasons, hasIssuer bool
		if !points.ReadASN1(&point, cbasn1.SEQUENCE) || !point.ReadOptionalASN1(&name, &hasName, pointNameTag) ||
			!point.ReadOptionalASN1(&reasons, &hasReasons, reasonsTag) || !point.ReadOptionalASN1(&issuer, &hasIssuer, crlIssuerTag) {
			return nil
		}
		switch {
		case hasReasons: // it is about some of them only
		case hasName:
			_, others, _ := pointNames(name)
			names = append(names, others...)
		case hasIssuer:
			_, others, _ := generalNames(issuer)
			names = append(names, others...)
		}
	}
	return names
}

// pointsIn returns the contents of an extension that is a list of distribution points; empty if it is not there.
func pointsIn(extensions []pkix.Extension, id asn1.ObjectIdentifier) (points cryptobyte.String) {
	i := slices.IndexFunc(extensions, func(e pkix.Extension) bool { return e.Id.Equal(id) })
	if i < 0 {
		return nil
	}
	input := cryptobyte.String(extensions[i].Value)
	if !input.ReadASN1(&points, cbasn1.SEQUENCE) {
		return nil
	}
	return points
}

// freshestOf returns the URLs in a list's FreshestCRL extension (RFC 5280 §5.2.6).
func freshestOf(extensions []pkix.Extension) (urls []string) {
	points := pointsIn(extensions, oidFreshestCRL)
	for !points.Empty() {
		var point, name cryptobyte.String
		var hasName bool
		if !points.ReadASN1(&point, cbasn1.SEQUENCE) || !point.ReadOptionalASN1(&name, &hasName, pointNameTag) {
			return urls
		}
		if uris, _, ok := pointNames(name); ok && hasName {
			urls = append(urls, uris...)
		}
	}
	return urls
}

// pointNames reads a DistributionPointName.
func pointNames(name cryptobyte.String) (uris, others []string, ok bool) {
	var full cryptobyte.String
	if !name.PeekASN1Tag(fullNameTag) {
		return nil, []string{string(name)}, !name.Empty() // nameRelativeToCRLIssuer, compared as it is encoded
	}
	if !name.ReadASN1(&full, fullNameTag) || !name.Empty() {
		return nil, nil, false
	}
	return generalNames(full)
}

// generalNames reads GeneralNames: URIs, and others in a form to compare.
func generalNames(names cryptobyte.String) (uris, others []string, ok bool) {
	for !names.Empty() {
		var element, content cryptobyte.String
		var tag cbasn1.Tag
		if !names.ReadAnyASN1Element(&element, &tag) {
			return nil, nil, false
		}
		other := string(element)
		if !element.ReadAnyASN1(&content, &tag) {
			return nil, nil, false
		}
		switch tag {
		case uriTag:
			uris = append(uris, string(content))
			continue
		case directoryNameTag:
			other = pki.CanonicalName(content)
		}
		others = append(others, other)
	}
	return uris, others, true
}

// checkExtensions refuses lists that are not what this package takes them for: all revoked certificates of the issuer,
// or of a part of them.
func checkExtensions(extensions []pkix.Extension) (scope, error) {
	var s scope
	for _, ext := range extensions {
		switch {
		case ext.Id.Equal(oidDeltaCRL):
			return s, ErrDelta
		case ext.Id.Equal(oidDistributionPoint):
			var err error
			if s, err = parseDistributionPoint(ext.Value); err != nil {
				return s, err
			}
		case ext.Id.Equal(oidAuthorityKeyID), ext.Id.Equal(oidCRLNumber):
		case ext.Critical:
			// RFC 5280 §5.2: must not be used to tell the status.
			return s, unsupported(fmt.Sprintf("it has the critical extension %v, which is not supported", ext.Id))
		}
	}
	return s, nil
}

// parseDistributionPoint reads an IssuingDistributionPoint (RFC 5280 §5.2.5).
func parseDistributionPoint(der []byte) (scope, error) {
	input := cryptobyte.String(der)
	s := scope{point: string(der)}
	var point, name cryptobyte.String
	if !input.ReadASN1(&point, cbasn1.SEQUENCE) || !input.Empty() || !point.ReadOptionalASN1(&name, &s.named, pointNameTag) {
		return scope{}, ErrMalformed
	}
	if s.named {
		var ok bool
		if s.uris, s.others, ok = pointNames(name); !ok {
			return scope{}, ErrMalformed
		}
	}
	var someReasons, indirect, attributeCerts bool
	for _, field := range []struct {
		number uint8
		set    *bool
	}{{1, &s.usersOnly}, {2, &s.casOnly}, {3, &someReasons}, {4, &indirect}, {5, &attributeCerts}} {
		if !readFlag(&point, cbasn1.Tag(field.number).ContextSpecific(), field.set) {
			return scope{}, ErrMalformed
		}
	}
	switch {
	case !point.Empty():
		return scope{}, ErrMalformed
	case someReasons:
		return scope{}, unsupported("it is limited to some reasons, which is not supported")
	case indirect:
		return scope{}, unsupported("it is an indirect CRL, which is not supported")
	case attributeCerts:
		return scope{}, unsupported("it is about attribute certificates")
	}
	return s, nil
}

// readFlag reads an optional field with an implicit tag, and reports whether it could. set becomes whether the field is
// there and, in whatever type, anything else than zero.
func readFlag(s *cryptobyte.String, tag cbasn1.Tag, set *bool) bool {
	var value cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&value, &present, tag) {
		return false
	}
	*set = slices.ContainsFunc(value, func(b byte) bool { return b != 0 })
	return true
}

// checkEntryExtensions reads what follows the date in an entry, and refuses what would change the meaning of the entry
// or of those behind it. removed is whether the reason is removeFromCRL.
func checkEntryExtensions(rest cryptobyte.String) (removed bool, err error) {
	if rest.Empty() {
		return false, nil
	}
	var extensions cryptobyte.String
	if !rest.ReadASN1(&extensions, cbasn1.SEQUENCE) || !rest.Empty() {
		return false, ErrMalformed
	}
	for !extensions.Empty() {
		var ext, id, value cryptobyte.String
		critical := false
		if !extensions.ReadASN1(&ext, cbasn1.SEQUENCE) || !ext.ReadASN1(&id, cbasn1.OBJECT_IDENTIFIER) ||
			ext.PeekASN1Tag(cbasn1.BOOLEAN) && !ext.ReadASN1Boolean(&critical) ||
			!ext.ReadASN1(&value, cbasn1.OCTET_STRING) {
			return false, ErrMalformed
		}
		switch string(id) {
		case entryCertificateIssuer:
			return false, unsupported("it names another issuer, as in an indirect CRL, which is not supported")
		case entryReasonCode:
			removed = string(value) == removeFromCRL
			continue
		case entryInvalidityDate:
			continue
		}
		if critical {
			// RFC 5280 §5.3: the list must not be used.
			return false, unsupported(fmt.Sprintf("it has an unsupported critical extension (identifier %x)", []byte(id)))
		}
	}
	return removed, nil
}
