// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/internal/untrusted"
)

// maxCertFile bounds the file of a device's certificate, in bytes: more than a device may send.
const maxCertFile = 256 << 10

// readClientCertificates reads what a device would send: its own certificate and, behind it, CAs that lead to one of the bundle. A
// file has them in PEM, or its own alone in DER. An error names the file.
func readClientCertificates(path string) ([]*x509.Certificate, error) {
	content, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	sent, err := parseClientCertificates(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return sent, nil
}

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxCertFile+1))
	if err == nil && len(content) > maxCertFile {
		err = fmt.Errorf("%s is larger than %d bytes, expected the certificate of one device", path, maxCertFile)
	}
	return content, err
}

func parseClientCertificates(content []byte) ([]*x509.Certificate, error) {
	if len(content) > 0 && content[0] == 0x30 { // the SEQUENCE that a certificate is in DER
		leaf, err := x509.ParseCertificate(content)
		if err != nil {
			return nil, fmt.Errorf("no certificate in DER: %w", err)
		}
		return []*x509.Certificate{leaf}, nil
	}
	blocks, err := pki.ReadPEM(content)
	if err != nil {
		return nil, err
	}
	var sent []*x509.Certificate
	var others []string
	for _, block := range blocks {
		if block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" {
			others = append(others, untrusted.Text(block.Type))
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(sent)+1, err)
		}
		sent = append(sent, cert)
	}
	if len(sent) == 0 {
		return nil, noCertificate(others)
	}
	return sent, onlyCAs(sent[1:])
}

// noCertificate says what a file holds in place of a certificate.
func noCertificate(others []string) error {
	if len(others) == 0 {
		return errors.New("no certificate in it, expected one in PEM or DER")
	}
	found := strings.Join(others, ", ")
	if strings.Contains(found, "PRIVATE KEY") {
		return fmt.Errorf("no certificate in it, but a key (%s), expected the certificate that belongs to it", found)
	}
	return fmt.Errorf("no certificate in it, but %s", found)
}

// onlyCAs refuses the certificate of a second device, or that of the first behind its CA.
func onlyCAs(behind []*x509.Certificate) error {
	for i, cert := range behind {
		if !cert.IsCA && cert.Version >= 3 { // before, certificates did not say it
			return fmt.Errorf("certificate %d, %q, is not a CA, expected that of one device first and CAs behind it",
				i+2, untrusted.Text(pki.SubjectOf(cert)))
		}
	}
	return nil
}
