// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package certtest is a certificate authority for tests and demonstrations,
// shaped like net/http/httptest: it needs no testing.TB, returns ready values
// and panics where only a wrong call can make it fail.
//
//	root := certtest.NewCA("root")
//	server := root.Issue("broker", certtest.Server("127.0.0.1", "localhost"))
//	device := root.Intermediate("devices").Issue("acme:lamp", certtest.RSA())
//	crl := root.CRL(certtest.CRLOptions{Number: 7, Revoked: []*x509.Certificate{device.Leaf}})
//
// Times are read from time.Now, so inside a testing/synctest bubble everything
// is valid around the bubble's clock. All values are read-only once made and
// may be shared between goroutines. Nothing here is fit for real use: keys live
// in memory and everything is signed that a test asks for.
package certtest

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"slices"
)

// CA is a certificate authority: a root made by NewCA or an intermediate
// issued by another CA.
type CA struct {
	Cert *x509.Certificate
	Key  crypto.Signer

	// chain is what a certificate issued by this CA is sent with: the
	// intermediates from this CA upwards, without the root.
	chain []*x509.Certificate
}

// NewCA makes a self-signed root.
func NewCA(cn string, opts ...Option) *CA {
	r := newRequest(cn, authority, opts)
	return &CA{Cert: r.sign(&r.template, r.key), Key: r.key}
}

// Intermediate makes a CA that ca has signed. Given Key with the key of an
// existing CA and the same name, it is a cross-signed or re-issued one.
func (ca *CA) Intermediate(cn string, opts ...Option) *CA {
	r := newRequest(cn, authority, opts)
	cert := r.sign(ca.Cert, ca.Key)
	return &CA{Cert: cert, Key: r.key, chain: slices.Concat([]*x509.Certificate{cert}, ca.chain)}
}

// Issue makes a certificate for TLS clients, or what the options say.
func (ca *CA) Issue(cn string, opts ...Option) *Cert {
	r := newRequest(cn, client, opts)
	return &Cert{Leaf: r.sign(ca.Cert, ca.Key), Key: r.key, chain: ca.chain}
}

// PEM returns the certificate of ca alone.
func (ca *CA) PEM() []byte { return CertsPEM(ca.Cert) }

// Pool returns a new pool that trusts ca alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert)
	return pool
}

// sign has the parent issue the requested certificate.
func (r *request) sign(parent *x509.Certificate, signer crypto.Signer) *x509.Certificate {
	der := must(x509.CreateCertificate(rand.Reader, &r.template, parent, r.key.Public(), signer))
	return must(x509.ParseCertificate(der))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic("certtest: " + err.Error())
	}
	return v
}
