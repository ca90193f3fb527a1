// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/vernegate/vernegate/internal/pki"
)

// maxRSABits bounds the keys of CAs. crypto/rsa takes longer ones, but with 131 072 bits a signature takes a second to
// check. CAs have 4096, and OpenSSL refuses more than 16 384, too (OPENSSL_RSA_MAX_MODULUS_BITS).
const maxRSABits = 16384

// caFile is what a file of CA certificates holds.
type caFile struct {
	certs   []*x509.Certificate
	notices []Notice
}

// lacks says which CA certificate of an earlier version a file does not hold any more, or nothing.
func (f *caFile) lacks(earlier *caFile) string {
	for _, cert := range earlier.certs {
		if !slices.ContainsFunc(f.certs, cert.Equal) {
			return fmt.Sprintf("CA certificate %q", pki.SubjectOf(cert))
		}
	}
	return ""
}

// readCAFile reads a file of CA certificates. Those that verify nothing are left out with a notice: one of them in a
// bundle that many contribute to must not block it for everybody. So are those that cannot be CAs: as trust anchors they
// would vouch for themselves.
//
// A file without any certificate is refused: it is being written, or was lost. Whoever means to remove all CAs of a file takes
// the file out of the configuration.
func readCAFile(file *source, now time.Time) (*caFile, error) {
	f, found := new(caFile), false
	err := eachBlock("CA", file, func(position int, block *pem.Block) error {
		der, trusted, ok := certificateOf(block)
		switch {
		case !ok:
			f.notices = append(f.notices, passedOver("CA", file, position, block))
			return nil
		case isCut(der):
			return errors.New("the certificate is not complete")
		default:
			f.add(file.Path, position, der, trusted, now)
		}
		found = true
		return nil
	})
	if err == nil && !found {
		err = fmt.Errorf("CA file %s holds no certificate", file.Path)
	}
	if found && len(f.certs) == 0 {
		f.notices = append(f.notices, Notice{"CA file holds no CA certificate that can be used", []slog.Attr{slog.String("file", file.Path)}})
	}
	return f, err
}

// add takes a certificate, or leaves it out with a notice.
func (f *caFile) add(path string, position int, der []byte, trusted trustSettings, now time.Time) {
	note := func(message string, more ...slog.Attr) {
		about := []slog.Attr{slog.String("file", path), slog.Int("block", position), slog.String("ca", subjectOf(der))}
		f.notices = append(f.notices, Notice{message, append(about, more...)})
	}
	cert, err := x509.ParseCertificate(der)
	if err == nil {
		err = verifiesNothing(cert)
	}
	switch {
	case err != nil:
		note("CA certificate cannot be used and is left out", slog.String("err", err.Error()))
		return
	case !isCA(cert):
		note("certificate in the CA file is not a CA and is ignored")
		return
	case !trusted.forClients():
		note("CA certificate is not trusted for TLS clients, as its trust settings say, and is left out")
		return
	case now.After(cert.NotAfter):
		note("CA certificate has expired and verifies nothing", slog.Time("not_after", cert.NotAfter))
	case cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0:
		note("CA certificate may not sign certificates, as its key usage says, and verifies none")
	}
	f.certs = append(f.certs, cert)
}

// isCA reports whether a certificate may issue others (RFC 5280 §4.2.1.9). Those from before version 3 cannot say it;
// they count when they are self-issued.
func isCA(cert *x509.Certificate) bool {
	if cert.Version < 3 {
		return bytes.Equal(cert.RawSubject, cert.RawIssuer)
	}
	return cert.BasicConstraintsValid && cert.IsCA
}

// verifiesNothing says why no chain that ends at the certificate ever verifies, or would take too long to, although
// crypto/x509 can read it.
func verifiesNothing(cert *x509.Certificate) error {
	if len(cert.UnhandledCriticalExtensions) > 0 {
		return x509.UnhandledCriticalExtension{}
	}
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits > maxRSABits {
			return fmt.Errorf("its RSA key has %d bits, more than %d", bits, maxRSABits)
		}
		// What keeps crypto/rsa from using a key at all, such as its size, comes before the signature is looked at.
		digest := sha256.Sum256(nil)
		err := rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], make([]byte, key.Size()))
		if errors.Is(err, rsa.ErrVerification) {
			return nil
		}
		return err
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return nil
	case nil:
		return errors.New("its key is of an unknown algorithm")
	default:
		return fmt.Errorf("its key is a %T, with which nothing is verified", key)
	}
}

// isCut reports whether DER ends before the element that it begins with does.
func isCut(der []byte) bool {
	if len(der) < 2 {
		return true
	}
	size, length := 2, int(der[1])
	if der[1] > 0x80 && der[1] <= 0x84 { // the long form (X.690 §8.1.3.5); a longer one is odd, and not a file's end
		octets := int(der[1] & 0x7f)
		if len(der) < size+octets {
			return true
		}
		length = 0
		for _, octet := range der[size : size+octets] {
			length = length<<8 | int(octet)
		}
		size += octets
	}
	return der[0] == 0x30 && der[1] <= 0x84 && len(der) < size+length
}

// subjectOf names a certificate that crypto/x509 may not be able to read (RFC 5280 §4.1).
func subjectOf(der []byte) string {
	input := cryptobyte.String(der)
	var cert, tbs, subject cryptobyte.String
	if !input.ReadASN1(&cert, asn1.SEQUENCE) || !cert.ReadASN1(&tbs, asn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(asn1.Tag(0).ContextSpecific().Constructed()) || // version
		!tbs.SkipASN1(asn1.INTEGER) || // serialNumber
		!tbs.SkipASN1(asn1.SEQUENCE) || // signature
		!tbs.SkipASN1(asn1.SEQUENCE) || // issuer
		!tbs.SkipASN1(asn1.SEQUENCE) || // validity
		!tbs.ReadASN1Element(&subject, asn1.SEQUENCE) {
		return "?"
	}
	return pki.NameString(subject)
}
