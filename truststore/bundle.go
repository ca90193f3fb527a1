// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"bytes"
	"crypto/x509"
	"slices"

	"github.com/vernegate/vernegate/internal/pki"
)

// bundle is all CA certificates of a generation. Every one of them is a trust anchor, intermediates too: external CAs
// come without their root. It does not change once it is made.
type bundle struct {
	certs []*x509.Certificate
	pool  *x509.CertPool

	// The same authorities by the subject of their certificates as it is encoded, and by its canonical form.
	bySubject map[string][]*authority
	byName    map[string][]*authority
}

// authority is a CA as revocation sees it: a name with a key. All certificates of a CA that was re-issued or
// cross-signed share it, and with it the CRLs.
type authority struct {
	name      string            // canonical
	publicKey []byte            // RawSubjectPublicKeyInfo
	crlSigner *x509.Certificate // one that may sign CRLs, or nil
	anchors   []*anchor

	// kin are the authorities whose lists speak of its certificates, itself first: those of the same name that chain
	// to the same trust anchor (RFC 5280 §6.3.3(f)), as a CA does before and after it has changed its key. Its own lists
	// speak of theirs likewise.
	kin []*authority
}

// anchor is one CA certificate of the bundle.
type anchor struct {
	cert      *x509.Certificate
	authority *authority

	// parents are the certificates of the bundle that have signed this one with another key than its own. x509 ends a
	// chain at any anchor; revocation goes on upwards from it through these.
	parents []*anchor
}

func newBundle(certs []*x509.Certificate) *bundle {
	b := &bundle{
		pool:      x509.NewCertPool(),
		bySubject: make(map[string][]*authority),
		byName:    make(map[string][]*authority),
	}
	for _, cert := range certs {
		b.add(cert)
	}
	b.linkParents()
	b.linkKin()
	return b
}

// add takes a certificate in unless the bundle has it already.
func (b *bundle) add(cert *x509.Certificate) {
	if b.find(cert) != nil {
		return
	}
	auth := b.authorityOf(cert)
	if auth == nil {
		auth = &authority{name: pki.CanonicalName(cert.RawSubject), publicKey: cert.RawSubjectPublicKeyInfo}
		b.byName[auth.name] = append(b.byName[auth.name], auth)
	}
	if subject := string(cert.RawSubject); !slices.Contains(b.bySubject[subject], auth) {
		b.bySubject[subject] = append(b.bySubject[subject], auth)
	}
	if maySignCRLs(cert) {
		auth.crlSigner = cert
	}
	auth.anchors = append(auth.anchors, &anchor{cert: cert, authority: auth})
	b.certs = append(b.certs, cert)
	b.pool.AddCert(cert)
}

// find returns the anchor that is exactly this certificate, or nil.
func (b *bundle) find(cert *x509.Certificate) *anchor {
	for _, auth := range b.bySubject[string(cert.RawSubject)] {
		for _, a := range auth.anchors {
			if a.cert.Equal(cert) {
				return a
			}
		}
	}
	return nil
}

// authorityOf returns the authority that the CA certificate stands for, or nil if the bundle does not know it.
func (b *bundle) authorityOf(ca *x509.Certificate) *authority {
	if auth := withKey(b.bySubject[string(ca.RawSubject)], ca.RawSubjectPublicKeyInfo); auth != nil {
		return auth
	}
	// A certificate that a client has sent may encode the name in another way.
	return withKey(b.byName[pki.CanonicalName(ca.RawSubject)], ca.RawSubjectPublicKeyInfo)
}

// withKey returns the authority that has the key, or nil.
func withKey(authorities []*authority, publicKey []byte) *authority {
	for _, auth := range authorities {
		if bytes.Equal(auth.publicKey, publicKey) {
			return auth
		}
	}
	return nil
}

// linkParents finds out which certificates of the bundle have signed which other one.
func (b *bundle) linkParents() {
	for _, cert := range b.certs {
		child := b.find(cert)
		if signer := b.signerOf(child); signer != nil && signer != child.authority {
			child.parents = slices.Clone(signer.anchors)
		}
	}
}

// signerOf returns the authority that has signed a certificate of the bundle, or nil. It may be its own.
//
// The signature is what counts, with whatever hash it was once made. Only one key has made it, so the search ends there. Key
// identifiers do not decide, as one key may have several: they say which keys to try first, so that of many
// authorities of one name each does not have to be tried for each.
func (b *bundle) signerOf(child *anchor) *authority {
	var named, own, others []*authority
	for _, auth := range b.byName[pki.CanonicalName(child.cert.RawIssuer)] {
		switch id := child.cert.AuthorityKeyId; {
		case len(id) > 0 && auth.hasKeyID(id):
			named = append(named, auth)
		case auth == child.authority:
			own = append(own, auth)
		default:
			others = append(others, auth)
		}
	}
	candidates := slices.Concat(named, own, others)
	if slices.Equal(candidates, []*authority{child.authority}) {
		return nil // it has signed itself, or another one that is not here
	}
	for _, auth := range candidates {
		if auth.hasSigned(child.cert) {
			return auth
		}
	}
	return nil
}

// hasSigned reports whether a certificate is signed with the key of the authority, which is the same in all its anchors.
func (auth *authority) hasSigned(cert *x509.Certificate) bool {
	return hasSigned(auth.anchors[0].cert, cert)
}

// linkKin finds out which authorities of one name chain to the same trust anchor.
func (b *bundle) linkKin() {
	for _, namesakes := range b.byName {
		above := make(map[*authority]map[*authority]bool)
		for _, auth := range namesakes {
			auth.kin = []*authority{auth}
			above[auth] = map[*authority]bool{}
			auth.climb(above[auth])
		}
		for _, auth := range namesakes {
			for _, other := range namesakes {
				if other != auth && intersect(above[auth], above[other]) {
					auth.kin = append(auth.kin, other)
				}
			}
		}
	}
}

// climb adds the authority and all above it to the set.
func (auth *authority) climb(set map[*authority]bool) {
	if set[auth] {
		return
	}
	set[auth] = true
	for _, a := range auth.anchors {
		for _, parent := range a.parents {
			parent.authority.climb(set)
		}
	}
}

func intersect(a, b map[*authority]bool) bool {
	for auth := range a {
		if b[auth] {
			return true
		}
	}
	return false
}

// maySignCRLs holds a CA to its key usage, when it has any (RFC 5280 §4.2.1.3).
func maySignCRLs(cert *x509.Certificate) bool {
	return cert.KeyUsage == 0 || cert.KeyUsage&x509.KeyUsageCRLSign != 0
}

// nameBytes returns how many bytes the names of the CAs take in a CertificateRequest, where each has its length before
// it (RFC 8446 §4.2.4, RFC 5246 §7.4.4).
func (b *bundle) nameBytes() int {
	n := 0
	for _, cert := range b.certs {
		n += 2 + len(cert.RawSubject)
	}
	return n
}

// mayHaveKey reports whether a key identifier is that of the authority, or whether that cannot be told.
func (auth *authority) mayHaveKey(id []byte) bool {
	return slices.ContainsFunc(auth.anchors, func(a *anchor) bool {
		return len(a.cert.SubjectKeyId) == 0 || bytes.Equal(a.cert.SubjectKeyId, id)
	})
}

// hasKeyID reports whether a certificate of the authority has the key identifier.
func (auth *authority) hasKeyID(id []byte) bool {
	return slices.ContainsFunc(auth.anchors, func(a *anchor) bool { return bytes.Equal(a.cert.SubjectKeyId, id) })
}
