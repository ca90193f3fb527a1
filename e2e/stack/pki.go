// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vernegate/vernegate/truststore/certtest"
)

// PKI is a throw-away public key infrastructure: a root that signs the server and
// the devices, further CAs that are trusted for devices, and the revocation list of
// each. It changes in memory only; a [Folder] is where it becomes files. It is for
// one goroutine at a time.
type PKI struct {
	Root   *certtest.CA
	Server *certtest.Cert // for 127.0.0.1 and localhost

	authorities []*authority // the root first
}

// authority is a CA that devices may come from.
type authority struct {
	ca      *certtest.CA
	revoked []*x509.Certificate
	number  int64 // of its next list
}

// NewPKI makes a PKI that trusts its root and has revoked nothing.
func NewPKI() *PKI {
	root := certtest.NewCA("vernegate test root")
	p := &PKI{Root: root, Server: root.Issue("vernegate", certtest.Server("127.0.0.1", "localhost"))}
	p.Trust(root)
	return p
}

// Trust adds a CA to the bundle, and its list to the lists.
func (p *PKI) Trust(ca *certtest.CA) {
	p.authorities = append(p.authorities, &authority{ca: ca, number: 1})
}

// Distrust takes a CA out of the bundle, and its list out of the lists.
func (p *PKI) Distrust(ca *certtest.CA) {
	p.authorities = slices.DeleteFunc(p.authorities, func(a *authority) bool { return a.ca == ca })
}

// Revoke puts certificates on the next lists of the CAs that have signed them. It
// panics if one of those is not trusted.
func (p *PKI) Revoke(certs ...*x509.Certificate) {
	for _, cert := range certs {
		i := slices.IndexFunc(p.authorities, func(a *authority) bool {
			return bytes.Equal(a.ca.Cert.SubjectKeyId, cert.AuthorityKeyId) // names may be encoded in several ways
		})
		if i < 0 {
			panic("stack: revoking a certificate of " + cert.Issuer.String() + ", which is not trusted")
		}
		issuer := p.authorities[i]
		issuer.revoked = append(issuer.revoked, cert)
		issuer.number++
	}
}

// Set returns the files as they should be now.
func (p *PKI) Set() Set {
	s := Set{Key: p.Server.KeyPEM(), Cert: p.Server.CertPEM(), CA: p.Root.PEM()}
	for _, a := range p.authorities {
		list := a.ca.CRL(certtest.CRLOptions{Number: a.number, Revoked: a.revoked})
		s.Bundle = append(s.Bundle, a.ca.PEM()...)
		s.CRL = append(s.CRL, certtest.PEMEncodeCRL(list)...)
	}
	return s
}

// ClientTLS is how a device with that certificate connects: it believes the root
// and shows its chain, whichever CAs it is asked for. nil shows none.
func (p *PKI) ClientTLS(device *certtest.Cert) *tls.Config {
	config := &tls.Config{RootCAs: p.Root.Pool(), ServerName: "127.0.0.1"}
	if device != nil {
		chain := device.TLS()
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &chain, nil }
	}
	return config
}

// WriteDevice writes what a command-line client needs into dir, with names that
// begin with name, and returns the options of mosquitto_pub and mosquitto_sub for it.
func (p *PKI) WriteDevice(dir, name string, device *certtest.Cert) ([]string, error) {
	ca := filepath.Join(dir, name+"-ca.crt")
	cert := filepath.Join(dir, name+".crt")
	key := filepath.Join(dir, name+".key")
	for path, content := range map[string][]byte{
		ca:   p.Root.PEM(),
		cert: device.CertPEM(),
		key:  device.KeyPEM(),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return nil, fmt.Errorf("writing the files of %s: %w", name, err)
		}
	}
	return []string{"--cafile", ca, "--cert", cert, "--key", key}, nil
}

// Fingerprint is a certificate's name at certificate-acl: the SHA-256 of its DER in
// upper-case hex, joined by colons.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	hex := make([]string, len(sum))
	for i, b := range sum {
		hex[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(hex, ":")
}
