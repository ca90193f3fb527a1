// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

func TestGenerationTellsWhatItHolds(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	second := v.root.Issue("other", certtest.Server("other.test"))
	v.write("2.crt", second.CertPEM())
	v.write("2.key", second.KeyPEM())
	next := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	device := v.root.Issue("acme:lamp")
	v.write("ca.crl", v.root.CRL(certtest.CRLOptions{
		Number: 7, NextUpdate: next, Revoked: []*x509.Certificate{device.Leaf},
	}))
	config := v.config()
	config.Certs = append(config.Certs, v.path("2.crt"))
	config.Keys = append(config.Keys, v.path("2.key"))
	g := open(t, config).Current()

	if g.Sequence() != 1 || time.Since(g.Loaded()) > time.Minute {
		t.Errorf("sequence %d, loaded %v; want 1 and just now", g.Sequence(), g.Loaded())
	}
	server := g.ServerCertificates()
	if len(server) != 2 || !server[0].Leaf.Equal(v.server.Leaf) || !server[1].Leaf.Equal(second.Leaf) {
		t.Errorf("server certificates %v", server)
	}
	if len(g.CAs()) != 1 || !g.CAs()[0].Equal(v.root.Cert) || !g.ClientCAs().Equal(v.root.Pool()) {
		t.Errorf("CAs %v", g.CAs())
	}
	if len(g.CRLs()) != 1 {
		t.Fatalf("CRLs %v, want one", g.CRLs())
	}
	crl := g.CRLs()[0]
	if crl.Path != v.path("ca.crl") || crl.Issuer != "CN=root" || crl.Number.Int64() != 7 ||
		!crl.NextUpdate.Equal(next) || crl.Entries != 1 || time.Since(crl.ThisUpdate) > time.Hour {
		t.Errorf("CRL %+v", crl)
	}
	var paths []string
	for _, file := range g.Files() {
		paths = append(paths, file.Path)
		data, err := os.ReadFile(file.Path)
		if err != nil {
			t.Fatal(err)
		}
		if file.SHA256 != sha256.Sum256(data) {
			t.Errorf("%s: SHA-256 %x", file.Path, file.SHA256)
		}
	}
	if want := slices.Concat(config.Certs, config.Keys, config.CAs, config.CRLs); !slices.Equal(paths, want) {
		t.Errorf("files %v, want %v", paths, want)
	}
}

// TestListsThatAreNeeded has a list in ca.crl, and another one beside it.
func TestListsThatAreNeeded(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	before, after := root.Intermediate("devices"), root.Intermediate("devices")
	other, namesake := certtest.NewCA("other"), certtest.NewCA("devices")
	cas := []*x509.Certificate{root.Cert, before.Cert, after.Cert, other.Cert, namesake.Cert}
	users, part := distributionPoint(usersOnlyField), distributionPoint(pointField("http://one"))
	list := func(number int64, ca *certtest.CA, extensions ...pkix.Extension) []byte {
		return ca.CRL(certtest.CRLOptions{Number: number, ThisUpdate: pastHours(10 - int(number)), Extensions: extensions})
	}
	for name, row := range map[string]struct {
		list, another []byte
		needed        bool
	}{
		"the only one":                             {list(5, before), nil, true},
		"of a CA that is not trusted":              {list(5, certtest.NewCA("devices")), nil, false},
		"older than another one":                   {list(5, before), list(6, before), false},
		"newer than another one":                   {list(5, before), list(4, before), true},
		"beside that of another CA":                {list(5, before), list(6, other), true},
		"beside one of the CA's new key":           {list(5, before), list(6, after), false},
		"beside an older one of the new key":       {list(5, before), list(4, after), true},
		"beside one of another CA of this name":    {list(5, before), list(6, namesake), true},
		"about users, beside all":                  {list(5, before, users...), list(6, before), false},
		"about users, beside older ones":           {list(5, before, users...), list(4, before), true},
		"a part, beside all":                       {list(5, before, part...), list(6, before), false},
		"about all, beside users":                  {list(5, before), list(6, before, users...), true},
		"about all, beside a part":                 {list(5, before), list(6, before, part...), true},
		"with a delta":                             {list(5, before), list(6, before, deltaOf(5)...), true},
		"a delta":                                  {list(6, before, deltaOf(5)...), list(5, before), true},
		"a delta that the list has caught up with": {list(6, before, deltaOf(5)...), list(7, before), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var path string
			g := generation(t, cas, [][]byte{certtest.PEMEncodeCRL(row.list)}, func(c *truststore.Config) {
				path = c.CRLs[0]
				if row.another != nil {
					c.CRLs = append(c.CRLs, path+".2")
					if err := os.WriteFile(path+".2", row.another, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			})
			if got := g.Needs(path); got != row.needed {
				t.Errorf("needed %v, want %v", got, row.needed)
			}
		})
	}
}

func TestPrivateKeysOfEveryPEMTypeAreRead(t *testing.T) {
	t.Parallel()
	rsaCert := certtest.NewCA("root").Issue("rsa", certtest.RSA())
	ecCert := certtest.NewCA("root").Issue("ec")
	sec1, err := x509.MarshalECPrivateKey(ecCert.Key.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	parameters := block("EC PARAMETERS", []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7})
	for name, pair := range map[string]struct {
		cert *certtest.Cert
		key  []byte
	}{
		"PKCS #8 RSA":           {rsaCert, rsaCert.KeyPEM()},
		"PKCS #8 ECDSA":         {ecCert, ecCert.KeyPEM()},
		"PKCS #1":               {rsaCert, block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaCert.Key.(*rsa.PrivateKey)))},
		"SEC 1":                 {ecCert, block("EC PRIVATE KEY", sec1)},
		"SEC 1 with parameters": {ecCert, slices.Concat(parameters, block("EC PRIVATE KEY", sec1))},
		"with its certificate":  {ecCert, slices.Concat(ecCert.KeyPEM(), ecCert.CertPEM())},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVolume(t)
			v.write("tls.crt", pair.cert.CertPEM())
			v.write("tls.key", pair.key)
			open(t, v.config())
		})
	}
}

func TestBundleMayHoldTextAndDuplicates(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	other := certtest.NewCA("other")
	v.write("ca.crt", []byte("# subject: root\n-----\n"), v.root.PEM(), []byte("\r\n\r\nother one:\n"),
		other.PEM(), v.root.PEM(), []byte("the end"))
	if got := len(open(t, v.config()).Current().CAs()); got != 2 {
		t.Errorf("%d CAs, want 2", got)
	}
}

func TestMistakesOfASetAreRefused(t *testing.T) {
	t.Parallel()
	stranger := certtest.NewCA("stranger")
	for name, row := range map[string]struct {
		spoil func(v *volume)
		want  string
	}{
		"certificate absent": {func(v *volume) { v.remove("tls.crt") }, "reading certificate file: open $/tls.crt: no such file"},
		"key absent":         {func(v *volume) { v.remove("tls.key") }, "reading key file: open $/tls.key: no such file"},
		"CA absent":          {func(v *volume) { v.remove("ca.crt") }, "reading CA file: open $/ca.crt: no such file"},
		"CRL absent":         {func(v *volume) { v.remove("ca.crl") }, "reading CRL file: open $/ca.crl: no such file"},
		"certificate empty":  {func(v *volume) { v.write("tls.crt") }, "certificate file $/tls.crt holds no certificate"},
		"key empty":          {func(v *volume) { v.write("tls.key") }, "key file $/tls.key holds 0 private keys"},
		"CA empty":           {func(v *volume) { v.write("ca.crt") }, "CA file $/ca.crt holds no certificate"},
		"CRL empty":          {func(v *volume) { v.write("ca.crl") }, "CRL file $/ca.crl: it is empty"},
		"two keys": {func(v *volume) {
			v.write("tls.key", v.server.KeyPEM(), v.server.KeyPEM())
		}, "holds 2 private keys"},
		"key of another certificate": {func(v *volume) {
			v.write("tls.key", stranger.Issue("x").KeyPEM())
		}, "key file $/tls.key does not belong to certificate file $/tls.crt"},
		"key encrypted": {func(v *volume) {
			v.write("tls.key", pem.EncodeToMemory(&pem.Block{
				Type:    "RSA PRIVATE KEY",
				Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"},
				Bytes:   []byte("secret"),
			}))
		}, "the private key is encrypted"},
		"key that cannot sign": {func(v *volume) {
			v.write("tls.key", x25519Key(v.t))
		}, "cannot sign"},
		"key malformed": {func(v *volume) {
			v.write("tls.key", block("PRIVATE KEY", []byte("no DER")))
		}, "key file $/tls.key: PEM block 1: "},
		"certificate among the CRLs": {func(v *volume) {
			v.write("ca.crl", v.root.PEM())
		}, `CRL file $/ca.crl: it holds no certificate revocation list`},
		"only devices among the CAs": {func(v *volume) {
			v.write("ca.crt", v.root.Issue("acme:lamp").CertPEM())
			v.remove("ca.crl")
			v.write("ca.crl", revoking(v.root, 1))
		}, "there is no CA certificate"},
		"CA malformed": {func(v *volume) {
			v.write("ca.crt", v.root.PEM(), block("CERTIFICATE", v.root.Cert.Raw[:100]))
		}, "CA file $/ca.crt: PEM block 2: the certificate is not complete"},
		"CRL malformed": {func(v *volume) {
			v.write("ca.crl", []byte("no DER"))
		}, "CRL file $/ca.crl: it holds no certificate revocation list"},
		"CRL cut": {func(v *volume) {
			v.write("ca.crl", v.root.CRL(certtest.CRLOptions{})[:100])
		}, `list 1: no well-formed certificate revocation list`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVolume(t)
			row.spoil(v)
			store, err := truststore.Open(t.Context(), v.config())
			if err == nil {
				t.Fatalf("accepted: %+v", store.Current())
			}
			if want := strings.ReplaceAll(row.want, "$", v.dir); !strings.Contains(err.Error(), want) {
				t.Errorf("got error %q, want it to say %q", err, want)
			}
		})
	}
}

// What is odd, or concerns others, keeps nobody from starting: it is refused for itself, or passed over with a notice.
func TestStartGoesOnWithout(t *testing.T) {
	t.Parallel()
	stranger := certtest.NewCA("stranger")
	for name, row := range map[string]struct {
		spoil           func(v *volume)
		notice, refusal string // what is said of it
	}{
		"a valid certificate": {func(v *volume) {
			v.server = v.root.Issue("broker", certtest.NotAfter(time.Now().Add(-time.Minute)))
			v.write("tls.crt", v.server.CertPEM())
			v.write("tls.key", v.server.KeyPEM())
		}, `"CN=broker" has expired on `, ""},
		"a certificate that is valid already": {func(v *volume) {
			v.server = v.root.Issue("broker", certtest.NotBefore(time.Now().Add(time.Minute)))
			v.write("tls.crt", v.server.CertPEM())
			v.write("tls.key", v.server.KeyPEM())
		}, `"CN=broker" is not valid before `, ""},
		"a key among the CAs": {func(v *volume) {
			v.write("ca.crt", v.root.PEM(), v.server.KeyPEM())
		}, "PEM block in the CA file is something else and is passed over: file=$/ca.crt, block=2, type=PRIVATE KEY", ""},
		"a certificate among the CRLs": {func(v *volume) {
			v.write("ca.crl", v.root.PEM(), revoking(v.root, 1))
		}, `PEM block 1: type "CERTIFICATE" does not belong here`, ""},
		"a CRL among the certificates": {func(v *volume) {
			v.write("tls.crt", v.server.CertPEM(), revoking(v.root, 1))
		}, "PEM block in the certificate file is something else and is passed over: file=$/tls.crt, block=2, type=X509 CRL", ""},
		"a certificate that is none": {func(v *volume) {
			v.write("ca.crt", v.root.PEM(), block("CERTIFICATE", []byte("no DER")))
		}, "CA certificate cannot be used and is left out: file=$/ca.crt, block=2, ca=?", ""},
		"the CRL of a stranger": {func(v *volume) {
			v.write("ca.crl", revoking(v.root, 1), revoking(stranger, 1))
		}, "CRL is not needed and is passed over: file=$/ca.crl, ca=CN=stranger, err=its issuer is no CA of the bundle", ""},
		"the CRLs of strangers": {func(v *volume) {
			another := certtest.PEMEncodeCRL(certtest.NewCA("another").CRL(certtest.CRLOptions{WrongSignature: true}))
			v.write("ca.crl", revoking(v.root, 1), revoking(stranger, 1), another, another)
		}, "[CRL is not needed and is passed over: file=$/ca.crl, ca=CN=stranger, err=its issuer is no CA of the bundle; not needed either: 2 more of this file]", ""},
		"the CRL of another key": {func(v *volume) {
			v.write("ca.crl", revoking(v.root, 1), revoking(certtest.NewCA("root"), 1))
		}, "its signature does not verify with the key of its issuer", ""},
		"the CRLs of other keys": {func(v *volume) {
			v.write("ca.crl", revoking(v.root, 1), revoking(certtest.NewCA("root"), 1), revoking(certtest.NewCA("root"), 1))
		}, "; not needed either: 1 more of this file]", ""},
		"a CRL of this key": {func(v *volume) {
			v.write("ca.crl", revoking(certtest.NewCA("root"), 1))
		}, "", `there is no other list of "CN=root", and what is configured for missing ones (allow) decides`},
		"a CRL with a good signature": {func(v *volume) {
			v.write("ca.crl", v.root.CRL(certtest.CRLOptions{WrongSignature: true}))
		}, "", "its signature does not verify with the key of its issuer"},
		"a CRL of a CA that may not sign any": {func(v *volume) {
			mute := certtest.NewCA("mute", certtest.Template(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign }))
			v.write("ca.crt", v.root.PEM(), mute.PEM())
			v.write("ca.crl", revoking(mute, 1))
		}, "", "CRL file $/ca.crl: its issuer is a CA that may not sign CRLs"},
		"a CRL from the future": {func(v *volume) {
			v.write("ca.crl", v.root.CRL(certtest.CRLOptions{ThisUpdate: time.Now().Add(10 * time.Minute)}))
		}, "", "it is from the future"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVolume(t)
			row.spoil(v)
			store := open(t, v.config())
			var refusals []string
			for _, r := range store.Refusals() {
				refusals = append(refusals, r.Err.Error())
			}
			wantToSay(t, "notices", fmt.Sprint(store.Notices()), strings.ReplaceAll(row.notice, "$", v.dir))
			wantToSay(t, "refusals", strings.Join(refusals, "\n"), strings.ReplaceAll(row.refusal, "$", v.dir))
		})
	}
}

// wantToSay fails the test unless a text holds another one, or is empty when that is.
func wantToSay(t *testing.T, what, got, want string) {
	t.Helper()
	if want == "" && got != "" && got != "[]" || !strings.Contains(got, want) {
		t.Errorf("%s: got %s, want %q", what, got, want)
	}
}

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	v.remove("tls.key")
	v.write("tls.crt", []byte("no PEM"))
	v.write("ca.crt", v.root.PEM()[:100])
	v.write("ca.crl", []byte("no DER"))
	_, err := truststore.Open(t.Context(), v.config())
	if err == nil {
		t.Fatal("accepted")
	}
	for _, name := range []string{"tls.crt", "tls.key", "ca.crt", "ca.crl"} {
		if strings.Count(err.Error(), v.path(name)) != 1 {
			t.Errorf("error does not name %s once: %v", name, err)
		}
	}
}

func TestMistakesOfTheConfigurationAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := truststore.Open(t.Context(), truststore.Config{
		Keys:            []string{"k"},
		RefreshInterval: -1,
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"no file of a server certificate", "0 certificate files are named but 1 key", "no file of CA", "negative"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got error %q, want it to say %q", err, want)
		}
	}
}

func TestUnfinishedFilesAreRefusedWhereverTheyAreCut(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	whole := v.root.PEM()
	blockEnd := len(whole) - 1 // all but the last line feed
	for cut := range whole {
		v.write("ca.crt", v.root.PEM(), whole[:cut])
		_, err := truststore.Open(t.Context(), v.config())
		if complete := cut == 0 || cut == blockEnd; complete != (err == nil) {
			t.Fatalf("cut after %d of %d bytes: %v", cut, len(whole), err)
		}
	}
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
