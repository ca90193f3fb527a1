// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ocsp

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
	"time"

	// The hashes that a CertID may be made with.
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha512"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"

	"github.com/vernegate/vernegate/internal/pki"
)

// A Certificate is what is asked about.
type Certificate struct {
	Fingerprint pki.Fingerprint
	Leaf        *x509.Certificate
	Issuer      *x509.Certificate // with the key that has signed Leaf
}

// verify decides whether a body is an answer about a certificate that counts at now (RFC 6960 §3.2). The error is an
// *Error.
//
// Package x/crypto/ocsp parses the body, and checks the signature with a certificate that comes along. It leaves open
// whether the answer is about this certificate and not about another one with its serial number, who has signed it, and
// when it was true. checkSigner is asked whether the certificate of a delegated responder is revoked; nil = it is not.
func verify(body []byte, cert Certificate, now time.Time, checkSigner SignerFunc) (Answer, error) {
	response, err := ocsp.ParseResponseForCert(body, cert.Leaf, nil)
	if refusal, ok := errors.AsType[ocsp.ResponseError](err); ok {
		return Answer{}, refused(refusal.Status)
	}
	if named := namesCertificate(body, cert); named != nil {
		return Answer{}, named
	}
	if err != nil {
		return Answer{}, &Error{Kind: KindMalformed, Err: err}
	}
	if err := checkTimes(response, now); err != nil {
		return Answer{}, err
	}
	if err := checkSignature(response, cert.Issuer, now, checkSigner); err != nil {
		return Answer{}, err
	}
	return answerOf(response, now), nil
}

// refused is the error of a response without an answer (RFC 6960 §2.3). Nobody has signed it.
func refused(status ocsp.ResponseStatus) *Error {
	e := wrong(KindRefused, "it says %v", status)
	if status == ocsp.TryLater || status == ocsp.InternalError {
		e.Kind, e.down = KindTryLater, true
	}
	return e
}

// answerOf returns what a response says that counts.
func answerOf(r *ocsp.Response, now time.Time) Answer {
	a := Answer{ThisUpdate: r.ThisUpdate}
	switch r.Status {
	case ocsp.Good:
		a.Status = Good
	case ocsp.Revoked: // also on hold, and never issued (RFC 6960 §4.4.8)
		a.Status, a.RevokedAt, a.Reason = Revoked, r.RevokedAt, r.RevocationReason
	default:
		a.Status = Unknown
	}
	a.Until = a.until(r.NextUpdate, now)
	return a
}

// checkTimes refuses what was true long ago, and what will be.
func checkTimes(r *ocsp.Response, now time.Time) error {
	const layout = time.RFC3339
	switch {
	case r.ThisUpdate.After(now.Add(clockSkew)):
		return wrong(KindStale, "it is from the future: this update is %s", r.ThisUpdate.Format(layout))
	case r.NextUpdate.IsZero() && r.ThisUpdate.Before(now.Add(-oldest-clockSkew)):
		return wrong(KindStale, "it has no next update, and is from %s", r.ThisUpdate.Format(layout))
	case !r.NextUpdate.IsZero() && r.NextUpdate.Before(r.ThisUpdate):
		return wrong(KindMalformed, "its next update comes before this update")
	case !r.NextUpdate.IsZero() && r.NextUpdate.Before(now.Add(-clockSkew)):
		return wrong(KindStale, "its next update was due on %s", r.NextUpdate.Format(layout))
	}
	return nil
}

// A SignerFunc reports whether the certificate of a responder is revoked, as far as is known without OCSP.
type SignerFunc func(signer, issuer *x509.Certificate) error

// checkSignature demands that the issuer has signed the response, or a responder that it has delegated (RFC 6960
// §4.2.2.2). Package x/crypto/ocsp has checked the signature already if the response brings its signer's certificate.
func checkSignature(r *ocsp.Response, issuer *x509.Certificate, now time.Time, checkSigner SignerFunc) error {
	if isBroken(r.SignatureAlgorithm) {
		return wrong(KindSigner, "it is signed with %v", r.SignatureAlgorithm)
	}
	signer := r.Certificate
	switch {
	case signer == nil:
		if err := r.CheckSignatureFrom(issuer); err != nil {
			return wrong(KindSigner, "the issuer has not signed it, and no certificate of a responder comes with it: %w", err)
		}
		return nil
	case bytes.Equal(signer.RawSubjectPublicKeyInfo, issuer.RawSubjectPublicKeyInfo):
		return nil // whatever certificate of the issuer's key comes along
	}
	return checkDelegated(signer, issuer, now, checkSigner)
}

// isBroken reports whether others than the owner of the key may come to have a signature: collisions of SHA-1 can be made,
// and a responder signs what strangers have it put together. crypto/x509 still takes it.
func isBroken(a x509.SignatureAlgorithm) bool {
	return a == x509.SHA1WithRSA || a == x509.ECDSAWithSHA1
}

// oidNoCheck is id-pkix-ocsp-nocheck (RFC 6960 §4.2.2.2.1).
var oidNoCheck = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}

// checkDelegated demands that the issuer itself has made signer a responder for its certificates.
func checkDelegated(signer, issuer *x509.Certificate, now time.Time, checkSigner SignerFunc) error {
	const name = "the certificate of its signer "
	if pki.CanonicalName(signer.RawIssuer) != pki.CanonicalName(issuer.RawSubject) {
		return wrong(KindSigner, name+"is from %q", signer.Issuer)
	}
	if err := issuer.CheckSignature(signer.SignatureAlgorithm, signer.RawTBSCertificate, signer.Signature); err != nil {
		return wrong(KindSigner, name+"is not from the issuer: %w", err)
	}
	switch {
	case isBroken(signer.SignatureAlgorithm):
		return wrong(KindSigner, name+"is signed with %v", signer.SignatureAlgorithm)
	case !slices.Contains(signer.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning): // that of any usage does not do
		return wrong(KindSigner, name+"%q is not for signing OCSP responses", signer.Subject)
	case signer.KeyUsage != 0 && signer.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0:
		return wrong(KindSigner, name+"%q is not for signatures", signer.Subject)
	case now.Before(signer.NotBefore.Add(-clockSkew)) || now.After(signer.NotAfter):
		return wrong(KindSigner, name+"%q is valid from %s to %s", signer.Subject,
			signer.NotBefore.Format(time.RFC3339), signer.NotAfter.Format(time.RFC3339))
	case checkSigner == nil || slices.ContainsFunc(signer.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidNoCheck) }):
		return nil
	}
	if err := checkSigner(signer, issuer); err != nil {
		return wrong(KindSigner, name+"%q: %v", signer.Subject, err) // it is not the client's certificate that is revoked
	}
	return nil
}

// namesCertificate returns nil if the first answer about the serial number, which is the one that x/crypto/ocsp takes,
// is about a certificate of this issuer. The CertID of the answer may be made with another hash than that of the request.
func namesCertificate(body []byte, cert Certificate) error {
	ids, ok := readCertIDs(body)
	if !ok {
		return wrong(KindMalformed, "it is no OCSP response")
	}
	serial := cert.Leaf.SerialNumber
	i := slices.IndexFunc(ids, func(id certID) bool { return id.hasSerial(serial.Bytes()) })
	if i < 0 {
		return wrong(KindOther, "it is about %d other certificates, and not about the one with serial number %x", len(ids), serial)
	}
	if !ids[i].names(cert.Issuer) {
		return wrong(KindOther, "it is about a certificate of another issuer with serial number %x", serial)
	}
	return nil
}

// certID is what a response calls a certificate by (RFC 6960 §4.1.1).
type certID struct {
	hash              crypto.Hash // 0 = one that is not known
	nameHash, keyHash []byte
	serial            []byte // the contents of the INTEGER
}

// hasSerial compares with a serial number that is not negative, big-endian and without leading zeros.
func (id certID) hasSerial(serial []byte) bool {
	return len(id.serial) > 0 && id.serial[0] < 0x80 && bytes.Equal(bytes.TrimLeft(id.serial, "\x00"), serial)
}

// names reports whether the certificate is one of this issuer.
func (id certID) names(issuer *x509.Certificate) bool {
	if id.hash == 0 {
		return false
	}
	key, ok := publicKeyOf(issuer)
	return ok && bytes.Equal(id.nameHash, sum(id.hash, issuer.RawSubject)) && bytes.Equal(id.keyHash, sum(id.hash, key))
}

func sum(hash crypto.Hash, text []byte) []byte {
	h := hash.New()
	_, _ = h.Write(text)
	return h.Sum(nil)
}

// publicKeyOf returns the bits of a subjectPublicKey, which a CertID has the hash of.
func publicKeyOf(cert *x509.Certificate) (key []byte, ok bool) {
	info := cryptobyte.String(cert.RawSubjectPublicKeyInfo)
	ok = info.ReadASN1(&info, cbasn1.SEQUENCE) && info.SkipASN1(cbasn1.SEQUENCE) && info.ReadASN1BitStringAsBytes(&key)
	return key, ok
}

// readCertIDs reads what the answers of a successful response are about, in their order.
func readCertIDs(body []byte) (ids []certID, ok bool) {
	var answers cryptobyte.String
	if answers, ok = readAnswers(body); !ok {
		return nil, false
	}
	for !answers.Empty() {
		var answer, id, algorithm cryptobyte.String
		var oid asn1.ObjectIdentifier
		var found certID
		if !answers.ReadASN1(&answer, cbasn1.SEQUENCE) || !answer.ReadASN1(&id, cbasn1.SEQUENCE) ||
			!id.ReadASN1(&algorithm, cbasn1.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&oid) ||
			!id.ReadASN1Bytes(&found.nameHash, cbasn1.OCTET_STRING) || !id.ReadASN1Bytes(&found.keyHash, cbasn1.OCTET_STRING) ||
			!id.ReadASN1Bytes(&found.serial, cbasn1.INTEGER) || !id.Empty() {
			return nil, false
		}
		found.hash = hashOf(oid)
		ids = append(ids, found)
	}
	return ids, true
}

// readAnswers finds the SEQUENCE OF SingleResponse in a response (RFC 6960 §4.2.1).
func readAnswers(body []byte) (answers cryptobyte.String, ok bool) {
	input := cryptobyte.String(body)
	var basic, data cryptobyte.String
	tag0 := cbasn1.Tag(0).ContextSpecific().Constructed()
	ok = input.ReadASN1(&input, cbasn1.SEQUENCE) && input.SkipASN1(cbasn1.ENUM) &&
		input.ReadASN1(&input, tag0) && input.ReadASN1(&input, cbasn1.SEQUENCE) &&
		input.SkipASN1(cbasn1.OBJECT_IDENTIFIER) && input.ReadASN1(&basic, cbasn1.OCTET_STRING) &&
		basic.ReadASN1(&basic, cbasn1.SEQUENCE) && basic.ReadASN1(&data, cbasn1.SEQUENCE) &&
		data.SkipOptionalASN1(tag0) && // version
		data.ReadAnyASN1Element(new(cryptobyte.String), new(cbasn1.Tag)) && // responderID
		data.SkipASN1(cbasn1.GeneralizedTime) && // producedAt
		data.ReadASN1(&answers, cbasn1.SEQUENCE)
	return answers, ok
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
