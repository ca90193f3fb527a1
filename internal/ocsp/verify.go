// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ocsp

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
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

// maxCerts is how many of the certificates that come along are looked at: one is that of the signer.
const maxCerts = 10

// verify decides whether a body is an answer about a certificate that counts at now (RFC 6960 §3.2). The error is an
// *Error. checkSigner is asked whether the certificate of a delegated responder is revoked; nil = it is not. A nonce that
// is not nil has to come back.
//
// Package x/crypto/ocsp reads the answer. It leaves open whether that is about this certificate and not about another one
// with its serial number, who has signed it, when it was true, and what comes with it.
func verify(body []byte, cert Certificate, nonce []byte, now time.Time, checkSigner SignerFunc) (Answer, error) {
	r, ok := readResponse(body)
	if !ok {
		return Answer{}, noAnswer(body)
	}
	if err := r.checkAnswers(cert); err != nil {
		return Answer{}, err
	}
	parsed, err := ocsp.ParseResponseForCert(r.bare, cert.Leaf, nil)
	if err != nil {
		return Answer{}, &Error{Kind: KindMalformed, Err: err}
	}
	if err := r.checkExtensions(nonce); err != nil {
		return Answer{}, err
	}
	if err := checkTimes(parsed, now); err != nil {
		return Answer{}, err
	}
	if err := r.checkSignature(parsed, cert.Issuer, now, checkSigner); err != nil {
		return Answer{}, err
	}
	return answerOf(parsed, now), nil
}

// noAnswer is the error of a body that has no answer. Only its status is read: x/crypto/ocsp would check a signature with
// whatever key comes along.
func noAnswer(body []byte) *Error {
	input := cryptobyte.String(body)
	var status int
	if input.ReadASN1(&input, cbasn1.SEQUENCE) && input.ReadASN1Enum(&status) && status != int(ocsp.Success) {
		return refused(ocsp.ResponseStatus(status))
	}
	return wrong(KindMalformed, "it is no OCSP response")
}

// checkAnswers demands that the first answer about the serial number, which is the one that x/crypto/ocsp takes, is about
// this certificate, and that no other one contradicts it. A responder may answer once for each hash that it knows.
func (r response) checkAnswers(cert Certificate) error {
	serial := cert.Leaf.SerialNumber
	i := slices.IndexFunc(r.answers, func(id answerID) bool { return id.hasSerial(serial.Bytes()) })
	switch {
	case i < 0:
		return wrong(KindOther, "it is about %d other certificates, and not about the one with serial number %x", len(r.answers), serial)
	case !r.answers[i].isAbout(cert):
		return wrong(KindOther, "it is about a certificate of another issuer with serial number %x", serial)
	}
	for _, id := range r.answers[i+1:] {
		if id.status != r.answers[i].status && id.isAbout(cert) {
			return wrong(KindMalformed, "it contradicts itself about serial number %x", serial)
		}
	}
	return nil
}

// oidNonce is id-pkix-ocsp-nonce (RFC 9654 §2.1).
var oidNonce = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}

// checkExtensions refuses a response with a critical extension that is not known (RFC 6960 §4.4), and one that answers
// another request than that with the nonce.
func (r response) checkExtensions(nonce []byte) error {
	var returned []byte
	for _, e := range r.extensions {
		switch {
		case e.oid.Equal(oidNonce):
			returned = e.value
		case e.critical:
			return wrong(KindMalformed, "it has the critical extension %v, which is not known", e.oid)
		}
	}
	switch {
	case nonce == nil || bytes.Equal(returned, nonceValue(nonce)):
		return nil
	case returned == nil:
		return wrong(KindNonce, "it does not have the nonce of the request")
	}
	return wrong(KindNonce, "it has the nonce of another request")
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
// §4.2.2.2).
func (r response) checkSignature(parsed *ocsp.Response, issuer *x509.Certificate, now time.Time, checkSigner SignerFunc) error {
	if isBroken(parsed.SignatureAlgorithm) {
		return wrong(KindSigner, "it is signed with %v", parsed.SignatureAlgorithm)
	}
	var err error = wrong(KindSigner, "it is signed neither by the issuer nor by one of the %d certificates that come along", len(r.certs))
	for _, signer := range r.signers(issuer) {
		if err = checkSignedBy(signer, parsed, issuer, now, checkSigner); err == nil {
			return nil
		}
	}
	return err
}

// signers returns the certificates of those whom the response may call its signer: the issuer, and what comes along with
// that name or key, in any order.
func (r response) signers(issuer *x509.Certificate) (signers []*x509.Certificate) {
	isResponder := r.responder.matcher()
	if isResponder(issuer) {
		signers = append(signers, issuer)
	}
	for _, der := range r.certs[:min(len(r.certs), maxCerts)] {
		if cert, err := x509.ParseCertificate(der); err == nil && isResponder(cert) {
			signers = append(signers, cert)
		}
	}
	return signers
}

// checkSignedBy demands that signer may sign, and has. A key that a stranger sends may be one that takes long to check a
// signature with, so it comes second.
func checkSignedBy(signer *x509.Certificate, parsed *ocsp.Response, issuer *x509.Certificate, now time.Time, checkSigner SignerFunc) error {
	if !bytes.Equal(signer.RawSubjectPublicKeyInfo, issuer.RawSubjectPublicKeyInfo) { // else it is the issuer, whatever certificate of it comes along
		if err := checkDelegated(signer, issuer, now, checkSigner); err != nil {
			return err
		}
	}
	if err := parsed.CheckSignatureFrom(signer); err != nil {
		return wrong(KindSigner, "%q has not signed it: %w", pki.SubjectOf(signer), err)
	}
	return nil
}

// matcher returns a func that reports whether a certificate is that of the responder (RFC 6960 §4.2.2.3). A stranger may
// have chosen the name, which is long then, so it is read once for all certificates.
func (id responderID) matcher() func(*x509.Certificate) bool {
	if id.keyHash == nil {
		name := pki.CanonicalName(id.name)
		return func(cert *x509.Certificate) bool { return pki.CanonicalName(cert.RawSubject) == name }
	}
	return func(cert *x509.Certificate) bool {
		key, ok := publicKeyOf(cert)
		return ok && bytes.Equal(id.keyHash, sum(crypto.SHA1, key))
	}
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
		return wrong(KindSigner, name+"is from %q", pki.IssuerOf(signer))
	}
	if isBroken(signer.SignatureAlgorithm) {
		return wrong(KindSigner, name+"is signed with %v", signer.SignatureAlgorithm)
	}
	if err := issuer.CheckSignature(signer.SignatureAlgorithm, signer.RawTBSCertificate, signer.Signature); err != nil {
		return wrong(KindSigner, name+"is not from the issuer: %w", err)
	}
	switch {
	case !slices.Contains(signer.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning): // that of any usage does not do
		return wrong(KindSigner, name+"%q is not for signing OCSP responses", pki.SubjectOf(signer))
	case signer.KeyUsage != 0 && signer.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0:
		return wrong(KindSigner, name+"%q is not for signatures", pki.SubjectOf(signer))
	case now.Before(signer.NotBefore.Add(-clockSkew)) || now.After(signer.NotAfter):
		return wrong(KindSigner, name+"%q is valid from %s to %s", pki.SubjectOf(signer),
			signer.NotBefore.Format(time.RFC3339), signer.NotAfter.Format(time.RFC3339))
	case checkSigner == nil || slices.ContainsFunc(signer.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidNoCheck) }):
		return nil
	}
	if err := checkSigner(signer, issuer); err != nil {
		return wrong(KindSigner, name+"%q: %v", pki.SubjectOf(signer), err) // it is not the client's certificate that is revoked
	}
	return nil
}
