// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// manyCAs are more CAs than there is room for in a handshake with all their names, of one key.
func manyCAs(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for n := range 431 {
		ca := certtest.NewCA(fmt.Sprintf("CA %d %s", n, strings.Repeat("long ", 30)), certtest.Key(key))
		all = append(all, ca.PEM()...)
	}
	return all
}

func TestNamesOfCAsAreLeftOutWhereTheyDoNotFit(t *testing.T) {
	t.Parallel()
	many := manyCAs(t)
	for _, names := range []truststore.CANames{truststore.CANamesAuto, truststore.CANamesAll, truststore.CANamesNone} {
		t.Run(names.String(), func(t *testing.T) {
			t.Parallel()
			v := newVolume(t)
			config := v.config()
			config.CANames = names
			store := open(t, config)
			if got, want := store.Current().NamesCAs(), names != truststore.CANamesNone; got != want {
				t.Errorf("few CAs: got their names told %v, want %v", got, want)
			}
			v.write("ca.crt", v.root.PEM(), many)
			err := store.Reload(t.Context())
			if names == truststore.CANamesAll {
				if err == nil || !strings.Contains(err.Error(), "and a handshake has room for") || len(store.Current().CAs()) != 1 {
					t.Errorf("got error %v and %d CAs, want the last good one", err, len(store.Current().CAs()))
				}
				return
			}
			if err != nil || len(store.Current().CAs()) != 432 || store.Current().NamesCAs() {
				t.Errorf("got error %v and %d CAs, names told %v", err, len(store.Current().CAs()), store.Current().NamesCAs())
			}
			for device, good := range map[*certtest.Cert]bool{v.root.Issue("acme:lamp"): true, certtest.NewCA("root").Issue("acme:lamp"): false} {
				if _, err := bothVersions(t, store.Current(), device.TLS()); (err == nil) != good {
					t.Errorf("got %v, want the device let in %v", err, good)
				}
			}
			if warned := strings.Contains(fmt.Sprint(store.Notices()), "are not told the names"); warned != (names == truststore.CANamesAuto) {
				t.Errorf("notices %v", store.Notices())
			}
		})
	}
}

// A file that adds more names than fit is refused by itself.
func TestARemovedCADoesNotWaitForAFileWhoseNamesDoNotFit(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	removed, added := certtest.NewCA("removed"), certtest.NewCA("added")
	v.write("ca.crt", v.root.PEM(), removed.PEM())
	v.write("more.crt", certtest.NewCA("other").PEM())
	v.write("third.crt", certtest.NewCA("third").PEM())
	config := v.config()
	config.CAs = append(config.CAs, v.path("more.crt"), v.path("third.crt"))
	config.CANames = truststore.CANamesAll
	store := open(t, config)
	v.write("more.crt", manyCAs(t))
	v.write("ca.crt", v.root.PEM())
	v.write("third.crt", added.PEM())
	err := store.Reload(t.Context())
	if refused := store.Refusals(); err == nil || len(refused) != 1 || refused[0].File != v.path("more.crt") {
		t.Errorf("got error %v and refusals %v, want more.crt alone to be refused", err, refused)
	}
	for device, good := range map[*certtest.Cert]bool{v.root.Issue("acme:lamp"): true, added.Issue("acme:lamp"): true, removed.Issue("acme:lamp"): false} {
		if _, err := bothVersions(t, store.Current(), device.TLS()); (err == nil) != good {
			t.Errorf("got %v, want the device let in %v", err, good)
		}
	}
}

// What no handshake succeeds with does not count, whoever says that it fits.
func TestPartsAreTriedBeforeTheyCount(t *testing.T) {
	t.Parallel()
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		config func(*truststore.Generation) *tls.Config
		change func(v *volume)
		want   string
	}{
		"a key that TLS does not know": {nil, func(v *volume) {
			other := v.root.Issue("broker", certtest.Server("localhost"), certtest.Key(p224))
			v.write("tls.crt", other.CertPEM())
			v.write("tls.key", other.KeyPEM())
		}, "no handshake succeeds with it"},
		"a key that the cipher suites do not have": {func(g *truststore.Generation) *tls.Config {
			return &tls.Config{Certificates: g.ServerCertificates(), MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}
		}, func(v *volume) {
			other := v.root.Issue("broker", certtest.Server("localhost"), certtest.RSA())
			v.write("tls.crt", other.CertPEM())
			v.write("tls.key", other.KeyPEM())
		}, "no handshake succeeds with it: TLS 1.2"},
		"names that do not fit": {func(g *truststore.Generation) *tls.Config {
			return &tls.Config{Certificates: g.ServerCertificates(), ClientCAs: g.ClientCAs()}
		}, func(v *volume) { v.write("ca.crt", v.root.PEM(), manyCAs(v.t.(*testing.T))) }, "no handshake succeeds with these 432 CAs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVolume(t)
			config := v.config()
			config.ServerConfig = row.config
			store := open(t, config)
			row.change(v)
			revoked := v.root.Issue("acme:gone")
			v.write("ca.crl", revoking(v.root, 2, revoked.Leaf))
			if err := store.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want an error that says %q", err, row.want)
			}
			if err := verify(store, v.root.Issue("acme:lamp")); err != nil {
				t.Errorf("a good device is refused: %v", err)
			}
			if err := verify(store, revoked); err == nil {
				t.Error("the list does not count")
			}
			if got := store.Current().ServerCertificates()[0].Leaf; !got.Equal(v.server.Leaf) {
				t.Errorf("server certificate %v, want the last good one", got.SerialNumber)
			}
		})
	}
}

// publicKey is a key that nothing is signed with.
type publicKey struct{ crypto.PublicKey }

func (k publicKey) Public() crypto.PublicKey                                { return k.PublicKey }
func (publicKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, io.EOF }

func TestCAsThatVerifyNothingAreLeftOut(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	_, ed25519Key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// A key for X25519, and one for nothing that anybody knows: the last octet of the algorithm's identifier is another one.
	withAlgorithm := func(last byte) *certtest.CA {
		ca := root.Intermediate("odd", certtest.Key(ed25519Key))
		cert, err := x509.ParseCertificate(bytes.Replace(ca.Cert.Raw, []byte{6, 3, 0x2b, 0x65, 0x70}, []byte{6, 3, 0x2b, 0x65, last}, 1))
		if err != nil {
			t.Fatal(err)
		}
		return &certtest.CA{Cert: cert}
	}
	odd := func(bits uint) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return n.SetBit(n, 0, 1)
	}
	for name, row := range map[string]struct {
		ca   *certtest.CA
		want string
	}{
		"for key exchange":          {withAlgorithm(0x6e), "its key is of an unknown algorithm"},
		"for nothing that is known": {withAlgorithm(0x7f), "its key is of an unknown algorithm"},
		"RSA too small":             {root.Intermediate("odd", certtest.Key(publicKey{&rsa.PublicKey{N: odd(768), E: 65537}})), "768-bit keys are insecure"},
		"RSA with an even exponent": {root.Intermediate("odd", certtest.Key(publicKey{&rsa.PublicKey{N: odd(2048), E: 4}})), "exponent is even"},
		"unknown critical extension": {root.Intermediate("odd", certtest.Template(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		})), "unhandled critical extension"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := openWith(t, []*x509.Certificate{row.ca.Cert, root.Cert}, nil)
			notice := fmt.Sprint(store.Notices())
			if !strings.Contains(notice, "is left out") || !strings.Contains(notice, "CN=odd") || !strings.Contains(notice, row.want) {
				t.Errorf("notices %s, want one that names the CA and says %q", notice, row.want)
			}
			if got := len(store.Current().CAs()); got != 1 {
				t.Errorf("%d CAs, want 1", got)
			}
		})
	}
}

// An expired pair serves the names that no valid one has, behind all others.
func TestExpiredServerCertificatesServeWhatNoOtherOneDoes(t *testing.T) {
	t.Parallel()
	past := certtest.NotAfter(time.Now().Add(-time.Minute))
	for name, row := range map[string]struct {
		names []string // of the expired pair, which comes first
		want  []string // the first names of those in use
	}{
		"another name":   {[]string{"other.test"}, []string{"localhost", "other.test"}},
		"one of two":     {[]string{"localhost", "other.test"}, []string{"localhost", "localhost"}},
		"the same name":  {[]string{"localhost"}, []string{"localhost"}},
		"no name at all": {nil, []string{"localhost"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVolume(t)
			expired := v.root.Issue("expired", certtest.Server(row.names...), past)
			v.write("old.crt", expired.CertPEM())
			v.write("old.key", expired.KeyPEM())
			config := v.config()
			config.Certs = append([]string{v.path("old.crt")}, config.Certs...)
			config.Keys = append([]string{v.path("old.key")}, config.Keys...)
			var got []string
			for _, pair := range open(t, config).Current().ServerCertificates() {
				got = append(got, append(pair.Leaf.DNSNames, "-")[0])
			}
			if fmt.Sprint(got) != fmt.Sprint(row.want) {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}
