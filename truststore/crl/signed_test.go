// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// TestSignaturesAreCheckedLikeX509 has x509 sign with every algorithm that it can
// sign with, and compares its verdict with ours: about the list, about another
// list, and about another key.
func TestSignaturesAreCheckedLikeX509(t *testing.T) {
	t.Parallel()
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	p256 := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	signers := map[x509.PublicKeyAlgorithm]crypto.Signer{x509.RSA: rsaKey, x509.ECDSA: p256, x509.Ed25519: ed}
	certs := make(map[x509.PublicKeyAlgorithm]*x509.Certificate)
	for kind, key := range signers {
		certs[kind] = selfSigned(key)
	}
	for algorithm, kind := range map[x509.SignatureAlgorithm]x509.PublicKeyAlgorithm{
		x509.SHA256WithRSA: x509.RSA, x509.SHA384WithRSA: x509.RSA, x509.SHA512WithRSA: x509.RSA,
		x509.SHA256WithRSAPSS: x509.RSA, x509.SHA384WithRSAPSS: x509.RSA, x509.SHA512WithRSAPSS: x509.RSA,
		x509.ECDSAWithSHA256: x509.ECDSA, x509.ECDSAWithSHA384: x509.ECDSA, x509.ECDSAWithSHA512: x509.ECDSA,
		x509.PureEd25519: x509.Ed25519,
	} {
		t.Run(algorithm.String(), func(t *testing.T) {
			t.Parallel()
			template := &x509.RevocationList{SignatureAlgorithm: algorithm, Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}
			der := must(x509.CreateRevocationList(rand.Reader, template, certs[kind], signers[kind]))
			list, err := Parse(bytes.NewReader(der), nil)
			if err != nil {
				t.Fatal(err)
			}
			s := list.signed
			for other, cert := range certs {
				if err := list.CheckSignature(cert); (err == nil) != (other == kind) {
					t.Errorf("with the key %v: got %v, want good %v", other, err, other == kind)
				}
			}
			if err := list.CheckSignature(selfSigned(anotherKey(kind))); err == nil {
				t.Error("another key of the kind is good")
			}
			s.add([]byte{0})
			if err := list.CheckSignature(certs[kind]); err == nil {
				t.Error("a list with one byte more is good")
			}
		})
	}
}

// SHA-1 is what old CAs sign CRLs with, and x509 lets them.
func TestOldSignatures(t *testing.T) {
	t.Parallel()
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	cert := selfSigned(key)
	message := []byte("to be signed")
	for algorithm, hash := range map[x509.SignatureAlgorithm]crypto.Hash{x509.SHA1WithRSA: crypto.SHA1, x509.MD5WithRSA: crypto.MD5} {
		digest := hash.New()
		digest.Write(message)
		s := newSigned(algorithm)
		s.add(message[:3], message[3:])
		s.signature = must(key.Sign(rand.Reader, digest.Sum(nil), hash))
		if got, want := s.check(cert), cert.CheckSignature(algorithm, message, s.signature); (got == nil) != (want == nil) {
			t.Errorf("%v: got %v, want %v", algorithm, got, want)
		}
	}
}

func selfSigned(key crypto.Signer) *x509.Certificate {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCRLSign, SubjectKeyId: []byte{1}}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))))
}

func anotherKey(kind x509.PublicKeyAlgorithm) crypto.Signer {
	switch kind {
	case x509.RSA:
		return must(rsa.GenerateKey(rand.Reader, 2048))
	case x509.ECDSA:
		return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	}
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	return key
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
