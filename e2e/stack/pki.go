// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vernegate/vernegate/truststore/certtest"
)

// PKI is a throw-away public key infrastructure: a root that signs the server and
// the devices, further CAs that are trusted for devices, and the root's revocation
// list. It changes in memory only; a [Folder] is where it becomes files. It is for
// one goroutine at a time.
type PKI struct {
	Root   *certtest.CA
	Server *certtest.Cert // for 127.0.0.1 and localhost

	trusted   []*x509.Certificate
	revoked   []*x509.Certificate
	crlNumber int64
}

// NewPKI makes a PKI that trusts its root and has revoked nothing.
func NewPKI() *PKI {
	root := certtest.NewCA("vernegate test root")
	return &PKI{
		Root:      root,
		Server:    root.Issue("vernegate", certtest.Server("127.0.0.1", "localhost")),
		trusted:   []*x509.Certificate{root.Cert},
		crlNumber: 1,
	}
}

// Trust adds a CA to the bundle.
func (p *PKI) Trust(ca *certtest.CA) { p.trusted = append(p.trusted, ca.Cert) }

// Revoke puts certificates that the root has signed on its next revocation list.
func (p *PKI) Revoke(certs ...*x509.Certificate) {
	p.revoked = append(p.revoked, certs...)
	p.crlNumber++
}

// Set returns the files as they should be now.
func (p *PKI) Set() Set {
	crl := p.Root.CRL(certtest.CRLOptions{Number: p.crlNumber, Revoked: p.revoked})
	return Set{
		Key:    p.Server.KeyPEM(),
		Cert:   p.Server.CertPEM(),
		CA:     p.Root.PEM(),
		Bundle: certtest.CertsPEM(p.trusted...),
		CRL:    certtest.PEMEncodeCRL(crl),
	}
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
