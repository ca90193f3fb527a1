// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certtest_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/vernegate/vernegate/truststore/certtest"
)

func TestIssuedCertificateVerifiesThroughIntermediates(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	device := root.Intermediate("region").Intermediate("devices").Issue("acme:lamp")

	intermediates := x509.NewCertPool()
	for _, cert := range device.Chain()[1:] {
		intermediates.AddCert(cert)
	}
	chains, err := device.Leaf.Verify(x509.VerifyOptions{
		Roots:         root.Pool(),
		Intermediates: intermediates,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(chains[0]), 4; got != want {
		t.Errorf("chain of %d certificates, want %d", got, want)
	}
}

func TestServerCertificateIsValidForItsHosts(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	server := root.Issue("broker", certtest.Server("broker.test", "127.0.0.1"))
	for _, host := range []string{"broker.test", "127.0.0.1"} {
		_, err := server.Leaf.Verify(x509.VerifyOptions{Roots: root.Pool(), DNSName: host})
		if err != nil {
			t.Errorf("verifying for %s: %v", host, err)
		}
	}
}

func TestPEMIsAKeyPair(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	for name, cert := range map[string]*certtest.Cert{
		"ECDSA": root.Issue("ecdsa"),
		"RSA":   root.Issue("rsa", certtest.RSA()),
	} {
		pair, err := tls.X509KeyPair(cert.CertPEM(), cert.KeyPEM())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, want := pair.Leaf.SerialNumber, cert.TLS().Leaf.SerialNumber; got.Cmp(want) != 0 {
			t.Errorf("%s: serial %v, want %v", name, got, want)
		}
	}
}

func TestOptionsEndUpInTheCertificate(t *testing.T) {
	t.Parallel()
	from := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	until := from.AddDate(0, 0, 1)
	root := certtest.NewCA("root")
	again := root.Intermediate("again", certtest.Key(root.Key))
	leaf := again.Issue("leaf",
		certtest.NotBefore(from), certtest.NotAfter(until),
		certtest.Serial(big.NewInt(77)),
		certtest.ExtKeyUsage(x509.ExtKeyUsageAny),
		certtest.Template(func(c *x509.Certificate) { c.Subject.Organization = []string{"acme"} }),
	).Leaf
	if !leaf.NotBefore.Equal(from) || !leaf.NotAfter.Equal(until) {
		t.Errorf("valid from %v to %v, want %v to %v", leaf.NotBefore, leaf.NotAfter, from, until)
	}
	if leaf.SerialNumber.Int64() != 77 || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageAny || leaf.Subject.Organization[0] != "acme" {
		t.Errorf("got serial %v, usage %v, subject %v", leaf.SerialNumber, leaf.ExtKeyUsage, leaf.Subject)
	}
	if err := leaf.CheckSignatureFrom(root.Cert); err != nil {
		t.Errorf("signed with the shared key: %v", err)
	}
}

func TestCRLIsAsOrdered(t *testing.T) {
	t.Parallel()
	for name, root := range map[string]*certtest.CA{
		"ECDSA": certtest.NewCA("root"),
		"RSA":   certtest.NewCA("root", certtest.RSA()),
	} {
		device := root.Issue("lamp")
		until := time.Date(2051, 1, 1, 0, 0, 0, 0, time.UTC)
		der := root.CRL(certtest.CRLOptions{
			Number:     5,
			NextUpdate: until,
			Revoked:    []*x509.Certificate{device.Leaf},
			Serials:    []*big.Int{big.NewInt(128)},
			Fill:       2,
		})
		crl, err := x509.ParseRevocationList(der)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := crl.CheckSignatureFrom(root.Cert); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if crl.Number.Int64() != 5 || !crl.NextUpdate.Equal(until) {
			t.Errorf("%s: number %v, next update %v; want 5 and %v", name, crl.Number, crl.NextUpdate, until)
		}
		want := []*big.Int{device.Leaf.SerialNumber, big.NewInt(128), certtest.FillSerial(0), certtest.FillSerial(1)}
		if len(crl.RevokedCertificateEntries) != len(want) {
			t.Fatalf("%s: %d entries, want %d", name, len(crl.RevokedCertificateEntries), len(want))
		}
		for i, entry := range crl.RevokedCertificateEntries {
			if entry.SerialNumber.Cmp(want[i]) != 0 {
				t.Errorf("%s: entry %d has serial %v, want %v", name, i, entry.SerialNumber, want[i])
			}
		}
	}
}

func TestWrongSignatureDoesNotVerify(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	crl, err := x509.ParseRevocationList(root.CRL(certtest.CRLOptions{WrongSignature: true}))
	if err != nil {
		t.Fatal(err)
	}
	if err := crl.CheckSignatureFrom(root.Cert); err == nil {
		t.Error("the spoiled signature verifies")
	}
}

func TestPEMEncodeCRL(t *testing.T) {
	t.Parallel()
	der := certtest.NewCA("root").CRL(certtest.CRLOptions{})
	block, rest := pem.Decode(certtest.PEMEncodeCRL(der))
	if block == nil || block.Type != "X509 CRL" || string(block.Bytes) != string(der) || len(rest) != 0 {
		t.Errorf("got block %v and %d bytes more", block, len(rest))
	}
}
