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
	return store.Current().Verify(device.Chain(), nil, time.Now())
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
	someReasonsField    = []byte{0x83, 2, 0, 0x40}
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
