// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certtest

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"
)

// Validity of an OCSP answer made without ThisUpdate and NextUpdate, measured
// from now.
const (
	defaultOCSPAge      = time.Minute
	defaultOCSPLifetime = time.Hour
)

var (
	oidOCSPBasic     = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	oidOCSPNonce     = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	oidOCSPNoCheck   = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}
	oidArchiveCutoff = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 6}
	oidECDSAWithSHA1 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}

	certIDHashes = map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.MD5:    {1, 2, 840, 113549, 2, 5},
		crypto.SHA1:   {1, 3, 14, 3, 2, 26},
		crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
		crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2},
		crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},
	}
)

// OCSPStatus is what an OCSPAnswer says of a certificate. The zero value is good.
type OCSPStatus uint8

// The statuses, with their tags (RFC 6960 §4.2.1).
const (
	OCSPGood OCSPStatus = iota
	OCSPRevoked
	OCSPUnknown
)

// OCSPAnswer is the answer about one certificate. Its zero value with a Serial
// says that it is good since a minute ago and for an hour.
type OCSPAnswer struct {
	Serial *big.Int
	Status OCSPStatus

	// Reason is why the certificate is revoked, since RevokedAt; zero is
	// unspecified, since ThisUpdate.
	Reason    int
	RevokedAt time.Time

	// ThisUpdate and NextUpdate are whole seconds; zero means the default.
	ThisUpdate, NextUpdate time.Time

	// NoNextUpdate leaves the nextUpdate field out.
	NoNextUpdate bool

	// Hash is what the CertID is made with; zero means SHA-1.
	Hash crypto.Hash

	// Issuer is whose certificate it is; nil means that of the CA.
	Issuer *x509.Certificate

	// Critical adds a critical extension.
	Critical bool

	// Without leaves the status out, and Twice says that the certificate is
	// good before it.
	Without, Twice bool
}

// OCSPOptions says who signs an OCSP response. With its zero value it is the CA
// itself, and no certificate comes along.
type OCSPOptions struct {
	Signer *Cert // a delegated responder, whose certificate comes along
	Bare   bool  // it does not

	// Certs come along after that of the signer.
	Certs []*x509.Certificate

	// Name is whom the response calls its signer; nil means the signer.
	Name *x509.Certificate
	// ByKey does so by the hash of the key and not by the name.
	ByKey bool

	// Extensions are those of the response, not those of an answer.
	Extensions []pkix.Extension

	// SHA1 signs with an algorithm that is broken; the key has to be ECDSA.
	SHA1 bool

	// WrongSignature spoils the signature.
	WrongSignature bool
}

// OCSPSigning makes the certificate one of a delegated responder. With noCheck
// it asks not to be checked for revocation (RFC 6960 §4.2.2.2.1).
func OCSPSigning(noCheck bool) Option {
	return func(r *request) {
		r.template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
		if noCheck {
			r.template.ExtraExtensions = append(r.template.ExtraExtensions, pkix.Extension{Id: oidOCSPNoCheck, Value: asn1.NullBytes})
		}
	}
}

// OCSPServer names responders in the certificate.
func OCSPServer(urls ...string) Option {
	return func(r *request) { r.template.OCSPServer = urls }
}

// OCSP returns a DER-encoded OCSP response (RFC 6960 §4.2.1) about certificates
// of ca. It builds it by itself because x/crypto/ocsp makes only responses that
// are as they should be.
func (ca *CA) OCSP(opts OCSPOptions, answers ...OCSPAnswer) []byte {
	signer, key := ca.Cert, ca.Key
	certs := opts.Certs
	if opts.Signer != nil {
		signer, key = opts.Signer.Leaf, opts.Signer.Key
		if !opts.Bare {
			certs = append([]*x509.Certificate{signer}, certs...)
		}
	}
	named := signer
	if opts.Name != nil {
		named = opts.Name
	}
	data := must(ca.responseData(opts.responderID(named), answers, opts.Extensions).Bytes())
	hash, algorithm := crypto.SHA256, signatureAlgorithmOf(key)
	if opts.SHA1 {
		hash, algorithm = crypto.SHA1, must(asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: oidECDSAWithSHA1}))
	}
	signature := must(key.Sign(rand.Reader, digest(hash, data), hash))
	if opts.WrongSignature {
		signature[len(signature)-1] ^= 1
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(data)
		b.AddBytes(algorithm)
		b.AddASN1BitString(signature)
		if len(certs) > 0 {
			b.AddASN1(contextTag(0), func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					for _, cert := range certs {
						b.AddBytes(cert.Raw)
					}
				})
			})
		}
	})
	return successful(must(b.Bytes()))
}

// successful wraps a BasicOCSPResponse.
func successful(basic []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Enum(0)
		b.AddASN1(contextTag(0), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidOCSPBasic)
				b.AddASN1OctetString(basic)
			})
		})
	})
	return must(b.Bytes())
}

// responseData builds the part that is signed.
func (ca *CA) responseData(responderID cryptobyte.BuilderContinuation, answers []OCSPAnswer, extensions []pkix.Extension) *cryptobyte.Builder {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		responderID(b)
		b.AddASN1GeneralizedTime(time.Now().UTC())
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, a := range answers {
				a.add(b, ca.Cert)
			}
		})
		addExtensions(b, extensions)
	})
	return &b
}

func (o OCSPOptions) responderID(of *x509.Certificate) cryptobyte.BuilderContinuation {
	return func(b *cryptobyte.Builder) {
		if o.ByKey {
			b.AddASN1(contextTag(2), func(b *cryptobyte.Builder) { b.AddASN1OctetString(digest(crypto.SHA1, keyBits(of))) })
			return
		}
		b.AddASN1(contextTag(1), func(b *cryptobyte.Builder) { b.AddBytes(of.RawSubject) })
	}
}

// addExtensions builds those of a response and of an answer, which have the same tag.
func addExtensions(b *cryptobyte.Builder, extensions []pkix.Extension) {
	if len(extensions) > 0 {
		b.AddASN1(contextTag(1), func(b *cryptobyte.Builder) { b.AddBytes(must(asn1.Marshal(extensions))) })
	}
}

// keyBits returns the bits of a subjectPublicKey, which responses have hashes of.
func keyBits(cert *x509.Certificate) []byte {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	_ = must(asn1.Unmarshal(cert.RawSubjectPublicKeyInfo, &info))
	return info.Key.RightAlign()
}

// add builds a SingleResponse.
func (a OCSPAnswer) add(b *cryptobyte.Builder, issuer *x509.Certificate) {
	a.setDefaults(issuer)
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, a.addCertID)
		if a.Twice {
			OCSPAnswer{Status: OCSPGood}.addStatus(b)
		}
		if !a.Without {
			a.addStatus(b)
		}
		b.AddASN1GeneralizedTime(a.ThisUpdate.UTC())
		if !a.NoNextUpdate {
			b.AddASN1(contextTag(0), func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(a.NextUpdate.UTC()) })
		}
		if a.Critical {
			addExtensions(b, []pkix.Extension{{Id: oidArchiveCutoff, Critical: true, Value: asn1.NullBytes}})
		}
	})
}

func (a *OCSPAnswer) setDefaults(issuer *x509.Certificate) {
	now := time.Now()
	if a.ThisUpdate.IsZero() {
		a.ThisUpdate = now.Add(-defaultOCSPAge)
	}
	if a.NextUpdate.IsZero() {
		a.NextUpdate = now.Add(defaultOCSPLifetime)
	}
	if a.RevokedAt.IsZero() {
		a.RevokedAt = a.ThisUpdate
	}
	if a.Hash == 0 {
		a.Hash = crypto.SHA1
	}
	if a.Issuer == nil {
		a.Issuer = issuer
	}
}

func (a OCSPAnswer) addCertID(b *cryptobyte.Builder) {
	b.AddBytes(must(asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: certIDHashes[a.Hash], Parameters: asn1.NullRawValue})))
	b.AddASN1OctetString(digest(a.Hash, a.Issuer.RawSubject))
	b.AddASN1OctetString(digest(a.Hash, keyBits(a.Issuer)))
	b.AddASN1BigInt(a.Serial)
}

func (a OCSPAnswer) addStatus(b *cryptobyte.Builder) {
	tag := cbasn1.Tag(a.Status).ContextSpecific()
	if a.Status != OCSPRevoked {
		b.AddASN1(tag, func(*cryptobyte.Builder) {})
		return
	}
	b.AddASN1(tag.Constructed(), func(b *cryptobyte.Builder) {
		b.AddASN1GeneralizedTime(a.RevokedAt.UTC())
		if a.Reason != 0 {
			b.AddASN1(contextTag(0), func(b *cryptobyte.Builder) { b.AddASN1Enum(int64(a.Reason)) })
		}
	})
}

func contextTag(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }

func digest(hash crypto.Hash, text []byte) []byte {
	h := hash.New()
	_, _ = h.Write(text)
	return h.Sum(nil)
}

// signatureAlgorithmOf returns the AlgorithmIdentifier of SHA-256 with a key.
func signatureAlgorithmOf(key crypto.Signer) []byte { return (&CA{Key: key}).signatureAlgorithm() }

// OCSPNonce returns the extension of a nonce (RFC 9654 §2.1): that of a request
// has the same form as that of a response.
func OCSPNonce(nonce []byte) pkix.Extension {
	return pkix.Extension{Id: oidOCSPNonce, Value: must(asn1.Marshal(nonce))}
}

// NonceOf returns the nonce of an OCSP request, nil = it has none.
func NonceOf(request []byte) []byte {
	var r struct {
		TBS struct {
			List       asn1.RawValue
			Extensions []pkix.Extension `asn1:"tag:2,explicit,optional"`
		}
	}
	_ = must(asn1.Unmarshal(request, &r))
	var nonce []byte
	for _, e := range r.TBS.Extensions {
		if e.Id.Equal(oidOCSPNonce) {
			_ = must(asn1.Unmarshal(e.Value, &nonce))
		}
	}
	return nonce
}

// An OCSPFunc answers a request about one serial number with a response, which
// may be anything.
type OCSPFunc func(serial *big.Int) []byte

// ServeHTTP is a responder as RFC 6960 appendix A.1 has it, for GET and POST.
func (answer OCSPFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if r.Method == http.MethodGet {
		path := r.URL.EscapedPath()
		var text string
		if text, err = url.QueryUnescape(path[strings.LastIndex(path, "/")+1:]); err == nil {
			body, err = base64.StdEncoding.DecodeString(text)
		}
	}
	if err != nil {
		http.Error(w, "no OCSP request", http.StatusBadRequest)
		return
	}
	response := ocsp.MalformedRequestErrorResponse
	if req, err := ocsp.ParseRequest(body); err == nil {
		response = answer(req.SerialNumber)
	}
	w.Header().Set("Content-Type", "application/ocsp-response")
	_, _ = w.Write(response)
}
