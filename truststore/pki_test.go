// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// volume is a directory with the four files of a trust store.
type volume struct {
	t   testing.TB
	dir string

	root   *certtest.CA
	server *certtest.Cert
}

// newVolume returns a volume with a good set: one root, its server certificate
// and its empty CRL with number 1.
func newVolume(t testing.TB) *volume {
	t.Helper()
	root := certtest.NewCA("root")
	v := &volume{t: t, dir: t.TempDir(), root: root, server: root.Issue("broker", certtest.Server("localhost"))}
	v.write("tls.crt", v.server.CertPEM())
	v.write("tls.key", v.server.KeyPEM())
	v.write("ca.crt", root.PEM())
	v.write("ca.crl", certtest.PEMEncodeCRL(root.CRL(certtest.CRLOptions{Number: 1})))
	return v
}

func (v *volume) path(name string) string { return filepath.Join(v.dir, name) }

// write puts the parts, one behind the other, into a file in place.
func (v *volume) write(name string, parts ...[]byte) {
	v.t.Helper()
	if err := os.WriteFile(v.path(name), slices.Concat(parts...), 0o600); err != nil {
		v.t.Fatal(err)
	}
}

func (v *volume) remove(name string) {
	v.t.Helper()
	if err := os.Remove(v.path(name)); err != nil {
		v.t.Fatal(err)
	}
}

// date sets when all files were written.
func (v *volume) date(when time.Time) {
	v.t.Helper()
	for _, name := range []string{"tls.crt", "tls.key", "ca.crt", "ca.crl"} {
		if err := os.Chtimes(v.path(name), when, when); err != nil {
			v.t.Fatal(err)
		}
	}
}

func (v *volume) config() truststore.Config {
	return truststore.Config{
		Certs: []string{v.path("tls.crt")},
		Keys:  []string{v.path("tls.key")},
		CAs:   []string{v.path("ca.crt")},
		CRLs:  []string{v.path("ca.crl")},
	}
}

// open opens a store, which must succeed.
func open(t testing.TB, config truststore.Config) *truststore.Store {
	t.Helper()
	store, err := truststore.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// verify asks the current generation about a device, which sends its chain.
func verify(store *truststore.Store, device *certtest.Cert) error {
	_, err := store.Current().Verify(device.Chain(), nil, time.Now())
	return err
}

// revoking returns a CRL of ca as PEM.
func revoking(ca *certtest.CA, number int64, certs ...*x509.Certificate) []byte {
	return certtest.PEMEncodeCRL(ca.CRL(certtest.CRLOptions{Number: number, Revoked: certs}))
}

// x25519Key returns a private key that is good for key exchange only.
func x25519Key(t testing.TB) []byte {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return block("PRIVATE KEY", der)
}

// Fields of an IssuingDistributionPoint (RFC 5280 §5.2.5) in DER.
var (
	usersOnlyField      = []byte{0x81, 1, 0xff}
	casOnlyField        = []byte{0x82, 1, 0xff}
	compromisedField    = []byte{0x83, 2, 5, 0x60}       // the reasons keyCompromise and cACompromise
	otherReasonsField   = []byte{0x83, 3, 7, 0x1f, 0x80} // all others
	indirectField       = []byte{0x84, 1, 0xff}
	attributeCertsField = []byte{0x85, 1, 0xff}
)

// pointField is the name of a distribution point: a URI, as fullName.
func pointField(uri string) []byte {
	n := byte(len(uri))
	return append([]byte{0xa0, n + 4, 0xa0, n + 2, 0x86, n}, uri...)
}

// distributionPoint returns the critical extension with these fields.
func distributionPoint(fields ...[]byte) []pkix.Extension {
	content := slices.Concat(fields...)
	return []pkix.Extension{{
		Id:       asn1.ObjectIdentifier{2, 5, 29, 28},
		Critical: true,
		Value:    append([]byte{0x30, byte(len(content))}, content...),
	}}
}

// deltaOf returns the critical extension of a delta to the complete list of a number, below 128 (RFC 5280 §5.2.4).
func deltaOf(base byte) []pkix.Extension {
	return []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, base}}}
}

// versionOne returns the certificate of the CA as one of version 1, which has no
// extensions (RFC 5280 §4.1.2.1). Its signature does not verify, which nobody
// asks of a root.
func versionOne(t testing.TB, ca *certtest.CA) *x509.Certificate {
	t.Helper()
	var tbs, element cryptobyte.String
	input := cryptobyte.String(ca.Cert.RawTBSCertificate)
	ok := input.ReadASN1(&tbs, cbasn1.SEQUENCE) && tbs.SkipASN1(cbasn1.Tag(0).ContextSpecific().Constructed())
	var old cryptobyte.Builder
	old.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for range 6 { // serialNumber up to subjectPublicKeyInfo
				var tag cbasn1.Tag
				ok = ok && tbs.ReadAnyASN1Element(&element, &tag)
				b.AddBytes(element)
			}
		})
		algorithm, err := asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}})
		b.SetError(err)
		b.AddBytes(algorithm) // ecdsa-with-SHA256
		b.AddASN1BitString(ca.Cert.Signature)
	})
	der, err := old.Bytes()
	if err != nil || !ok {
		t.Fatalf("taking the certificate apart: %v, %v", ok, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// pastHours is so many hours ago.
func pastHours(n int) time.Time { return time.Now().Add(-time.Duration(n) * time.Hour) }
