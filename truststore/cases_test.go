// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// A scene is the files of one kind of trouble, as a server finds them.
type scene struct {
	*volume
	from string // a folder in testdata/cases
}

// newScene puts the good files of a folder where a server reads them.
func newScene(t *testing.T, from string) *scene {
	t.Helper()
	s := &scene{&volume{t: t, dir: t.TempDir()}, filepath.Join("testdata", "cases", from)}
	for name, file := range map[string]string{"tls.crt": "server.crt", "tls.key": "server.key", "ca.crt": "ca.crt", "ca.crl": "ca.crl"} {
		s.put(file, name)
	}
	return s
}

// put puts a file of the folder in the place of another.
func (s *scene) put(file, name string) {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.from, file))
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(name, data)
}

// connects has a device of the folder connect, and returns why it is refused.
func (s *scene) connects(store *truststore.Store, device string) error {
	s.t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(s.from, device+".crt"), filepath.Join(s.from, device+".key"))
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = bothVersions(s.t, store.Current(), pair)
	return err
}

func TestUnrelatedFilesDoNotBlockRevocation(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		before, after func(*scene)
		revoked       string
		notice        string
	}{
		"an expired server certificate": {
			func(s *scene) { s.put("server-expired.crt", "tls.crt"); s.put("server-expired.key", "tls.key") },
			func(s *scene) { s.put("ca-revoked.crl", "ca.crl") },
			"device", "server certificate is not valid now and is used nevertheless",
		},
		"the list of a removed CA": {
			func(s *scene) { s.put("ca-two.crt", "ca.crt"); s.put("ca-two.crl", "ca.crl") },
			func(s *scene) { s.put("ca.crt", "ca.crt") },
			"device-of-compromised", "CRL is not needed and is passed over",
		},
		"a delta list": {
			func(*scene) {},
			func(s *scene) { s.put("ca-with-delta.crl", "ca.crl") },
			"", "", // it applies
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, "unrelated")
			row.before(s)
			store := open(t, s.config())
			if row.revoked != "" {
				if err := s.connects(store, row.revoked); err != nil {
					t.Fatalf("before: %v", err)
				}
			}
			row.after(s)
			if err := store.Reload(t.Context()); err != nil {
				t.Errorf("reload: %v", err)
			}
			if row.revoked != "" {
				if err := s.connects(store, row.revoked); err == nil {
					t.Error("the device is let in")
				}
			}
			if !strings.Contains(fmt.Sprint(store.Notices()), row.notice) {
				t.Errorf("notices %v, want one that says %q", store.Notices(), row.notice)
			}
			if got := store.Current().CRLs(); len(got) == 0 || got[0].Number.Int64() < 2 && name != "the list of a removed CA" {
				t.Errorf("CRLs %v, want the new one", got)
			}
		})
	}
}

func TestOddCAsAreLeftOutByName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"brainpool":            "elliptic curve",
		"duplicate-extension":  "duplicate extension",
		"negative-serial":      "negative serial number",
		"underscore-printable": "PrintableString",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, "odd-ca")
			s.put("ca-"+name+".crt", "ca.crt")
			store := open(t, s.config())
			if err := s.connects(store, "device"); err != nil {
				t.Errorf("the device of the good CA: %v", err)
			}
			notices := store.Notices()
			if len(notices) != 1 || !strings.Contains(notices[0].String(), "CA certificate cannot be used and is left out") ||
				!strings.Contains(notices[0].String(), "ca=CN=") || !strings.Contains(notices[0].String(), want) {
				t.Errorf("notices %v, want one that names the CA and says %q", notices, want)
			}
		})
	}
}

func TestCAsWithLongRSAKeysAreLeftOut(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA("devices")
	for bits, ok := range map[uint]bool{16384: true, 16385: false} {
		n := new(big.Int).Lsh(big.NewInt(1), bits)
		n.Sub(n, big.NewInt(1)) // which is odd
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "long"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		}, ca.Cert, &rsa.PublicKey{N: n, E: 65537}, ca.Key)
		if err != nil {
			t.Fatal(err)
		}
		v := newVolume(t)
		v.write("ca.crt", ca.PEM(), block("CERTIFICATE", der))
		leftOut := slices.ContainsFunc(open(t, v.config()).Notices(), func(n truststore.Notice) bool {
			return strings.Contains(n.String(), "left out: ") && strings.Contains(n.String(), `ca=CN=long, err=its RSA key has 16385 bits, more than 16384`)
		})
		if leftOut == ok {
			t.Errorf("%d bits: left out is %v, want %v", bits, leftOut, !ok)
		}
	}
}

func TestIssuerOfACRLMayBeEncodedInAnotherWay(t *testing.T) {
	t.Parallel()
	s := newScene(t, "issuer-encoding")
	store := open(t, s.config())
	if err := s.connects(store, "device"); !errors.Is(err, pki.ErrRevoked) {
		t.Errorf("got %v, want %v", err, pki.ErrRevoked)
	}
}

func TestPEMIsReadAsOpenSSLReadsIt(t *testing.T) {
	t.Parallel()
	for file, name := range map[string]string{
		"ca-bom.crt": "ca.crt", "ca-decorated.crt": "ca.crt", "ca-trusted-certificate.crt": "ca.crt",
		"ca-with-crl.crt": "ca.crt", "ca-x509-certificate.crt": "ca.crt", "server-pkcs8-as-ec.key": "tls.key",
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, "pem")
			s.put(file, name)
			if err := s.connects(open(t, s.config()), "device"); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("all in one", func(t *testing.T) {
		t.Parallel()
		s := newScene(t, "pem")
		s.put("server-all-with-dhparam.pem", "tls.crt")
		s.put("server-all-with-dhparam.pem", "tls.key")
		store := open(t, s.config())
		if err := s.connects(store, "device"); err != nil {
			t.Error(err)
		}
		if got := fmt.Sprint(store.Notices()); !strings.Contains(got, "type=DH PARAMETERS") {
			t.Errorf("notices %v, want one about the parameters", got)
		}
	})
}
