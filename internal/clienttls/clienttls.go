// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package clienttls reads what vernegate needs to be a client of TLS itself, towards
// brokers and certificate-acl: the CAs that it believes and the certificate that it
// shows. Package lastgood follows the files.
package clienttls

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/vernegate/vernegate/internal/pki"
)

// Sources are the files.
type Sources struct {
	CAs  []string // CA certificates in PEM; none = the roots of the system
	Cert string   // the certificate to show with its intermediates, in PEM; "" = none is shown
	Key  string   // of Cert, in PEM
}

// Paths returns the files in the order in which Read wants their contents.
func (s Sources) Paths() []string {
	paths := append([]string(nil), s.CAs...)
	if s.Cert != "" {
		paths = append(paths, s.Cert, s.Key)
	}
	return paths
}

// Credentials are what the files say. They do not change.
type Credentials struct {
	CAs  []*x509.Certificate // nil = the roots of the system
	Pair *tls.Certificate    // nil = none is shown

	config *tls.Config
}

// Config returns the configuration of connections, from TLS 1.2 on and without a server
// name. It is always the same one, and must not be changed but in a clone.
func (c *Credentials) Config() *tls.Config { return c.config }

// Read reads the contents of s.Paths(). The error says everything that is wrong, by path.
func (s Sources) Read(contents [][]byte) (*Credentials, error) {
	c := &Credentials{config: &tls.Config{
		MinVersion: tls.VersionTLS12,
		// Small records at first are for pages that can be shown in part.
		DynamicRecordSizingDisabled: true,
	}}
	var mistakes []error
	for i, path := range s.CAs {
		cas, err := readCAs(path, contents[i])
		c.CAs = append(c.CAs, cas...)
		mistakes = append(mistakes, err)
	}
	if s.Cert != "" {
		rest := contents[len(s.CAs):]
		pair, err := s.readPair(rest[0], rest[1])
		c.Pair = pair
		mistakes = append(mistakes, err)
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, err
	}
	c.configure()
	return c, nil
}

// configure puts what was read into the configuration.
func (c *Credentials) configure() {
	if len(c.CAs) > 0 {
		c.config.RootCAs = x509.NewCertPool()
		for _, ca := range c.CAs {
			c.config.RootCAs.AddCert(ca)
		}
	}
	if c.Pair != nil {
		// Whichever CAs the server asks for: a server that does not believe this one says so in an alert, which tells
		// more than that a certificate is missing.
		c.config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.Pair, nil }
	}
}

// readCAs reads a file with at least one certificate, and nothing but certificates.
func readCAs(path string, content []byte) (cas []*x509.Certificate, err error) {
	blocks, err := pki.ReadPEM(content)
	if err != nil {
		return nil, fmt.Errorf("CA file %s: %w", path, err)
	}
	for i, block := range blocks {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("CA file %s: PEM block %d is of type %q, expected a certificate", path, i+1, pki.Clip([]byte(block.Type)))
		}
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("CA file %s: PEM block %d: %w", path, i+1, err)
		}
		cas = append(cas, ca)
	}
	if len(cas) == 0 {
		return nil, fmt.Errorf("CA file %s holds no certificate", path)
	}
	return cas, nil
}

// readPair reads the certificate to show and its key.
func (s Sources) readPair(cert, key []byte) (*tls.Certificate, error) {
	if err := errors.Join(wholePEM("certificate", s.Cert, cert), wholePEM("key", s.Key, key)); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(pki.WithoutBOM(cert), pki.WithoutBOM(key))
	if err != nil {
		return nil, fmt.Errorf("certificate file %s with key file %s: %w", s.Cert, s.Key, err)
	}
	return &pair, nil
}

// wholePEM refuses a file that ends in the middle of a block, as one that is being
// written does: crypto/tls would pass over the piece, an intermediate perhaps.
func wholePEM(kind, path string, content []byte) error {
	blocks, err := pki.ReadPEM(content)
	if err == nil && len(blocks) == 0 {
		err = errors.New("holds no PEM block")
	}
	if err != nil {
		return fmt.Errorf("%s file %s: %w", kind, path, err)
	}
	for _, block := range blocks {
		if isEncrypted(block) {
			return fmt.Errorf("%s file %s: the private key is encrypted", kind, path)
		}
	}
	return nil
}

func isEncrypted(block *pem.Block) bool {
	return block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != ""
}
