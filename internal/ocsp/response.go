// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ocsp

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A response is the outside of an OCSP response (RFC 6960 §4.2.1): what package x/crypto/ocsp passes over, or does not
// hand out.
type response struct {
	// bare is the response without its certificates. So x/crypto/ocsp does not check the signature with a key that comes
	// along before somebody has looked whose key that is.
	bare []byte

	responder  responderID
	answers    []answerID
	extensions []extension
	certs      [][]byte // in DER
}

// A responderID says who has signed: one of the two is set.
type responderID struct {
	name    []byte // as X.501 encodes it
	keyHash []byte // with SHA-1
}

// An answerID is what one of the answers is about (CertID), and which status it tells.
type answerID struct {
	hash              crypto.Hash // 0 = one that is not known
	nameHash, keyHash []byte
	serial            []byte // the contents of the INTEGER
	status            cbasn1.Tag
}

type extension struct {
	oid      asn1.ObjectIdentifier
	critical bool
	value    []byte
}

// Tags of RFC 6960 §4.2.1.
var (
	tag0 = cbasn1.Tag(0).ContextSpecific().Constructed()
	tag1 = cbasn1.Tag(1).ContextSpecific().Constructed()
	tag2 = cbasn1.Tag(2).ContextSpecific().Constructed()

	tagGood    = cbasn1.Tag(0).ContextSpecific()
	tagRevoked = tag1
	tagUnknown = cbasn1.Tag(2).ContextSpecific()
)

// readResponse reads a response that has an answer. It takes nothing that RFC 6960 has no room for, such as two statuses
// of one certificate or something behind the response.
func readResponse(body []byte) (r response, ok bool) {
	input := cryptobyte.String(body)
	var outer, status, bytesOf, basic cryptobyte.String
	var kind asn1.ObjectIdentifier
	ok = input.ReadASN1(&outer, cbasn1.SEQUENCE) && input.Empty() &&
		outer.ReadASN1Element(&status, cbasn1.ENUM) && outer.ReadASN1(&bytesOf, tag0) && outer.Empty() &&
		bytesOf.ReadASN1(&outer, cbasn1.SEQUENCE) && bytesOf.Empty() &&
		outer.ReadASN1ObjectIdentifier(&kind) && outer.ReadASN1(&basic, cbasn1.OCTET_STRING) && outer.Empty()
	if !ok {
		return r, false
	}
	var signed, data, algorithm, signature cryptobyte.String
	ok = basic.ReadASN1(&signed, cbasn1.SEQUENCE) && basic.Empty() &&
		signed.ReadASN1Element(&data, cbasn1.SEQUENCE) && signed.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) &&
		signed.ReadASN1Element(&signature, cbasn1.BIT_STRING) && r.readCerts(&signed) && signed.Empty()
	if !ok {
		return r, false
	}
	r.bare = bareResponse(status, kind, data, algorithm, signature)
	return r, r.bare != nil && r.readData(data)
}

// bareResponse puts a response without certificates together; nil = that cannot be done.
func bareResponse(status cryptobyte.String, kind asn1.ObjectIdentifier, signed ...cryptobyte.String) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(status)
		b.AddASN1(tag0, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(kind)
				b.AddASN1(cbasn1.OCTET_STRING, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						for _, part := range signed {
							b.AddBytes(part)
						}
					})
				})
			})
		})
	})
	bare, _ := b.Bytes()
	return bare
}

// readCerts reads the optional certificates of a BasicOCSPResponse.
func (r *response) readCerts(from *cryptobyte.String) bool {
	var certs, cert cryptobyte.String
	var present bool
	if !from.ReadOptionalASN1(&certs, &present, tag0) || !present {
		return !present
	}
	var list cryptobyte.String
	if !certs.ReadASN1(&list, cbasn1.SEQUENCE) || !certs.Empty() {
		return false
	}
	for !list.Empty() {
		if !list.ReadASN1Element(&cert, cbasn1.SEQUENCE) {
			return false
		}
		r.certs = append(r.certs, cert)
	}
	return true
}

// readData reads the ResponseData, which is what is signed.
func (r *response) readData(data cryptobyte.String) bool {
	var answers, answer cryptobyte.String
	if !data.ReadASN1(&data, cbasn1.SEQUENCE) || !data.SkipOptionalASN1(tag0) || // version
		!r.responder.read(&data) || !data.SkipASN1(cbasn1.GeneralizedTime) || // producedAt
		!data.ReadASN1(&answers, cbasn1.SEQUENCE) || !readExtensions(&data, tag1, &r.extensions) || !data.Empty() {
		return false
	}
	for !answers.Empty() {
		var id answerID
		if !answers.ReadASN1(&answer, cbasn1.SEQUENCE) || !id.read(answer) {
			return false
		}
		r.answers = append(r.answers, id)
	}
	return true
}

func (id *responderID) read(from *cryptobyte.String) bool {
	var content, hash cryptobyte.String
	if from.PeekASN1Tag(tag1) {
		ok := from.ReadASN1(&content, tag1)
		id.name = content
		return ok
	}
	ok := from.ReadASN1(&content, tag2) && content.ReadASN1(&hash, cbasn1.OCTET_STRING) && content.Empty()
	id.keyHash = hash
	return ok
}

// read reads a SingleResponse. Its times are left to x/crypto/ocsp, and its extensions too.
func (id *answerID) read(answer cryptobyte.String) bool {
	var certID, algorithm cryptobyte.String
	var hash asn1.ObjectIdentifier
	ok := answer.ReadASN1(&certID, cbasn1.SEQUENCE) &&
		certID.ReadASN1(&algorithm, cbasn1.SEQUENCE) && algorithm.ReadASN1ObjectIdentifier(&hash) &&
		certID.ReadASN1Bytes(&id.nameHash, cbasn1.OCTET_STRING) && certID.ReadASN1Bytes(&id.keyHash, cbasn1.OCTET_STRING) &&
		certID.ReadASN1Bytes(&id.serial, cbasn1.INTEGER) && certID.Empty() &&
		answer.ReadAnyASN1(new(cryptobyte.String), &id.status) &&
		(id.status == tagGood || id.status == tagRevoked || id.status == tagUnknown) &&
		answer.SkipASN1(cbasn1.GeneralizedTime) && // thisUpdate
		answer.SkipOptionalASN1(tag0) && // nextUpdate
		answer.SkipOptionalASN1(tag1) && answer.Empty()
	id.hash = hashOf(hash)
	return ok
}

// readExtensions reads optional extensions (RFC 5280 §4.1).
func readExtensions(from *cryptobyte.String, tag cbasn1.Tag, extensions *[]extension) bool {
	var outer, list, one cryptobyte.String
	var present bool
	if !from.ReadOptionalASN1(&outer, &present, tag) || !present {
		return !present
	}
	if !outer.ReadASN1(&list, cbasn1.SEQUENCE) || !outer.Empty() {
		return false
	}
	for !list.Empty() {
		var e extension
		if !list.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&e.oid) ||
			one.PeekASN1Tag(cbasn1.BOOLEAN) && !one.ReadASN1Boolean(&e.critical) ||
			!one.ReadASN1Bytes(&e.value, cbasn1.OCTET_STRING) || !one.Empty() {
			return false
		}
		*extensions = append(*extensions, e)
	}
	return true
}

// isAbout reports whether the answer is about this certificate. Its CertID may be made with another hash than that of the
// request.
func (id answerID) isAbout(cert Certificate) bool {
	key, ok := publicKeyOf(cert.Issuer)
	return ok && id.hash != 0 && id.hasSerial(cert.Leaf.SerialNumber.Bytes()) &&
		bytes.Equal(id.nameHash, sum(id.hash, cert.Issuer.RawSubject)) && bytes.Equal(id.keyHash, sum(id.hash, key))
}

// hasSerial compares with a serial number that is not negative, big-endian and without leading zeros.
func (id answerID) hasSerial(serial []byte) bool {
	return len(id.serial) > 0 && id.serial[0] < 0x80 && bytes.Equal(bytes.TrimLeft(id.serial, "\x00"), serial)
}

func sum(hash crypto.Hash, text []byte) []byte {
	h := hash.New()
	_, _ = h.Write(text)
	return h.Sum(nil)
}

// publicKeyOf returns the bits of a subjectPublicKey, which CertIDs and ResponderIDs have the hash of.
func publicKeyOf(cert *x509.Certificate) (key []byte, ok bool) {
	info := cryptobyte.String(cert.RawSubjectPublicKeyInfo)
	ok = info.ReadASN1(&info, cbasn1.SEQUENCE) && info.SkipASN1(cbasn1.SEQUENCE) && info.ReadASN1BitStringAsBytes(&key)
	return key, ok
}

// hashOf returns the hash with an OID; 0 = none that is known.
func hashOf(oid asn1.ObjectIdentifier) crypto.Hash {
	switch oid.String() {
	case "1.3.14.3.2.26":
		return crypto.SHA1
	case "2.16.840.1.101.3.4.2.1":
		return crypto.SHA256
	case "2.16.840.1.101.3.4.2.2":
		return crypto.SHA384
	case "2.16.840.1.101.3.4.2.3":
		return crypto.SHA512
	}
	return 0
}
