// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"sync"

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
	relativeNameTag  = cbasn1.Tag(1).ContextSpecific().Constructed()
	reasonsTag       = cbasn1.Tag(1).ContextSpecific()
	crlIssuerTag     = cbasn1.Tag(2).ContextSpecific().Constructed()
	uriTag           = cbasn1.Tag(6).ContextSpecific()
	directoryNameTag = cbasn1.Tag(4).ContextSpecific().Constructed()
)

// Fields of an IssuingDistributionPoint (RFC 5280 §5.2.5), which begins with a DistributionPointName, too.
var (
	usersOnlyTag      = cbasn1.Tag(1).ContextSpecific()
	casOnlyTag        = cbasn1.Tag(2).ContextSpecific()
	someReasonsTag    = cbasn1.Tag(3).ContextSpecific()
	indirectTag       = cbasn1.Tag(4).ContextSpecific()
	attributeCertsTag = cbasn1.Tag(5).ContextSpecific()
)

// scope is what certificates of its issuer a list speaks of, and what of them.
type scope struct {
	usersOnly, casOnly bool

	// reasons are those that the list speaks of (RFC 5280 §6.3.3(d)).
	reasons Reasons

	// extension is the whole IssuingDistributionPoint extension.
	extension string

	// A list that names its distribution point speaks of those certificates only that name it, too.
	named bool
	point point
}

// A point is a distribution point, as a list or a certificate names it.
type point struct {
	uris    names // those that are a URI
	others  names // all others, as generalNames has them
	reasons Reasons
}

// fewNames are compared one by one.
const fewNames = 8

// names are some of the names of a distribution point.
type names struct {
	all []string

	// set makes a set of them once; nil if there are few. It is not called before the signature of the list has been checked.
	set func() map[string]bool
}

func newNames(all []string) names {
	if len(all) <= fewNames {
		return names{all: all}
	}
	return names{all, sync.OnceValue(func() map[string]bool {
		set := make(map[string]bool, len(all))
		for _, name := range all {
			set[name] = true
		}
		return set
	})}
}

func (n *names) has(name string) bool {
	if n.set == nil {
		return slices.Contains(n.all, name)
	}
	return n.set()[name]
}

func (n *names) hasAny(other *names) bool { return slices.ContainsFunc(other.all, n.has) }

func (n *names) hasAll(other *names) bool {
	return !slices.ContainsFunc(other.all, func(name string) bool { return !n.has(name) })
}

// Points are the distribution points of one certificate. They are read when the first list asks for them, once for all
// lists. So they are for one goroutine.
type Points struct {
	cert *x509.Certificate
	read bool

	issuer string // canonical
	points []point
}

// PointsOf returns the distribution points of a certificate.
func PointsOf(cert *x509.Certificate) Points { return Points{cert: cert} }

func (p *Points) parse() {
	if !p.read {
		p.issuer, p.points, p.read = pki.CanonicalName(p.cert.RawIssuer), pointsOf(p.cert), true
	}
}

// covers returns for which reasons a list of this scope may revoke a certificate.
func (s *scope) covers(of *Points) Reasons {
	if of.cert.IsCA && s.usersOnly || !of.cert.IsCA && s.casOnly {
		return 0
	}
	if !s.named { // it is that of the CA itself, which stands for a distribution point that every certificate has
		return s.reasons
	}
	of.parse()
	var covered Reasons
	if s.point.others.has(of.issuer) { // likewise
		covered = s.reasons
	}
	for _, p := range of.points {
		if s.point.meets(&p) {
			covered |= p.reasons & s.reasons
		}
	}
	return covered
}

// includes is as List.Includes.
func (s *scope) includes(other *scope, url string) bool {
	switch {
	case s.usersOnly && !other.usersOnly, s.casOnly && !other.casOnly, other.reasons&^s.reasons != 0:
		return false
	case !s.named || s.point.uris.has(url):
		return true
	}
	return other.named && s.point.hasAll(&other.point)
}

// hasAll reports whether a distribution point has all names of another one.
func (p *point) hasAll(other *point) bool {
	return p.uris.hasAll(&other.uris) && p.others.hasAll(&other.others)
}

// meets reports whether two distribution points have a name in common (RFC 5280 §6.3.3(b)(2)(i)).
func (p *point) meets(other *point) bool {
	return p.uris.hasAny(&other.uris) || p.others.hasAny(&other.others)
}

// pointsOf returns the distribution points that a certificate names, by what the list of its issuer would name them: by
// the names of the CRL issuer where there is no other one.
func pointsOf(cert *x509.Certificate) (list []point) {
	points := pointsIn(cert.Extensions, oidCRLDistributionPoint)
	for !points.Empty() {
		var content, name, reasons, issuer cryptobyte.String
		var hasName, hasReasons, hasIssuer bool
		if !points.ReadASN1(&content, cbasn1.SEQUENCE) || !content.ReadOptionalASN1(&name, &hasName, pointNameTag) ||
			!content.ReadOptionalASN1(&reasons, &hasReasons, reasonsTag) || !content.ReadOptionalASN1(&issuer, &hasIssuer, crlIssuerTag) {
			return list
		}
		p, ok := point{reasons: AllReasons}, true
		if hasReasons {
			p.reasons, ok = parseReasons(reasons)
		}
		switch {
		case !ok:
			continue
		case hasName:
			p.uris.all, p.others.all, ok = pointNames(name, cert.RawIssuer)
		case hasIssuer:
			p.uris.all, p.others.all, ok = generalNames(issuer)
		}
		if ok {
			list = append(list, p)
		}
	}
	return list
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

// DeltaPoints returns the URLs in a certificate's FreshestCRL extension, where deltas to the list of its issuer are (RFC
// 5280 §4.2.1.15).
func DeltaPoints(cert *x509.Certificate) []string { return freshestOf(cert.Extensions) }

// freshestOf returns the URLs in the FreshestCRL extension of a list (RFC 5280 §5.2.6) or a certificate.
func freshestOf(extensions []pkix.Extension) (urls []string) {
	points := pointsIn(extensions, oidFreshestCRL)
	for !points.Empty() {
		var point, name cryptobyte.String
		var hasName bool
		if !points.ReadASN1(&point, cbasn1.SEQUENCE) || !point.ReadOptionalASN1(&name, &hasName, pointNameTag) {
			return urls
		}
		if uris, _, ok := pointNames(name, nil); ok && hasName {
			urls = append(urls, uris...)
		}
	}
	return urls
}

// pointNames reads a DistributionPointName. One that is relative to the CRL issuer is as if it were written out.
func pointNames(name cryptobyte.String, issuer []byte) (uris, others []string, ok bool) {
	var full, relative cryptobyte.String
	switch {
	case name.PeekASN1Tag(fullNameTag) && name.ReadASN1(&full, fullNameTag):
		uris, others, ok = generalNames(full)
	case name.PeekASN1Tag(relativeNameTag) && name.ReadASN1(&relative, relativeNameTag):
		others, ok = []string{pki.CanonicalName(below(issuer, relative))}, true
	}
	return uris, others, ok && name.Empty()
}

// below returns a distinguished name with one more RelativeDistinguishedName at its end, given by its contents.
func below(name []byte, rdn cryptobyte.String) []byte {
	var rdns cryptobyte.String
	input := cryptobyte.String(name)
	if !input.ReadASN1(&rdns, cbasn1.SEQUENCE) {
		return nil
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(rdns)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(rdn) })
	})
	der, err := b.Bytes()
	if err != nil {
		return nil
	}
	return der
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

// readExtensions reads what list this is, and refuses those that are not what this package takes them for: revoked
// certificates of the issuer, all or of a part of them, or what has changed of these.
func (r *reader) readExtensions(extensions []pkix.Extension) error {
	l := r.list
	l.scope = scope{reasons: AllReasons}
	for _, ext := range extensions {
		switch {
		case ext.Id.Equal(oidDeltaCRL):
			input := cryptobyte.String(ext.Value)
			l.BaseNumber = new(big.Int)
			if !input.ReadASN1Integer(l.BaseNumber) || !input.Empty() || l.BaseNumber.Sign() < 0 {
				return ErrMalformed
			}
			if err := checkNumber(l.BaseNumber); err != nil {
				return err
			}
		case ext.Id.Equal(oidDistributionPoint):
			var err error
			if l.scope, err = parseDistributionPoint(ext.Value, l.RawIssuer); err != nil {
				return err
			}
		case ext.Id.Equal(oidAuthorityKeyID), ext.Id.Equal(oidCRLNumber), ext.Id.Equal(oidFreshestCRL):
		case ext.Critical:
			// RFC 5280 §5.2: must not be used to tell the status.
			return unsupported(fmt.Sprintf("it has the critical extension %s, which is not supported", pki.Clip([]byte(ext.Id.String()))))
		}
	}
	return nil
}

// parseDistributionPoint reads an IssuingDistributionPoint (RFC 5280 §5.2.5) of a list of an issuer.
func parseDistributionPoint(der, issuer []byte) (scope, error) {
	input := cryptobyte.String(der)
	s := scope{extension: string(der), reasons: AllReasons}
	var content, name, reasons cryptobyte.String
	if !input.ReadASN1(&content, cbasn1.SEQUENCE) || !input.Empty() || !content.ReadOptionalASN1(&name, &s.named, pointNameTag) {
		return scope{}, ErrMalformed
	}
	if s.named {
		uris, others, ok := pointNames(name, issuer)
		if !ok {
			return scope{}, ErrMalformed
		}
		s.point.uris, s.point.others = newNames(uris), newNames(others)
	}
	var someReasons, indirect, attributeCerts bool
	if !readFlag(&content, usersOnlyTag, &s.usersOnly) || !readFlag(&content, casOnlyTag, &s.casOnly) ||
		!content.ReadOptionalASN1(&reasons, &someReasons, someReasonsTag) ||
		!readFlag(&content, indirectTag, &indirect) || !readFlag(&content, attributeCertsTag, &attributeCerts) || !content.Empty() {
		return scope{}, ErrMalformed
	}
	if someReasons {
		var ok bool
		if s.reasons, ok = parseReasons(reasons); !ok || s.reasons == 0 {
			return scope{}, ErrMalformed
		}
	}
	switch {
	case indirect:
		return scope{}, unsupported("it is an indirect CRL, which is not supported")
	case attributeCerts:
		return scope{}, unsupported("it is about attribute certificates")
	case s.usersOnly && s.casOnly:
		return scope{}, unsupported("it is about users only and about CAs only, which is nobody")
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
			return false, unsupported(fmt.Sprintf("it has an unsupported critical extension (identifier %x)", pki.Clip(id)))
		}
	}
	return removed, nil
}
