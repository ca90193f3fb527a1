// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certtest

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
)

// CertsPEM returns the certificates as PEM blocks, in the given order.
func CertsPEM(certs ...*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, cert := range certs {
		out.Write(encodePEM("CERTIFICATE", cert.Raw))
	}
	return out.Bytes()
}

// PEMEncodeCRL returns a DER certificate revocation list as a PEM block.
func PEMEncodeCRL(der []byte) []byte { return encodePEM("X509 CRL", der) }

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
