// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// generation opens a store with these CAs and CRLs and returns what it holds.
func generation(t testing.TB, cas []*x509.Certificate, crls [][]byte, change ...func(*truststore.Config)) *truststore.Generation {
	t.Helper()
	return openWith(t, cas, crls, change...).Current()
}

// openWith opens a store with these CAs and CRLs.
func openWith(t testing.TB, cas []*x509.Certificate, crls [][]byte, change ...func(*truststore.Config)) *truststore.Store {
	t.Helper()
	v := newVolume(t)
	v.write("ca.crt", certtest.CertsPEM(cas...))
	v.write("ca.crl", crls...)
	config := v.config()
	if len(crls) == 0 {
		config.CRLs = nil
	}
	for _, c := range change {
		c(&config)
	}
	return open(t, config)
}

// bothWays asks with chains as crypto/tls builds them in a full handshake, and
// without, as for a resumed session. The answers must be of the same kind.
func bothWays(t *testing.T, g *truststore.Generation, device *certtest.Cert) error {
	t.Helper()
	peer := device.Chain()
	intermediates := x509.NewCertPool()
	for _, cert := range peer[1:] {
		intermediates.AddCert(cert)
	}
	_, without := g.Verify(peer, nil, time.Now())
	chains, err := peer[0].Verify(x509.VerifyOptions{
		Roots:         g.ClientCAs(),
		Intermediates: intermediates,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return without // crypto/tls would not have come to asking
	}
	if _, with := g.Verify(peer, chains, time.Now()); fmt.Sprint(with) != fmt.Sprint(without) {
		t.Errorf("with chains: %v; without: %v", with, without)
	}
	return without
}

func missing(p truststore.Policy) func(*truststore.Config) {
	return func(c *truststore.Config) { c.CRLMissing = p }
}

func TestVerifyRefusesRevokedCertificates(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	intermediate := root.Intermediate("devices")
	lower := intermediate.Intermediate("lamps")
	good, lamp := root.Issue("acme:good"), lower.Issue("acme:lamp")
	all := []*x509.Certificate{root.Cert, intermediate.Cert, lower.Cert}

	for name, row := range map[string]struct {
		cas     []*x509.Certificate
		crls    [][]byte
		device  *certtest.Cert
		revoked *x509.Certificate // nil: the device is good
		by      *certtest.CA
	}{
		"not on the list":                       {all, [][]byte{revoking(root, 1, good.Leaf)}, lamp, nil, nil},
		"leaf of the root":                      {all, [][]byte{revoking(root, 1, good.Leaf)}, good, good.Leaf, root},
		"leaf of an intermediate":               {all, [][]byte{revoking(lower, 1, lamp.Leaf)}, lamp, lamp.Leaf, lower},
		"serial number of another CA":           {all, [][]byte{revoking(root, 1, lamp.Leaf)}, lamp, nil, nil},
		"intermediate that is sent":             {all[:1], [][]byte{revoking(root, 1, intermediate.Cert)}, lamp, intermediate.Cert, root},
		"intermediate in the bundle":            {all, [][]byte{revoking(root, 1, intermediate.Cert)}, lamp, intermediate.Cert, root},
		"lower intermediate in the bundle":      {all, [][]byte{revoking(intermediate, 1, lower.Cert)}, lamp, lower.Cert, intermediate},
		"intermediate above another one":        {all[:2], [][]byte{revoking(root, 1, intermediate.Cert)}, lamp, intermediate.Cert, root},
		"CRLs of all":                           {all, [][]byte{revoking(root, 1), revoking(intermediate, 1), revoking(lower, 1)}, lamp, nil, nil},
		"external intermediate, root unknown":   {all[1:], nil, lamp, nil, nil},
		"leaf of an external one":               {all[1:], [][]byte{revoking(lower, 1, lamp.Leaf)}, lamp, lamp.Leaf, lower},
		"root on its own list means nothing":    {all, [][]byte{revoking(root, 1, root.Cert)}, lamp, nil, nil},
		"on the list of higher number":          {all, [][]byte{revoking(root, 2, good.Leaf), revoking(root, 1)}, good, good.Leaf, root},
		"no longer on the one of higher number": {all, [][]byte{revoking(root, 1, good.Leaf), revoking(root, 2)}, good, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := bothWays(t, generation(t, row.cas, row.crls), row.device)
			if row.revoked == nil {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if !errors.Is(err, pki.ErrRevoked) {
				t.Fatalf("got %v, want %v", err, pki.ErrRevoked)
			}
			want := fmt.Sprintf("serial %x of %q", row.revoked.SerialNumber, row.by.Cert.Subject)
			if !strings.Contains(err.Error(), want) {
				t.Errorf("got error %q, want it to say %q", err, want)
			}
		})
	}
}

func TestVerifyPassesErrorsOfX509On(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	g := generation(t, []*x509.Certificate{root.Cert}, nil)

	err := bothWays(t, g, certtest.NewCA("root").Issue("acme:lamp"))
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
		t.Errorf("stranger: got %v", err)
	}
	err = bothWays(t, g, root.Issue("acme:lamp", certtest.NotAfter(time.Now().Add(-time.Second))))
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); !ok || invalid.Reason != x509.Expired {
		t.Errorf("expired: got %v", err)
	}
	err = bothWays(t, g, root.Issue("acme:lamp", certtest.Server("lamp")))
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); !ok || invalid.Reason != x509.IncompatibleUsage {
		t.Errorf("not for clients: got %v", err)
	}
}

func TestVerifyUsesTheGivenTime(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root", certtest.NotAfter(time.Now().Add(1000*time.Hour))) // or it may end a second before the device's
	device := root.Issue("acme:lamp")
	g := generation(t, []*x509.Certificate{root.Cert}, nil)
	for name, chains := range map[string][][]*x509.Certificate{
		"with chains": {{device.Leaf, root.Cert}},
		"without":     nil,
	} {
		if _, err := g.Verify(device.Chain(), chains, device.Leaf.NotAfter); err != nil {
			t.Errorf("%s, at its end: %v", name, err)
		}
		for moment, when := range map[string]time.Time{
			"after its end":        device.Leaf.NotAfter.Add(time.Second),
			"before its beginning": device.Leaf.NotBefore.Add(-time.Second),
		} {
			_, err := g.Verify(device.Chain(), chains, when)
			if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); !ok || invalid.Reason != x509.Expired {
				t.Errorf("%s, %s: got %v, want that it is not valid then", name, moment, err)
			}
		}
	}
}

// A chain that a resumed session brings from an earlier generation may end at a
// certificate that its CA has renewed since: the device is as good as before.
func TestChainOfAnEarlierGenerationIsBuiltAnew(t *testing.T) {
	t.Parallel()
	old := certtest.NewCA("root")
	renewed := certtest.NewCA("root", certtest.Key(old.Key))
	device := old.Issue("acme:lamp")
	earlier := [][]*x509.Certificate{{device.Leaf, old.Cert}}
	if _, err := generation(t, []*x509.Certificate{renewed.Cert}, nil).Verify(device.Chain(), earlier, time.Now()); err != nil {
		t.Errorf("got %v, want the device accepted", err)
	}
}

func TestVerifyRefusesAPeerWithoutCertificate(t *testing.T) {
	t.Parallel()
	g := generation(t, []*x509.Certificate{certtest.NewCA("root").Cert}, nil)
	if _, err := g.Verify(nil, nil, time.Now()); !errors.Is(err, truststore.ErrNoCertificate) {
		t.Errorf("got %v, want %v", err, truststore.ErrNoCertificate)
	}
}

func TestVerifyRefusesChainsOfOtherCAs(t *testing.T) {
	t.Parallel()
	g := generation(t, []*x509.Certificate{certtest.NewCA("root").Cert}, nil)
	stranger := certtest.NewCA("stranger")
	device := stranger.Issue("acme:lamp")
	chains := [][]*x509.Certificate{{device.Leaf, stranger.Cert}}
	_, err := g.Verify(device.Chain(), chains, time.Now())
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
		t.Errorf("got %v, want an unknown authority", err)
	}
}

func TestDeviceInTheBundleDoesNotVouchForItself(t *testing.T) {
	t.Parallel()
	root, stranger := certtest.NewCA("root"), certtest.NewCA("stranger")
	device := stranger.Issue("acme:lamp")
	g := generation(t, []*x509.Certificate{root.Cert, device.Leaf}, nil)
	if err := bothWays(t, g, device); err == nil {
		t.Error("accepted a device that no CA of the bundle has signed")
	}
	if err := bothWays(t, g, root.Issue("acme:other")); err != nil {
		t.Errorf("refused a good device: %v", err)
	}
}

func TestRootsFromBeforeVersionThreeAreCAs(t *testing.T) {
	t.Parallel()
	old, root := certtest.NewCA("old"), certtest.NewCA("root")
	g := generation(t, []*x509.Certificate{versionOne(t, old), root.Cert}, nil)
	if err := bothWays(t, g, old.Issue("acme:lamp")); err != nil {
		t.Errorf("refused: %v", err)
	}
	if got := len(g.CAs()); got != 2 {
		t.Errorf("%d CAs, want 2", got)
	}
}

func TestDevicesFromBeforeVersionThreeAreNoCAs(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	g := generation(t, []*x509.Certificate{versionOne(t, certtest.NewCA("root").Intermediate("acme:lamp")), root.Cert}, nil)
	if got := len(g.CAs()); got != 1 {
		t.Errorf("%d CAs, want 1", got)
	}
}

func TestOneGoodChainIsEnough(t *testing.T) {
	t.Parallel()
	first, second := certtest.NewCA("first"), certtest.NewCA("second")
	issuer := first.Intermediate("devices")
	crossed := second.Intermediate("devices", certtest.Key(issuer.Key))
	device := issuer.Issue("acme:lamp")
	cas := []*x509.Certificate{first.Cert, second.Cert, issuer.Cert, crossed.Cert}

	g := generation(t, cas, [][]byte{revoking(first, 1, issuer.Cert), revoking(second, 1)})
	if err := bothWays(t, g, device); err != nil {
		t.Errorf("refused though the way to the second root is good: %v", err)
	}
	g = generation(t, cas, [][]byte{revoking(first, 1, issuer.Cert), revoking(second, 1, crossed.Cert)})
	if err := bothWays(t, g, device); !errors.Is(err, pki.ErrRevoked) {
		t.Errorf("got %v, want %v", err, pki.ErrRevoked)
	}
}

func TestReissuedCASharesItsCRL(t *testing.T) {
	t.Parallel()
	old := certtest.NewCA("root")
	renewed := certtest.NewCA("root", certtest.Key(old.Key))
	device := old.Issue("acme:lamp")
	for name, ca := range map[string]*certtest.CA{"old": old, "renewed": renewed} {
		g := generation(t, []*x509.Certificate{ca.Cert}, [][]byte{revoking(old, 1, device.Leaf)})
		if err := bothWays(t, g, device); !errors.Is(err, pki.ErrRevoked) {
			t.Errorf("%s: got %v, want %v", name, err, pki.ErrRevoked)
		}
	}
}

func TestRootIsNotRevokedByItself(t *testing.T) {
	t.Parallel()
	old := certtest.NewCA("root")
	renewed := certtest.NewCA("root", certtest.Key(old.Key))
	g := generation(t, []*x509.Certificate{old.Cert, renewed.Cert}, [][]byte{revoking(old, 1, old.Cert, renewed.Cert)})
	if err := bothWays(t, g, old.Issue("acme:lamp")); err != nil {
		t.Errorf("refused: %v", err)
	}
}

func TestRevocationIsToldRatherThanDoubt(t *testing.T) {
	t.Parallel()
	for _, revoker := range []string{"first", "second"} {
		first, second := certtest.NewCA("first"), certtest.NewCA("second")
		issuer := first.Intermediate("devices")
		crossed := second.Intermediate("devices", certtest.Key(issuer.Key))
		crls := [][]byte{revoking(issuer, 1)}
		if revoker == "first" {
			crls = append(crls, revoking(first, 1, issuer.Cert)) // and none of the second
		} else {
			crls = append(crls, revoking(second, 1, crossed.Cert))
		}
		cas := []*x509.Certificate{first.Cert, second.Cert, issuer.Cert, crossed.Cert}
		err := bothWays(t, generation(t, cas, crls, missing(truststore.Deny)), issuer.Issue("acme:lamp"))
		if !errors.Is(err, pki.ErrRevoked) {
			t.Errorf("revoked by the %s: got %v, want %v", revoker, err, pki.ErrRevoked)
		}
	}
}

func TestNamesakeCAsHaveTheirOwnCRLs(t *testing.T) {
	t.Parallel()
	one, two := certtest.NewCA("root"), certtest.NewCA("root")
	serial := certtest.Serial(big.NewInt(4711))
	good, bad := one.Issue("acme:good", serial), two.Issue("acme:bad", serial)
	g := generation(t, []*x509.Certificate{one.Cert, two.Cert}, [][]byte{revoking(two, 1, bad.Leaf)})
	if err := bothWays(t, g, good); err != nil {
		t.Errorf("refused by the list of another CA: %v", err)
	}
	if err := bothWays(t, g, bad); !errors.Is(err, pki.ErrRevoked) {
		t.Errorf("got %v, want %v", err, pki.ErrRevoked)
	}
}

func TestCAsThatSignedEachOtherAreNoLoop(t *testing.T) {
	t.Parallel()
	a, b := certtest.NewCA("a"), certtest.NewCA("b")
	aByB := b.Intermediate("a", certtest.Key(a.Key))
	bByA := a.Intermediate("b", certtest.Key(b.Key))
	device := a.Issue("acme:lamp")
	cas := []*x509.Certificate{aByB.Cert, bByA.Cert}
	if err := bothWays(t, generation(t, cas, nil), device); err != nil {
		t.Errorf("refused: %v", err)
	}
	g := generation(t, cas, [][]byte{revoking(b, 1, aByB.Cert)})
	if err := bothWays(t, g, device); !errors.Is(err, pki.ErrRevoked) {
		t.Errorf("got %v, want %v", err, pki.ErrRevoked)
	}
}

func TestMissingCRLIsDecidedByPolicy(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	intermediate := root.Intermediate("devices")
	device := intermediate.Issue("acme:lamp")
	all := []*x509.Certificate{root.Cert, intermediate.Cert}
	usersOnly := certtest.PEMEncodeCRL(root.CRL(certtest.CRLOptions{Extensions: distributionPoint(usersOnlyField)}))
	for name, row := range map[string]struct {
		cas  []*x509.Certificate
		crls [][]byte
		deny bool // what Deny does
	}{
		"none":                      {all, nil, true},
		"none of the root":          {all, [][]byte{revoking(intermediate, 1)}, true},
		"none of the intermediate":  {all, [][]byte{revoking(root, 1)}, true},
		"of both":                   {all, [][]byte{revoking(root, 1), revoking(intermediate, 1)}, false},
		"root unknown":              {all[1:], [][]byte{revoking(intermediate, 1)}, false},
		"of the root only on users": {all, [][]byte{usersOnly, revoking(intermediate, 1)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := bothWays(t, generation(t, row.cas, row.crls, missing(truststore.Allow)), device); err != nil {
				t.Errorf("allow: %v", err)
			}
			err := bothWays(t, generation(t, row.cas, row.crls, missing(truststore.Deny)), device)
			if errors.Is(err, pki.ErrRevocationUnknown) != row.deny || !row.deny && err != nil {
				t.Errorf("deny: got %v, want refusal %v", err, row.deny)
			}
		})
	}
}

func TestExpiredCRLIsDecidedByPolicyAndGrace(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	device, revoked := root.Issue("acme:lamp"), root.Issue("acme:gone")
	due := time.Now().Truncate(time.Second)
	crl := root.CRL(certtest.CRLOptions{
		ThisUpdate: due.Add(-time.Hour), NextUpdate: due, Revoked: []*x509.Certificate{revoked.Leaf},
	})
	const grace = time.Hour
	for name, row := range map[string]struct {
		policy truststore.Policy
		now    time.Time
		good   bool
	}{
		"allow, just due":           {truststore.Allow, due, true},
		"allow, begin of the grace": {truststore.Allow, due.Add(1), true},
		"allow, end of the grace":   {truststore.Allow, due.Add(grace), true},
		"allow, beyond the grace":   {truststore.Allow, due.Add(grace + 1), false},
		"deny, just due":            {truststore.Deny, due, true},
		"deny, overdue":             {truststore.Deny, due.Add(1), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := generation(t, []*x509.Certificate{root.Cert}, [][]byte{crl}, func(c *truststore.Config) {
				c.CRLExpired, c.CRLExpiredGrace = row.policy, grace
			})
			_, err := g.Verify(device.Chain(), nil, row.now)
			if row.good != (err == nil) || !row.good && !errors.Is(err, pki.ErrRevocationUnknown) {
				t.Errorf("good device: got %v, want accepted %v", err, row.good)
			}
			if _, err := g.Verify(revoked.Chain(), nil, row.now); !errors.Is(err, pki.ErrRevoked) {
				t.Errorf("revoked device: got %v, want %v", err, pki.ErrRevoked)
			}
		})
	}
}

func TestCRLWithoutNextUpdateIsNeverOverdue(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	device := root.Issue("acme:lamp")
	g := generation(t, []*x509.Certificate{root.Cert}, [][]byte{root.CRL(certtest.CRLOptions{NoNextUpdate: true})},
		func(c *truststore.Config) { c.CRLExpired = truststore.Deny })
	if _, err := g.Verify(device.Chain(), nil, time.Now().Add(23*time.Hour)); err != nil {
		t.Error(err)
	}
}

func TestPartsOfAPartitionedCRLCountTogether(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	one, two, good := root.Issue("acme:1"), root.Issue("acme:2"), root.Issue("acme:3")
	part := func(number int64, name string, revoked *certtest.Cert) []byte {
		return certtest.PEMEncodeCRL(root.CRL(certtest.CRLOptions{
			Number: number, Extensions: distributionPoint(pointField(name)), Revoked: []*x509.Certificate{revoked.Leaf},
		}))
	}
	g := generation(t, []*x509.Certificate{root.Cert}, [][]byte{part(5, "one", one), part(3, "two", two)})
	for _, device := range []*certtest.Cert{one, two} {
		if err := bothWays(t, g, device); !errors.Is(err, pki.ErrRevoked) {
			t.Errorf("%v: got %v, want %v", device.Leaf.Subject, err, pki.ErrRevoked)
		}
	}
	if err := bothWays(t, g, good); err != nil {
		t.Errorf("refused: %v", err)
	}
}

func TestVerifyDoesNotAllocateForGivenChains(t *testing.T) {
	// Not parallel: it counts allocations.
	root := certtest.NewCA("root")
	intermediate := root.Intermediate("devices")
	device := intermediate.Issue("acme:lamp")
	g := generation(t, []*x509.Certificate{root.Cert, intermediate.Cert}, [][]byte{revoking(root, 1, root.Issue("x").Leaf)})
	peer, now := device.Chain(), time.Now()
	chains := [][]*x509.Certificate{{device.Leaf, intermediate.Cert}}
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := g.Verify(peer, chains, now); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}

func BenchmarkVerify(b *testing.B) {
	root := certtest.NewCA("root")
	intermediate := root.Intermediate("devices")
	device := intermediate.Issue("acme:lamp")
	g := generation(b, []*x509.Certificate{root.Cert, intermediate.Cert}, [][]byte{revoking(root, 1), revoking(intermediate, 1)})
	peer, now := device.Chain(), time.Now()
	for name, chains := range map[string][][]*x509.Certificate{
		"full":    {{device.Leaf, intermediate.Cert, root.Cert}, {device.Leaf, intermediate.Cert}},
		"resumed": nil,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Verify(peer, chains, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
