// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Extensions of lists (RFC 5280 §5.2).
var (
	oidAuthorityKeyID    = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidCRLNumber         = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidDeltaCRL          = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidDistributionPoint = asn1.ObjectIdentifier{2, 5, 29, 28}
)

// Extensions of entries (RFC 5280 §5.3), as the contents of their identifiers
// in DER: most entries of most lists have one, and none should cost memory.
const (
	entryReasonCode        = "\x55\x1d\x15" // 2.5.29.21
	entryInvalidityDate    = "\x55\x1d\x18" // 2.5.29.24
	entryCertificateIssuer = "\x55\x1d\x1d" // 2.5.29.29
)

// scope is what certificates of its issuer a list speaks of.
type scope struct {
	usersOnly, casOnly bool

	// point is the whole IssuingDistributionPoint extension, which tells
	// the parts of a partitioned list from each other.
	point string
}

// covers tells whether a list of this scope speaks of certificates of the kind.
func (s scope) covers(isCA bool) bool {
	return !(isCA && s.usersOnly) && !(!isCA && s.casOnly)
}

// checkExtensions refuses lists that are not what this package takes them for:
// all revoked certificates of the issuer, or of a part of them.
func checkExtensions(extensions []pkix.Extension) (scope, error) {
	var s scope
	for _, ext := range extensions {
		switch {
		case ext.Id.Equal(oidDeltaCRL):
			return s, errors.New("it is a delta CRL, which is not supported")
		case ext.Id.Equal(oidDistributionPoint):
			var err error
			if s, err = parseDistributionPoint(ext.Value); err != nil {
				return s, err
			}
		case ext.Id.Equal(oidAuthorityKeyID), ext.Id.Equal(oidCRLNumber):
		case ext.Critical:
			// RFC 5280 §5.2: must not be used to tell the status.
			return s, fmt.Errorf("it has the critical extension %v, which is not supported", ext.Id)
		}
	}
	return s, nil
}

// parseDistributionPoint reads an IssuingDistributionPoint (RFC 5280 §5.2.5).
func parseDistributionPoint(der []byte) (scope, error) {
	input := cryptobyte.String(der)
	var point cryptobyte.String
	if !input.ReadASN1(&point, cbasn1.SEQUENCE) || !input.Empty() ||
		!point.SkipOptionalASN1(cbasn1.Tag(0).ContextSpecific().Constructed()) {
		return scope{}, errMalformedCRL
	}
	s := scope{point: string(der)}
	var someReasons, indirect, attributeCerts bool
	for _, field := range []struct {
		number uint8
		set    *bool
	}{{1, &s.usersOnly}, {2, &s.casOnly}, {3, &someReasons}, {4, &indirect}, {5, &attributeCerts}} {
		if !readFlag(&point, cbasn1.Tag(field.number).ContextSpecific(), field.set) {
			return scope{}, errMalformedCRL
		}
	}
	switch {
	case !point.Empty():
		return scope{}, errMalformedCRL
	case someReasons:
		return scope{}, errors.New("it is limited to some reasons, which is not supported")
	case indirect:
		return scope{}, errors.New("it is an indirect CRL, which is not supported")
	case attributeCerts:
		return scope{}, errors.New("it is about attribute certificates")
	}
	return s, nil
}

// readFlag reads an optional field with an implicit tag, and tells whether it
// is there and, in whatever type, anything else than zero.
func readFlag(s *cryptobyte.String, tag cbasn1.Tag, set *bool) bool {
	var value cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&value, &present, tag) {
		return false
	}
	*set = slices.ContainsFunc(value, func(b byte) bool { return b != 0 })
	return true
}

// checkEntryExtensions reads what follows the date in an entry, and refuses
// what would change the meaning of the entry or of those behind it.
func checkEntryExtensions(rest cryptobyte.String) error {
	if rest.Empty() {
		return nil
	}
	var extensions cryptobyte.String
	if !rest.ReadASN1(&extensions, cbasn1.SEQUENCE) || !rest.Empty() {
		return errMalformedCRL
	}
	for !extensions.Empty() {
		var ext, id, value cryptobyte.String
		critical := false
		if !extensions.ReadASN1(&ext, cbasn1.SEQUENCE) || !ext.ReadASN1(&id, cbasn1.OBJECT_IDENTIFIER) ||
			ext.PeekASN1Tag(cbasn1.BOOLEAN) && !ext.ReadASN1Boolean(&critical) ||
			!ext.ReadASN1(&value, cbasn1.OCTET_STRING) {
			return errMalformedCRL
		}
		switch string(id) {
		case entryCertificateIssuer:
			return errors.New("it names another issuer, as in an indirect CRL, which is not supported")
		case entryReasonCode, entryInvalidityDate:
			continue
		}
		if critical {
			// RFC 5280 §5.3: the list must not be used.
			return fmt.Errorf("it has an unsupported critical extension (identifier %x)", []byte(id))
		}
	}
	return nil
}
