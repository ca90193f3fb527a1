// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// bundle is all CA certificates of a generation. Every one of them is a trust
// anchor, intermediates too: external CAs come without their root.
type bundle struct {
	certs       []*x509.Certificate
	pool        *x509.CertPool
	anchors     map[string][]*anchor    // by RawSubject
	authorities map[string][]*authority // by RawSubject
}

// authority is a CA as revocation sees it: a name with a key. All certificates
// of a CA that was re-issued or cross-signed share it, and with it the CRLs.
type authority struct {
	publicKey []byte            // RawSubjectPublicKeyInfo
	crlSigner *x509.Certificate // one that may sign CRLs, or nil
	crls      []*crl            // the newest of each scope
}

// lists returns the CRLs of the authority, none of an unknown one.
func (auth *authority) lists() []*crl {
	if auth == nil {
		return nil
	}
	return auth.crls
}

// anchor is one CA certificate of the bundle.
type anchor struct {
	cert      *x509.Certificate
	authority *authority

	// parents are the certificates of the bundle that have signed this one
	// with another key than its own. x509 ends a chain at any anchor;
	// revocation goes on upwards from it through these.
	parents []*anchor
}

// readBundle reads the CA files. Certificates that cannot be CAs are left out
// with a notice: as trust anchors they would vouch for themselves, and one of
// them in a bundle that many contribute to must not block it for everybody.
func readBundle(files []source, now time.Time) (*bundle, []notice, error) {
	b := &bundle{
		pool:        x509.NewCertPool(),
		anchors:     make(map[string][]*anchor),
		authorities: make(map[string][]*authority),
	}
	var notices []notice
	var mistakes []error
	for i := range files {
		more, err := b.readFile(&files[i], now)
		notices = append(notices, more...)
		mistakes = append(mistakes, err)
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, nil, err
	}
	if len(b.certs) == 0 {
		return nil, nil, errors.New("there is no CA certificate")
	}
	b.linkParents()
	return b, notices, nil
}

func (b *bundle) readFile(file *source, now time.Time) ([]notice, error) {
	var notices []notice
	err := eachBlock("CA", file, func(block *pem.Block) error {
		if block.Type != pemCertificate {
			return errUnexpectedType(block)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		about := []slog.Attr{slog.String("file", file.Path), slog.String("ca", cert.Subject.String())}
		switch {
		case !isCA(cert):
			notices = append(notices, notice{"certificate in the CA file is not a CA and is ignored", about})
			return nil
		case now.After(cert.NotAfter):
			about = append(about, slog.Time("not_after", cert.NotAfter))
			notices = append(notices, notice{"CA certificate has expired and verifies nothing", about})
		}
		b.add(cert)
		return nil
	})
	return notices, err
}

// isCA tells whether a certificate may issue others (RFC 5280 §4.2.1.9). Those
// from before version 3 cannot say it; they count when they are self-issued.
func isCA(cert *x509.Certificate) bool {
	if cert.Version < 3 {
		return bytes.Equal(cert.RawSubject, cert.RawIssuer)
	}
	return cert.BasicConstraintsValid && cert.IsCA
}

// add takes a certificate in unless the bundle has it already.
func (b *bundle) add(cert *x509.Certificate) {
	if b.find(cert) != nil {
		return
	}
	name := string(cert.RawSubject)
	auth := b.authorityOf(cert)
	if auth == nil {
		auth = &authority{publicKey: cert.RawSubjectPublicKeyInfo}
		b.authorities[name] = append(b.authorities[name], auth)
	}
	if maySignCRLs(cert) {
		auth.crlSigner = cert
	}
	b.anchors[name] = append(b.anchors[name], &anchor{cert: cert, authority: auth})
	b.certs = append(b.certs, cert)
	b.pool.AddCert(cert)
}

// find returns the anchor that is exactly this certificate, or nil.
func (b *bundle) find(cert *x509.Certificate) *anchor {
	for _, a := range b.anchors[string(cert.RawSubject)] {
		if a.cert.Equal(cert) {
			return a
		}
	}
	return nil
}

// authorityOf returns the authority that the CA certificate stands for, or nil
// if the bundle does not know it.
func (b *bundle) authorityOf(ca *x509.Certificate) *authority {
	for _, auth := range b.authorities[string(ca.RawSubject)] {
		if bytes.Equal(auth.publicKey, ca.RawSubjectPublicKeyInfo) {
			return auth
		}
	}
	return nil
}

// linkParents finds out who in the bundle has signed whom. The signature is
// what counts, with whatever hash it was once made.
func (b *bundle) linkParents() {
	for _, cert := range b.certs {
		child := b.find(cert)
		for _, parent := range b.anchors[string(cert.RawIssuer)] {
			if parent.authority != child.authority &&
				parent.cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil {
				child.parents = append(child.parents, parent)
			}
		}
	}
}

// signerOf returns the authority whose signature a CRL bears.
func (b *bundle) signerOf(list *crl, s *signed) (*authority, error) {
	candidates := b.authorities[string(list.rawIssuer)]
	if len(candidates) == 0 {
		return nil, fmt.Errorf("its issuer %q is no CA of the bundle", list.Issuer)
	}
	err := fmt.Errorf("its issuer %q is a CA that may not sign CRLs", list.Issuer)
	for _, auth := range candidates {
		if auth.crlSigner == nil {
			continue
		}
		wrong := s.check(auth.crlSigner)
		if wrong == nil {
			return auth, nil
		}
		err = fmt.Errorf("its signature does not verify with the key of its issuer %q: %w", list.Issuer, wrong)
	}
	return nil, err
}

// maySignCRLs holds a CA to its key usage, when it has any (RFC 5280 §4.2.1.3).
func maySignCRLs(cert *x509.Certificate) bool {
	return cert.KeyUsage == 0 || cert.KeyUsage&x509.KeyUsageCRLSign != 0
}
