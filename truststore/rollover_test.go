// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// A CA that has changed its key may sign its list with the new one alone. The list counts for certificates of the old
// key when both chain to the same CA (RFC 5280 §6.3.3(f)); else there is none for them.
func TestListOfACAThatHasChangedItsKey(t *testing.T) {
	t.Parallel()
	root, stranger := certtest.NewCA("root"), certtest.NewCA("stranger")
	for name, row := range map[string]struct {
		before, after *certtest.CA // of one name
		more          []*certtest.CA
		counts        bool
	}{
		"both below one root":          {root.Intermediate("devices"), root.Intermediate("devices"), []*certtest.CA{root}, true},
		"both below a root not there":  {root.Intermediate("devices"), root.Intermediate("devices"), nil, false},
		"below two roots":              {root.Intermediate("devices"), stranger.Intermediate("devices"), []*certtest.CA{root, stranger}, false},
		"two roots, nothing in common": {certtest.NewCA("devices"), certtest.NewCA("devices"), nil, false},
	} {
		t.Run(name, func(t *testing.T) { checkRollover(t, row.before, row.after, row.more, row.counts) })
	}
	for name, signs := range map[string]func(before, after *certtest.CA) *certtest.CA{
		"new root signed with the old key": func(before, after *certtest.CA) *certtest.CA {
			return before.Intermediate("devices", certtest.Key(after.Key))
		},
		"old root signed with the new key": func(before, after *certtest.CA) *certtest.CA {
			return after.Intermediate("devices", certtest.Key(before.Key))
		},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := certtest.NewCA("devices"), certtest.NewCA("devices")
			checkRollover(t, before, after, []*certtest.CA{signs(before, after)}, true)
		})
	}
}

func checkRollover(t *testing.T, before, after *certtest.CA, more []*certtest.CA, counts bool) {
	t.Helper()
	good, revoked := before.Issue("acme:good"), before.Issue("acme:gone")
	cas := []*x509.Certificate{before.Cert, after.Cert}
	crls := [][]byte{revoking(after, 1, revoked.Leaf)}
	for _, ca := range more {
		cas = append(cas, ca.Cert)
		if ca.Cert.Subject.CommonName != "devices" {
			crls = append(crls, revoking(ca, 1)) // so that only one is missing
		}
	}
	for _, policy := range []truststore.Policy{truststore.Allow, truststore.Deny} {
		store := openWith(t, cas, crls, missing(policy))
		g := store.Current()
		if err := bothWays(t, g, revoked); errors.Is(err, pki.ErrRevoked) != counts {
			t.Errorf("missing %v: the revoked device: got %v, want it revoked %v", policy, err, counts)
		}
		want := counts || policy == truststore.Allow
		if err := bothWays(t, g, good); (err == nil) != want || !want && !errors.Is(err, pki.ErrRevocationUnknown) {
			t.Errorf("missing %v: the good device: got %v, want it let in %v", policy, err, want)
		}
		warned := slices.ContainsFunc(store.Notices(), func(n truststore.Notice) bool {
			return strings.Contains(n.String(), "signed with another key") && strings.Contains(n.String(), "missing="+policy.String())
		})
		if warned == counts {
			t.Errorf("missing %v: notices %v, want one about the other key %v", policy, store.Notices(), !counts)
		}
	}
}

// Once the CA renews its list with the new key only, the last one of the old key does not have to be current any more.
func TestOldKeysListMayBeOverdue(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	before, after := root.Intermediate("devices"), root.Intermediate("devices")
	gone, good := before.Issue("acme:gone"), before.Issue("acme:good")
	past := time.Now().Add(-48 * time.Hour)
	old := before.CRL(certtest.CRLOptions{ThisUpdate: past, NextUpdate: past.Add(time.Hour), Revoked: []*x509.Certificate{gone.Leaf}})
	g := generation(t, []*x509.Certificate{root.Cert, before.Cert, after.Cert}, [][]byte{certtest.PEMEncodeCRL(old), revoking(after, 1)},
		func(c *truststore.Config) { c.CRLExpired = truststore.Deny })
	if err := bothWays(t, g, good); err != nil {
		t.Errorf("good device: %v", err)
	}
	if err := bothWays(t, g, gone); !errors.Is(err, pki.ErrRevoked) {
		t.Errorf("got %v, want %v", err, pki.ErrRevoked)
	}
}

// A part of a partitioned list is not the list of a certificate that names another part (RFC 5280 §6.3.3(b)(2)(i)).
func TestPartOfAPartitionedListIsAboutItsOwnCertificates(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	points := func(uris ...string) certtest.Option {
		return certtest.Template(func(c *x509.Certificate) { c.CRLDistributionPoints = uris })
	}
	part := func(uri string) []byte {
		return certtest.PEMEncodeCRL(root.CRL(certtest.CRLOptions{Extensions: distributionPoint(pointField(uri))}))
	}
	overdue := certtest.PEMEncodeCRL(root.CRL(certtest.CRLOptions{Extensions: distributionPoint(pointField("http://two")), ThisUpdate: time.Now().Add(-2 * time.Hour), NextUpdate: time.Now().Add(-time.Hour)}))
	for name, row := range map[string]struct {
		device *certtest.Cert
		crls   [][]byte
		known  bool
	}{
		"of this part":                 {root.Issue("a", points("http://one")), [][]byte{part("http://one")}, true},
		"of one of two":                {root.Issue("a", points("ldap://x", "http://one")), [][]byte{part("http://one")}, true},
		"of another part":              {root.Issue("a", points("http://two")), [][]byte{part("http://one")}, false},
		"of none":                      {root.Issue("a"), [][]byte{part("http://one")}, false},
		"another part is overdue":      {root.Issue("a", points("http://one")), [][]byte{part("http://one"), overdue}, true},
		"this part is overdue":         {root.Issue("a", points("http://two")), [][]byte{part("http://one"), overdue}, false},
		"there is also a full list":    {root.Issue("a", points("http://two")), [][]byte{part("http://one"), revoking(root, 1)}, true},
		"of a full list, named or not": {root.Issue("a"), [][]byte{revoking(root, 1)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := generation(t, []*x509.Certificate{root.Cert}, row.crls, missing(truststore.Deny), func(c *truststore.Config) { c.CRLExpired = truststore.Deny })
			if err := bothWays(t, g, row.device); (err == nil) != row.known || !row.known && !errors.Is(err, pki.ErrRevocationUnknown) {
				t.Errorf("got %v, want it known %v", err, row.known)
			}
		})
	}
}

// Live sessions are found whatever way a list spells the name of its CA.
func TestRevokedCertificatesAreNamedHoweverTheListIsEncoded(t *testing.T) {
	t.Parallel()
	s := newScene(t, "issuer-encoding")
	s.remove("ca.crl")
	config := s.config()
	config.CRLOptional = true
	var old, current *truststore.Generation
	config.OnSwap = func(o, c *truststore.Generation) { old, current = o, c }
	store := open(t, config)
	s.put("ca.crl", "ca.crl")
	if err := store.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := pki.CanonicalName(store.Current().CAs()[0].RawSubject)
	n := 0
	for issuer := range old.Revoked(current) {
		n++
		if issuer != want {
			t.Errorf("issuer %q, want %q", issuer, want)
		}
	}
	if n == 0 {
		t.Error("nothing is revoked")
	}
}

// A CA that has had its certificate issued anew may have another encoding of its name since. Its devices send that
// certificate, and the bundle has the one from before.
func TestRevokedCertificatesAreNamedHoweverTheirIssuerIsEncoded(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	before := v.root.Intermediate("devices")
	name, err := asn1.Marshal(pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte("devices")}}}})
	if err != nil {
		t.Fatal(err)
	}
	after := v.root.Intermediate("", certtest.Key(before.Key), certtest.Template(func(c *x509.Certificate) { c.RawSubject = name }))
	device := after.Issue("acme:lamp")
	if bytes.Equal(device.Leaf.RawIssuer, before.Cert.RawSubject) {
		t.Fatal("both are encoded in one way: this shows nothing")
	}
	v.write("ca.crt", bundleOf(v.root, before))
	old, current := swap(t, v, func() { v.write("ca.crl", revoking(v.root, 1), revoking(before, 1, device.Leaf)) })
	if err := bothWays(t, old, device); err != nil {
		t.Fatalf("before: %v", err)
	}
	if err := bothWays(t, current, device); !errors.Is(err, pki.ErrRevoked) {
		t.Fatalf("after: got %v, want %v", err, pki.ErrRevoked)
	}
	n := 0
	for issuer, serial := range old.Revoked(current) {
		n++
		if want := pki.CanonicalName(device.Leaf.RawIssuer); issuer != want || !bytes.Equal(serial, device.Leaf.SerialNumber.Bytes()) {
			t.Errorf("got issuer %q and serial %x, want %q and %x", issuer, serial, want, device.Leaf.SerialNumber)
		}
	}
	if n != 1 {
		t.Errorf("got %d names, want 1", n)
	}
}
