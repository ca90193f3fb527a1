// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"time"
)

// Validity of what is made without the NotBefore and NotAfter options,
// measured from now.
const (
	defaultAge      = time.Hour
	defaultLifetime = 24 * time.Hour
)

// serialBits is the size of a random serial number: below the 20 octets that
// RFC 5280 §4.1.2.2 allows, above the 64 bits that CAs have to draw.
const serialBits = 127

// rsaBits is the key size that the RSA option makes.
const rsaBits = 2048

// Option changes what is about to be made. Later options win.
type Option func(*request)

// request is a certificate about to be signed.
type request struct {
	template x509.Certificate
	key      crypto.Signer
}

// RSA makes a new 2048-bit RSA key in place of ECDSA P-256. That takes a
// noticeable fraction of a second: share one with Key where it does not matter.
func RSA() Option {
	return func(r *request) { r.key = must(rsa.GenerateKey(rand.Reader, rsaBits)) }
}

// Key uses the given key instead of making one.
func Key(key crypto.Signer) Option {
	return func(r *request) { r.key = key }
}

// NotBefore is when the certificate becomes valid: by default an hour ago.
func NotBefore(t time.Time) Option {
	return func(r *request) { r.template.NotBefore = t }
}

// NotAfter is when the certificate expires: by default in 24 hours.
func NotAfter(t time.Time) Option {
	return func(r *request) { r.template.NotAfter = t }
}

// Serial is the serial number: by default a random one.
func Serial(n *big.Int) Option {
	return func(r *request) { r.template.SerialNumber = n }
}

// Server makes a certificate for TLS servers that is valid for the given host
// names and IP addresses.
func Server(hosts ...string) Option {
	return func(r *request) {
		r.template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		for _, host := range hosts {
			if ip := net.ParseIP(host); ip != nil {
				r.template.IPAddresses = append(r.template.IPAddresses, ip)
			} else {
				r.template.DNSNames = append(r.template.DNSNames, host)
			}
		}
	}
}

// ExtKeyUsage sets the extended key usages: by default client authentication
// for what Issue makes and none, which is any, for a CA.
func ExtKeyUsage(usages ...x509.ExtKeyUsage) Option {
	return func(r *request) { r.template.ExtKeyUsage = usages }
}

// Template changes anything else of the certificate before it is signed.
func Template(change func(*x509.Certificate)) Option {
	return func(r *request) { change(&r.template) }
}

// authority turns the request into one for a CA.
func authority(r *request) {
	r.template.IsCA = true
	r.template.BasicConstraintsValid = true
	r.template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
}

// client turns the request into one for a TLS client.
func client(r *request) {
	r.template.BasicConstraintsValid = true
	r.template.KeyUsage = x509.KeyUsageDigitalSignature
	r.template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
}

// newRequest applies the kind, then the options, to a request with defaults.
func newRequest(cn string, kind Option, opts []Option) *request {
	now := time.Now()
	r := &request{template: x509.Certificate{
		Subject:   pkix.Name{CommonName: cn},
		NotBefore: now.Add(-defaultAge),
		NotAfter:  now.Add(defaultLifetime),
	}}
	kind(r)
	for _, opt := range opts {
		opt(r)
	}
	if r.template.SerialNumber == nil {
		r.template.SerialNumber = randomSerial()
	}
	if r.key == nil {
		r.key = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	}
	if r.template.SubjectKeyId == nil {
		r.template.SubjectKeyId = keyID(r.key.Public())
	}
	return r
}

func randomSerial() *big.Int {
	n := must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits)))
	return n.Add(n, big.NewInt(1))
}

// keyID names a key as RFC 7093 §2 method 1 does, over the whole
// SubjectPublicKeyInfo: any value that is unique to the key will do.
func keyID(pub crypto.PublicKey) []byte {
	sum := sha256.Sum256(must(x509.MarshalPKIXPublicKey(pub)))
	return sum[:20]
}
