// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"hash"
)

// signed is what the signature of a list is checked with: what was signed goes
// into a digest piece by piece, since it may be large.
type signed struct {
	algorithm x509.SignatureAlgorithm
	hash      crypto.Hash // 0: the message is signed, not a hash
	digest    hash.Hash   // nil if hash is 0
	message   []byte      // instead of digest
	signature []byte
}

func newSigned(algorithm x509.SignatureAlgorithm) *signed {
	s := &signed{algorithm: algorithm, hash: hashOf(algorithm)}
	if s.hash != 0 {
		s.digest = s.hash.New()
	}
	return s
}

// isSupported reports whether signatures of the algorithm can be checked.
func isSupported(algorithm x509.SignatureAlgorithm) bool {
	return hashOf(algorithm) != 0 || algorithm == x509.PureEd25519
}

// hashOf returns the hash of algorithms that sign one; 0 for Ed25519, which signs
// the message, and for algorithms that are obsolete. SHA-1 is still
// allowed for CRLs by x509.
func hashOf(algorithm x509.SignatureAlgorithm) crypto.Hash {
	switch algorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		return crypto.SHA1
	case x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.ECDSAWithSHA256:
		return crypto.SHA256
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		return crypto.SHA384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		return crypto.SHA512
	}
	return 0
}

// add continues what was signed.
func (s *signed) add(pieces ...[]byte) {
	for _, piece := range pieces {
		if s.digest == nil {
			s.message = append(s.message, piece...)
		} else {
			_, _ = s.digest.Write(piece)
		}
	}
}

// check does what x509.Certificate.CheckSignature does, but for a digest.
func (s *signed) check(signer *x509.Certificate) error {
	if s.digest == nil {
		return signer.CheckSignature(s.algorithm, s.message, s.signature)
	}
	digest := s.digest.Sum(nil)
	switch key := signer.PublicKey.(type) {
	case *rsa.PublicKey:
		switch s.algorithm {
		case x509.SHA1WithRSA, x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA:
			return rsa.VerifyPKCS1v15(key, s.hash, digest, s.signature)
		case x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS:
			// RFC 4055 §3.1, and all that x509 knows: the salt is as long as the hash.
			return rsa.VerifyPSS(key, s.hash, digest, s.signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
	case *ecdsa.PublicKey:
		switch s.algorithm {
		case x509.ECDSAWithSHA1, x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
			if !ecdsa.VerifyASN1(key, digest, s.signature) {
				return errors.New("ECDSA verification failure")
			}
			return nil
		}
	}
	return fmt.Errorf("it is made with %v, and the key is a %T", s.algorithm, signer.PublicKey)
}
