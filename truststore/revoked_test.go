// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// swap opens a store on v, changes the volume, reloads, and returns what OnSwap was told.
func swap(t *testing.T, v *volume, change func()) (old, current *truststore.Generation) {
	t.Helper()
	config := v.config()
	calls := 0
	config.OnSwap = func(o, c *truststore.Generation) { old, current, calls = o, c, calls+1 }
	store, err := truststore.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	change()
	if err := store.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if calls != 1 || current != store.Current() || old == nil || old == current {
		t.Fatalf("got %d calls of OnSwap with %p and %p, want one with the old and the current generation", calls, old, current)
	}
	return old, current
}

// names lists revoked certificates as "issuer serial".
func names(old, current *truststore.Generation, cas ...*certtest.CA) []string {
	list := []string{}
	for issuer, serial := range old.Revoked(current) {
		name := "unknown"
		for _, ca := range cas {
			if issuer == pki.CanonicalName(ca.Cert.RawSubject) {
				name = ca.Cert.Subject.CommonName
			}
		}
		list = append(list, fmt.Sprintf("%s %v", name, new(big.Int).SetBytes(serial)))
	}
	slices.Sort(list)
	return list
}

func serials(numbers ...int64) (list []*big.Int) {
	for _, n := range numbers {
		list = append(list, big.NewInt(n))
	}
	return list
}

func TestRevokedIsWhatWasNotBefore(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	other := certtest.NewCA("other")
	v.write("ca.crt", v.root.PEM(), other.PEM())
	v.write("ca.crl", certtest.PEMEncodeCRL(v.root.CRL(certtest.CRLOptions{Number: 1, Serials: serials(7, 300, 1<<40)})))
	old, current := swap(t, v, func() {
		v.write("ca.crl",
			certtest.PEMEncodeCRL(v.root.CRL(certtest.CRLOptions{Number: 2, Serials: serials(7, 1<<40, 301, 0)})),
			certtest.PEMEncodeCRL(other.CRL(certtest.CRLOptions{Number: 1, Serials: serials(7)})))
	})
	want := []string{"other 7", "root 0", "root 301"}
	if got := names(old, current, v.root, other); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A list that begins to speak of another key of its CA revokes certificates that it has been naming all along.
func TestRevokedIsWhatAListBeginsToSpeakOf(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	before, after := root.Intermediate("devices"), root.Intermediate("devices")
	oldRoot, newRoot := certtest.NewCA("devices"), certtest.NewCA("devices")
	crossed := oldRoot.Intermediate("devices", certtest.Key(newRoot.Key))
	for name, row := range map[string]struct {
		old, new    *certtest.CA // of one name: the device is of the one, the list of the other
		first, then []*certtest.CA
		revoked     bool
	}{
		"the root above both comes":         {before, after, []*certtest.CA{before, after}, []*certtest.CA{before, after, root}, true},
		"a cross-certificate comes":         {oldRoot, newRoot, []*certtest.CA{oldRoot, newRoot}, []*certtest.CA{oldRoot, newRoot, crossed}, true},
		"the key comes that devices sent":   {before, after, []*certtest.CA{after, root}, []*certtest.CA{before, after, root}, true},
		"a CA comes that is none of theirs": {before, after, []*certtest.CA{before, after}, []*certtest.CA{before, after, certtest.NewCA("root")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			device := row.old.Issue("acme:lamp")
			v := newVolume(t)
			v.write("ca.crt", bundleOf(row.first...))
			v.write("ca.crl", revoking(row.new, 1, device.Leaf))
			old, current := swap(t, v, func() { v.write("ca.crt", bundleOf(row.then...)) })
			if err := bothWays(t, old, device); err != nil {
				t.Fatalf("before: %v", err)
			}
			if err := bothWays(t, current, device); errors.Is(err, pki.ErrRevoked) != row.revoked {
				t.Fatalf("after: got %v, want it revoked %v", err, row.revoked)
			}
			want := []string{}
			if row.revoked {
				want = append(want, fmt.Sprintf("devices %v", device.Leaf.SerialNumber))
			}
			if got := names(old, current, row.old); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// bundleOf returns the certificates of CAs as PEM.
func bundleOf(cas ...*certtest.CA) (pem []byte) {
	for _, ca := range cas {
		pem = append(pem, ca.PEM()...)
	}
	return pem
}

func TestWithdrawnCAs(t *testing.T) {
	t.Parallel()
	other := certtest.NewCA("other")
	for name, test := range map[string]struct {
		change func(v *volume, sub *certtest.CA)
		want   string
	}{
		"removed": {func(v *volume, sub *certtest.CA) { v.write("ca.crt", v.root.PEM(), sub.PEM()) }, "[other]"},
		"revoked": {func(v *volume, sub *certtest.CA) {
			v.write("ca.crl", certtest.PEMEncodeCRL(v.root.CRL(certtest.CRLOptions{Number: 2, Revoked: []*x509.Certificate{sub.Cert}})))
		}, "[sub]"},
		"added": {func(v *volume, sub *certtest.CA) {
			v.write("ca.crt", v.root.PEM(), sub.PEM(), other.PEM(), certtest.NewCA("third").PEM())
		}, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVolume(t)
			sub := v.root.Intermediate("sub")
			v.write("ca.crt", v.root.PEM(), sub.PEM(), other.PEM())
			old, current := swap(t, v, func() { test.change(v, sub) })
			var got []string
			for _, ca := range old.Withdrawn(current, time.Now()) {
				got = append(got, ca.Subject.CommonName)
			}
			if fmt.Sprint(got) != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// Comparing two lists of a million takes a fraction of what reading one does.
func BenchmarkRevokedOfAMillion(b *testing.B) {
	v := newVolume(b)
	v.write("ca.crl", v.root.CRL(certtest.CRLOptions{Number: 1, Fill: 1_000_000}))
	var old, current *truststore.Generation
	config := v.config()
	config.OnSwap = func(o, c *truststore.Generation) { old, current = o, c }
	store, err := truststore.Open(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	v.write("ca.crl", v.root.CRL(certtest.CRLOptions{Number: 2, Fill: 1_000_001}))
	if err := store.Reload(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for range old.Revoked(current) {
			n++
		}
		if n != 1 {
			b.Fatalf("got %d, want 1", n)
		}
	}
}
