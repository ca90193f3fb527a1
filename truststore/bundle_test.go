// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"crypto/x509"
	"errors"
	"testing"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// The signatures of CAs that share a name are not checked with the key of each of the others, at each change of a CA file.
func TestNamesakesAreNotTriedWithEachKey(t *testing.T) {
	root := certtest.NewCA("root")
	noID := certtest.Template(func(c *x509.Certificate) { c.SubjectKeyId, c.AuthorityKeyId = nil, nil })
	for name, issue := range map[string]func() []*x509.Certificate{
		"self-signed":                          func() []*x509.Certificate { return []*x509.Certificate{certtest.NewCA("devices").Cert} },
		"self-signed, without key identifiers": func() []*x509.Certificate { return []*x509.Certificate{certtest.NewCA("devices", noID).Cert} },
		"below one root":                       func() []*x509.Certificate { return []*x509.Certificate{root.Intermediate("devices").Cert, root.Cert} },
		"below roots of their name": func() []*x509.Certificate {
			above := certtest.NewCA("devices")
			id := certtest.Template(func(c *x509.Certificate) { c.AuthorityKeyId = above.Cert.SubjectKeyId })
			return []*x509.Certificate{above.Cert, above.Intermediate("devices", id).Cert}
		},
	} {
		allocations := func(cas []*x509.Certificate) float64 {
			return testing.AllocsPerRun(1, func() { truststore.NewBundle(cas) })
		}
		var cas []*x509.Certificate
		for range 60 {
			cas = append(cas, issue()...)
		}
		if few, many := allocations(cas[:len(cas)/6]), allocations(cas); many > 8*few {
			t.Errorf("%s: %v allocations for 60 CAs, and %v for 10", name, many, few)
		}
	}
}

// A CA may have had its certificate issued anew with another key identifier, and a namesake may have that from before: it is
// the signature that says whose list is about a certificate.
func TestKeyIdentifiersDoNotDecideWhoHasSigned(t *testing.T) {
	t.Parallel()
	before := certtest.NewCA("root")
	withID := func(id []byte) certtest.Option {
		return certtest.Template(func(c *x509.Certificate) { c.SubjectKeyId = id })
	}
	anew := certtest.NewCA("root", certtest.Key(before.Key), withID([]byte("other")))
	namesake := certtest.NewCA("root", withID(before.Cert.SubjectKeyId))
	devices := before.Intermediate("devices")
	for _, cas := range [][]*x509.Certificate{
		{anew.Cert, namesake.Cert, devices.Cert},
		{devices.Cert, namesake.Cert, anew.Cert},
	} {
		g := generation(t, cas, [][]byte{revoking(anew, 1, devices.Cert)})
		if err := bothWays(t, g, devices.Issue("acme:lamp")); !errors.Is(err, pki.ErrRevoked) {
			t.Errorf("got %v, want %v", err, pki.ErrRevoked)
		}
	}
}
