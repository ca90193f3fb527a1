// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/vernegate/vernegate/internal/pki"
)

// PEM types that the files hold (RFC 7468, and what OpenSSL reads).
const (
	pemCertificate        = "CERTIFICATE"
	pemX509Certificate    = "X509 CERTIFICATE"
	pemTrustedCertificate = "TRUSTED CERTIFICATE"
	pemPKCS8Key           = "PRIVATE KEY"
	pemEncryptedKey       = "ENCRYPTED PRIVATE KEY"
	pemPKCS1Key           = "RSA PRIVATE KEY"
	pemSEC1Key            = "EC PRIVATE KEY"
	pemECParameters       = "EC PARAMETERS"
)

// eachBlock calls visit for every block of a PEM file of the given kind, with its position, counted from 1, and
// reports everything that visit does not like by file and block.
func eachBlock(kind string, file *source, visit func(position int, block *pem.Block) error) error {
	if file.err != nil {
		return fmt.Errorf("reading %s file: %w", kind, file.err)
	}
	blocks, err := pki.ReadPEM(file.data)
	if err != nil {
		return fmt.Errorf("%s file %s: %w", kind, file.Path, err)
	}
	var mistakes []error
	for i, block := range blocks {
		if err := visit(i+1, block); err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s file %s: PEM block %d: %w", kind, file.Path, i+1, err))
		}
	}
	return errors.Join(mistakes...)
}

// passedOver is the notice about a block that is not what its file is read for.
func passedOver(kind string, file *source, position int, block *pem.Block) Notice {
	return Notice{fmt.Sprintf("PEM block in the %s file is something else and is passed over", kind), []slog.Attr{
		slog.String("file", file.Path), slog.Int("block", position), slog.String("type", string(pki.Clip([]byte(block.Type)))),
	}}
}

// isKey reports whether a block holds a private key or, before one, its parameters.
func isKey(block *pem.Block) bool {
	return slices.Contains([]string{pemPKCS8Key, pemEncryptedKey, pemPKCS1Key, pemSEC1Key, pemECParameters}, block.Type)
}

// certificateOf returns the certificate in a block, and what OpenSSL's trust settings behind it say. It is not ok for
// blocks of another type.
func certificateOf(block *pem.Block) (der []byte, trusted trustSettings, ok bool) {
	switch block.Type {
	case pemCertificate, pemX509Certificate:
		return block.Bytes, trustSettings{}, true
	case pemTrustedCertificate:
		rest := cryptobyte.String(block.Bytes)
		var cert cryptobyte.String
		if !rest.ReadASN1Element(&cert, cbasn1.SEQUENCE) {
			return block.Bytes, trustSettings{}, true
		}
		return cert, readTrustSettings(rest), true
	}
	return nil, trustSettings{}, false
}

// trustSettings are the uses that a certificate is trusted for and those that it is not, as "openssl x509 -addtrust"
// and -addreject write them. None at all is every use.
type trustSettings struct {
	trust, reject []asn1.ObjectIdentifier
}

// The uses that are about TLS clients (RFC 5280 §4.2.1.12).
var oidsOfClients = []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 2}, {2, 5, 29, 37, 0}}

// forClients reports whether the settings allow to verify TLS clients.
func (t trustSettings) forClients() bool {
	isAboutClients := func(oid asn1.ObjectIdentifier) bool { return slices.ContainsFunc(oidsOfClients, oid.Equal) }
	return !slices.ContainsFunc(t.reject, isAboutClients) && (len(t.trust) == 0 || slices.ContainsFunc(t.trust, isAboutClients))
}

// readTrustSettings reads the beginning of an X509_CERT_AUX: SEQUENCE { SEQUENCE OF OID, [0] SEQUENCE OF OID, … }, all
// of it optional.
func readTrustSettings(der cryptobyte.String) (t trustSettings) {
	var settings, trust, reject cryptobyte.String
	var has bool
	if !der.ReadASN1(&settings, cbasn1.SEQUENCE) || !settings.ReadOptionalASN1(&trust, &has, cbasn1.SEQUENCE) ||
		!settings.ReadOptionalASN1(&reject, &has, cbasn1.Tag(0).ContextSpecific().Constructed()) {
		return t
	}
	return trustSettings{readOIDs(trust), readOIDs(reject)}
}

func readOIDs(der cryptobyte.String) (oids []asn1.ObjectIdentifier) {
	for !der.Empty() {
		var oid asn1.ObjectIdentifier
		if !der.ReadASN1ObjectIdentifier(&oid) {
			return oids
		}
		oids = append(oids, oid)
	}
	return oids
}
