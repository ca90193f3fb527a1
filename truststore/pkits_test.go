// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// notParsed are the certificates of the suite that crypto/x509 refuses to parse, and so does the TLS server.
var notParsed = map[string]string{
	"InvalidNegativeSerialNumberTest15EE": "negative serial number",
	"ValiddistributionPointTest4EE":       "invalid CRL distribution point", // a name relative to the issuer
	"ValiddistributionPointTest5EE":       "invalid CRL distribution point",
	"InvaliddistributionPointTest6EE":     "invalid CRL distribution point",
	"ValidcRLIssuerTest29EE":              "invalid CRL distribution point",
}

// notSupported are the certificates of the suite that are good, and are refused where every one has to have a list: theirs
// is an indirect CRL, or signed by a certificate that is for that alone.
var notSupported = map[string]bool{
	"ValidIDPwithindirectCRLTest22EE":              true,
	"ValidIDPwithindirectCRLTest24EE":              true,
	"ValidIDPwithindirectCRLTest25EE":              true,
	"ValidcRLIssuerTest28EE":                       true,
	"ValidcRLIssuerTest30EE":                       true,
	"ValidcRLIssuerTest33EE":                       true,
	"ValidSeparateCertificateandCRLKeysTest19EE":   true,
	"InvalidSeparateCertificateandCRLKeysTest20EE": true,
}

// TestPKITS has the sections of NIST's suite that are about revocation: 4.4 (basic tests), 4.14 (distribution points) and
// 4.15 (deltas). All of its lists and CAs are in use at once, and the rules are as strict as those of the suite.
func TestPKITS(t *testing.T) {
	t.Parallel()
	files := func(folder string) (list []string) {
		list, err := filepath.Glob(filepath.Join("testdata", "pkits", folder, "*"))
		if err != nil || len(list) == 0 {
			t.Fatalf("%d files, %v", len(list), err)
		}
		return list
	}
	read := func(path string) []byte {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	var cas []*x509.Certificate
	certs := map[string]*x509.Certificate{}
	for _, path := range files("certs") {
		name := strings.TrimSuffix(filepath.Base(path), ".crt")
		cert, err := x509.ParseCertificate(read(path))
		switch why := notParsed[name]; {
		case err != nil && (why == "" || !strings.Contains(err.Error(), why)), err == nil && why != "":
			t.Errorf("%s: got %v, want %q", name, err, why)
		case err != nil:
		case strings.HasSuffix(name, "EE"):
			certs[name] = cert
		default:
			cas = append(cas, cert)
		}
	}
	var crls [][]byte
	for _, path := range files("crls") {
		crls = append(crls, certtest.PEMEncodeCRL(read(path)))
	}
	v := newVolume(t)
	v.write("ca.crt", certtest.CertsPEM(cas...))
	v.write("ca.crl", crls...)
	config := v.config()
	config.CRLMissing, config.CRLExpired = truststore.Deny, truststore.Deny
	store, err := truststore.Open(t.Context(), config) // which refuses those that are bad
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC) // all of them are valid until 2030
	for name, cert := range certs {
		_, err := store.Current().Verify([]*x509.Certificate{cert}, nil, at)
		good := strings.HasPrefix(name, "Valid") && !notSupported[name]
		switch {
		case (err == nil) != good:
			t.Errorf("%s: got %v", name, err)
		case err != nil && !errors.Is(err, pki.ErrRevoked) && !errors.Is(err, pki.ErrRevocationUnknown):
			t.Errorf("%s: got %v, which is not about its revocation", name, err)
		}
	}
	if len(certs) < 55 {
		t.Errorf("only %d certificates were tried", len(certs))
	}
}
