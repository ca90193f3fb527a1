// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

func TestSerialNumbersOfEveryLengthAreFound(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	var listed []*big.Int
	for octets := range 64 {
		n := new(big.Int).Lsh(big.NewInt(0x7d), uint(8*octets)) // top bit clear
		listed = append(listed, n, new(big.Int).Lsh(big.NewInt(0x80), uint(8*octets)))
	}
	listed = append(listed, big.NewInt(0), big.NewInt(0), listed[0], big.NewInt(-5))
	crl := root.CRL(certtest.CRLOptions{Serials: listed})
	g := generation(t, []*x509.Certificate{root.Cert}, [][]byte{crl})
	if got := g.CRLs()[0].Entries; got != len(listed) {
		t.Errorf("%d entries, want %d", got, len(listed))
	}
	device := root.Issue("acme:lamp").Leaf
	ask := func(serial *big.Int) error {
		leaf := *device
		leaf.SerialNumber = serial
		_, err := g.Verify([]*x509.Certificate{&leaf}, [][]*x509.Certificate{{&leaf, root.Cert}}, time.Now())
		return err
	}
	one := big.NewInt(1)
	for _, serial := range listed {
		if serial.Sign() < 0 {
			continue // no certificate that crypto/x509 parses has one
		}
		if err := ask(serial); !errors.Is(err, pki.ErrRevoked) {
			t.Errorf("serial %x: got %v, want %v", serial, err, pki.ErrRevoked)
		}
		if err := ask(new(big.Int).Add(serial, one)); err != nil {
			t.Errorf("serial after %x: %v", serial, err)
		}
	}
	for _, serial := range []*big.Int{big.NewInt(-5), big.NewInt(5), big.NewInt(0xfb), new(big.Int).Lsh(one, 8*64)} {
		if err := ask(serial); err != nil {
			t.Errorf("serial %x: %v", serial, err)
		}
	}
}

func TestCRLShapes(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	device := root.Issue("acme:lamp")
	extension := func(critical bool, last int) []pkix.Extension {
		return []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, last}, Critical: critical, Value: []byte{5, 0}}}
	}
	reason := func(code byte) []pkix.Extension {
		return []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 21}, Value: []byte{0x0a, 1, code}}}
	}
	for name, row := range map[string]struct {
		opts certtest.CRLOptions
		want string // what the error says; empty: accepted
	}{
		"ordinary":                    {certtest.CRLOptions{Number: 1}, ""},
		"of version 1":                {certtest.CRLOptions{VersionOne: true}, ""},
		"without number":              {certtest.CRLOptions{Number: -1}, ""},
		"slightly ahead of our clock": {certtest.CRLOptions{ThisUpdate: time.Now().Add(4 * time.Minute)}, ""},
		"in GeneralizedTime":          {certtest.CRLOptions{NextUpdate: time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC)}, ""},
		"about users only":            {certtest.CRLOptions{Extensions: distributionPoint(usersOnlyField)}, ""},
		"about some reasons":          {certtest.CRLOptions{Extensions: distributionPoint(compromisedField)}, ""},
		"of a distribution point":     {certtest.CRLOptions{Extensions: distributionPoint(pointField("http://x"))}, ""},
		"with a harmless extension":   {certtest.CRLOptions{Extensions: extension(false, 18)}, ""},
		"with reasons":                {certtest.CRLOptions{EntryExtensions: extension(false, 21)}, ""},
		"with critical reasons":       {certtest.CRLOptions{EntryExtensions: extension(true, 21)}, ""},
		"with other reasons":          {certtest.CRLOptions{EntryExtensions: reason(1)}, ""},
		"with invalidity dates":       {certtest.CRLOptions{EntryExtensions: extension(false, 24)}, ""},

		"broken delta":                 {certtest.CRLOptions{Extensions: extension(true, 27)}, "no well-formed"},
		"delta without its list":       {certtest.CRLOptions{Extensions: deltaOf(1)}, "no file has the complete list"},
		"delta without number":         {certtest.CRLOptions{Number: -1, Extensions: deltaOf(1)}, "it is a delta CRL without number"},
		"no reasons":                   {certtest.CRLOptions{Extensions: distributionPoint([]byte{0x83, 1, 0})}, "no well-formed"},
		"reasons with too many bits":   {certtest.CRLOptions{Extensions: distributionPoint([]byte{0x83, 2, 8, 0x40})}, "no well-formed"},
		"about nobody":                 {certtest.CRLOptions{Extensions: distributionPoint(usersOnlyField, casOnlyField)}, "which is nobody"},
		"indirect":                     {certtest.CRLOptions{Extensions: distributionPoint(indirectField)}, "indirect CRL"},
		"attribute certificates":       {certtest.CRLOptions{Extensions: distributionPoint(attributeCertsField)}, "attribute certificates"},
		"broken distribution point":    {certtest.CRLOptions{Extensions: extension(true, 28)}, "no well-formed"},
		"distribution point of no use": {certtest.CRLOptions{Extensions: distributionPoint([]byte{0x86, 1, 0xff})}, "no well-formed"},
		"unknown critical extension":   {certtest.CRLOptions{Extensions: extension(true, 99)}, "critical extension 2.5.29.99"},
		"entries of another issuer":    {certtest.CRLOptions{EntryExtensions: extension(true, 29)}, "entry 1: it names another issuer"},
		"unknown critical entry":       {certtest.CRLOptions{EntryExtensions: extension(true, 99)}, "entry 1: it has an unsupported critical extension (identifier 551d63)"},
		"serial number too long":       {certtest.CRLOptions{Serials: []*big.Int{new(big.Int).Lsh(big.NewInt(1), 8*64)}}, "entry 2: the serial number has 65 octets, more than 64"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := row.opts
			opts.Revoked = []*x509.Certificate{device.Leaf}
			v := newVolume(t)
			v.write("ca.crt", root.PEM())
			v.write("ca.crl", root.CRL(opts))
			store, err := truststore.Open(t.Context(), v.config())
			if row.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := verify(store, device); !errors.Is(err, pki.ErrRevoked) {
					t.Errorf("got %v, want %v", err, pki.ErrRevoked)
				}
				return
			}
			if err == nil {
				err = store.Refusals()[0].Err
			}
			if !strings.Contains(err.Error(), row.want) {
				t.Errorf("got error %v, want it to say %q", err, row.want)
			}
		})
	}
}

// What is odd about the list of one CA keeps nobody from starting with the others, and is told. A list that is cut does: it may
// be in the middle of being written.
func TestAnOddListHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	extension := func(last int, value ...byte) certtest.CRLOptions {
		return certtest.CRLOptions{Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, last}, Value: value}}}
	}
	const patience = 10 * time.Second
	cut := func(der []byte) []byte { return der[:100] }
	for name, row := range map[string]struct {
		opts   certtest.CRLOptions
		change func(der []byte) []byte // nil = none
		waits  bool                    // for a better file, and for nothing
	}{
		"of no reasons":                       {opts: certtest.CRLOptions{Extensions: distributionPoint([]byte{0x83, 2, 7, 0})}},
		"of a distribution point of no use":   {opts: certtest.CRLOptions{Extensions: distributionPoint([]byte{0x89, 1, 0xff})}},
		"of a distribution point that is not": {opts: extension(28, 4, 0)},
		"with a negative base number":         {opts: extension(27, 2, 1, 0xff)},
		"with a key identifier that is not":   {opts: extension(35, 5, 0)},
		"with a long extension":               {opts: extension(99, make([]byte, 2<<20)...)},
		"with a superfluous zero": {certtest.CRLOptions{Serials: []*big.Int{big.NewInt(0x80)}}, func(der []byte) []byte {
			return bytes.Replace(der, []byte{2, 2, 0, 0x80}, []byte{2, 2, 0, 0x7f}, 1)
		}, false},
		"cut":                       {certtest.CRLOptions{}, cut, true},
		"cut in a long extension":   {extension(99, make([]byte, 2<<20)...), func(der []byte) []byte { return der[:1<<20] }, true},
		"with a byte behind it":     {certtest.CRLOptions{}, func(der []byte) []byte { return append(der, 0) }, true},
		"with no list in its place": {certtest.CRLOptions{}, func([]byte) []byte { return nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				v, odd := newVolume(t), certtest.NewCA("odd")
				bad, list := v.root.Issue("acme:bad"), odd.CRL(row.opts)
				if row.change != nil {
					list = row.change(list)
				}
				v.write("ca.crt", v.root.PEM(), odd.PEM())
				v.write("ca.crl", certtest.PEMEncodeCRL(list), revoking(v.root, 2, bad.Leaf))
				config := v.config()
				config.StartTimeout = patience
				began := time.Now()
				store, err := truststore.Open(t.Context(), config)
				if waited := time.Since(began) >= patience; waited != row.waits || (err != nil) != row.waits {
					t.Fatalf("after %v: %v, want that it waits, and for nothing: %v", time.Since(began), err, row.waits)
				}
				if row.waits {
					return
				}
				wantRevoked(t, store, bad)
				if got := store.Refusals(); len(got) != 1 || got[0].Name != "CN=odd" || got[0].File != v.path("ca.crl") {
					t.Errorf("refusals %v, want one of the odd list", got)
				}
			})
		})
	}
}

// Only a delta CRL takes certificates off another list (RFC 5280 §5.3.1): in a full one it is as if they were not there.
func TestEntriesToBeRemovedRevokeNothing(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	device := root.Issue("acme:lamp")
	g := generation(t, []*x509.Certificate{root.Cert}, [][]byte{root.CRL(certtest.CRLOptions{
		Revoked:         []*x509.Certificate{device.Leaf},
		EntryExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 21}, Value: []byte{0x0a, 1, 8}}},
	})})
	if err := bothWays(t, g, device); err != nil {
		t.Errorf("refused: %v", err)
	}
	if got := g.CRLs()[0].Entries; got != 1 {
		t.Errorf("%d entries, want 1", got)
	}
}

func TestScopeOfACRLDecidesWhetherItIsMissing(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	device := root.Issue("acme:lamp")
	for name, row := range map[string]struct {
		field []byte
		good  bool
	}{
		"users only": {usersOnlyField, true},
		"CAs only":   {casOnlyField, false},
	} {
		crl := root.CRL(certtest.CRLOptions{Extensions: distributionPoint(row.field)})
		g := generation(t, []*x509.Certificate{root.Cert}, [][]byte{crl}, missing(truststore.Deny))
		if err := bothWays(t, g, device); (err == nil) != row.good {
			t.Errorf("%s: got %v, want accepted %v", name, err, row.good)
		}
	}
}

func TestCRLFilesArePEMOrDER(t *testing.T) {
	t.Parallel()
	one, two := certtest.NewCA("one", certtest.RSA()), certtest.NewCA("two")
	a, b := one.Issue("acme:a"), two.Issue("acme:b")
	derA := one.CRL(certtest.CRLOptions{Revoked: []*x509.Certificate{a.Leaf}})
	derB := two.CRL(certtest.CRLOptions{Revoked: []*x509.Certificate{b.Leaf}})
	for name, files := range map[string][][]byte{
		"DER files":       {derA, derB},
		"PEM files":       {certtest.PEMEncodeCRL(derA), certtest.PEMEncodeCRL(derB)},
		"one of each":     {derA, certtest.PEMEncodeCRL(derB)},
		"two in one file": {append(certtest.PEMEncodeCRL(derA), certtest.PEMEncodeCRL(derB)...)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVolume(t)
			v.write("ca.crt", one.PEM(), two.PEM())
			config := v.config()
			config.CRLs = nil
			for i, data := range files {
				file := string(rune('a'+i)) + ".crl"
				v.write(file, data)
				config.CRLs = append(config.CRLs, v.path(file))
			}
			store := open(t, config)
			for _, device := range []*certtest.Cert{a, b} {
				if err := verify(store, device); !errors.Is(err, pki.ErrRevoked) {
					t.Errorf("%v: got %v, want %v", device.Leaf.Subject, err, pki.ErrRevoked)
				}
			}
		})
	}
}
