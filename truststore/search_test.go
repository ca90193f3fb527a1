// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// There are millions of ways from one of ten CAs that have all signed each other to the one above them.
func TestEachCAAboveIsLookedAtOnce(t *testing.T) {
	t.Parallel()
	top := certtest.NewCA("top")
	all := []*x509.Certificate{top.Cert}
	var below []*certtest.CA
	for i := range 10 {
		ca := top.Intermediate(fmt.Sprint("CA ", i))
		below, all = append(below, ca), append(all, ca.Cert)
	}
	revoked := slices.Clone(all[1:])
	for i, ca := range below {
		for j, other := range below {
			if i != j {
				all = append(all, ca.Intermediate(fmt.Sprint("CA ", j), certtest.Key(other.Key)).Cert)
			}
		}
	}
	g := generation(t, all, [][]byte{revoking(top, 1, revoked...)})
	device := below[0].Issue("acme:lamp")
	chains := [][]*x509.Certificate{{device.Leaf, below[0].Cert}}
	if _, err := g.Verify(device.Chain(), chains, time.Now()); !errors.Is(err, pki.ErrRevoked) {
		t.Errorf("got %v, want %v", err, pki.ErrRevoked)
	}
}

// Whatever a stranger sends beside its own certificate, x509 does not come near the hundred signatures that it checks at most.
func TestStrangersDoNotChooseTheWork(t *testing.T) {
	t.Parallel()
	g := generation(t, []*x509.Certificate{certtest.NewCA("root").Cert}, nil)
	for name, peer := range map[string][]*x509.Certificate{
		"many CAs of one name":        underNamesakes("stranger"),
		"many CAs of the CA's name":   underNamesakes("root"),
		"two certificates of each CA": underTwins(),
	} {
		var unknown x509.UnknownAuthorityError
		if _, err := g.Verify(peer, nil, time.Now()); !errors.As(err, &unknown) {
			t.Errorf("%s: got %v, want an x509.UnknownAuthorityError", name, err)
		}
	}
}

// A device may send the CAs above its own, in any order, and others.
func TestDevicesMaySendManyCAs(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	g := generation(t, []*x509.Certificate{root.Cert}, nil)
	device := root.Intermediate("one").Intermediate("two").Intermediate("three").Intermediate("four").Issue("acme:lamp")
	chain := device.Chain()
	others := underTwins()[1:3]
	for name, sent := range map[string][]*x509.Certificate{
		"in order":     chain[1:],
		"in disorder":  {chain[3], chain[1], chain[4], chain[2]},
		"beside other": slices.Concat(others, chain[1:]),
	} {
		got, err := g.Verify(slices.Concat(chain[:1], sent), nil, time.Now())
		if err != nil || len(got) != 6 {
			t.Errorf("%s: got a chain of %d certificates and %v, want six", name, len(got), err)
		}
	}
}

// underNamesakes is what a device sends whose CA is among 150 of one name.
func underNamesakes(name string) (peer []*x509.Certificate) {
	var ca *certtest.CA
	for range 150 {
		ca = certtest.NewCA(name)
		peer = append(peer, ca.Cert)
	}
	return slices.Concat([]*x509.Certificate{ca.Issue("device").Leaf}, peer)
}

// underTwins is what a device sends that is below seven CAs, one above the other, with two certificates of each.
func underTwins() (peer []*x509.Certificate) {
	ca := certtest.NewCA("stranger")
	for layer := range 7 {
		name := fmt.Sprint("layer ", layer)
		below := ca.Intermediate(name)
		peer = append(peer, below.Cert, ca.Intermediate(name, certtest.Key(below.Key)).Cert)
		ca = below
	}
	return slices.Concat([]*x509.Certificate{ca.Issue("device").Leaf}, peer)
}
