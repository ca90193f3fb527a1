// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// keptBytes returns how many bytes what f returns takes. The test must not be parallel.
func keptBytes[T any](f func() T) int64 {
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	kept := f()
	after := heap()
	runtime.KeepAlive(kept)
	return after - before
}

func TestListsThatDoNotCountTakeLittleMemory(t *testing.T) {
	const n = 1000
	root := certtest.NewCA("root")
	raw, err := asn1.Marshal(pkix.Name{Organization: []string{strings.Repeat("a", 15<<10)}}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	lists := bytes.Repeat(certtest.PEMEncodeCRL(root.CRL(certtest.CRLOptions{RawIssuer: raw})), n)
	v := newVolume(t)
	v.write("others.crl", lists)
	config := v.config()
	config.CRLs = append(config.CRLs, v.path("others.crl"))
	got := keptBytes(func() *truststore.Store { return open(t, config) })
	if most := int64(len(lists) / 2); got > most {
		t.Errorf("%d bytes are kept of a file of %d, want at most %d", got, len(lists), most)
	}
}

func TestAKeyThatAListNamesIsShownInPart(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	store := openWith(t, []*x509.Certificate{root.Cert}, [][]byte{root.CRL(certtest.CRLOptions{Number: 1})})
	keyID, err := asn1.Marshal(struct {
		ID []byte `asn1:"tag:0"`
	}{bytes.Repeat([]byte{0x41}, 100_000)})
	if err != nil {
		t.Fatal(err)
	}
	forged := root.CRL(certtest.CRLOptions{Number: 2, WrongSignature: true, Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 35}, Value: keyID}}})
	_, err = store.TryFetched(t.Context(), truststore.Fetched{Name: listURL, Data: forged, SHA256: sha256.Sum256(forged)}, time.Now())
	if err == nil || !strings.Contains(err.Error(), "the list names key 4141") {
		t.Fatalf("got %.300v, want an error about the key", err)
	}
	if got, most := len(err.Error()), 600; got > most {
		t.Errorf("the error has %d bytes, want at most %d", got, most)
	}
}

// TestForgedListsAreCheckedUpToABound: somebody on the way to a CA's server can put thousands of lists before and behind those
// that it has. What is not looked at then takes nothing away, and what other CAs say counts.
func TestForgedListsAreCheckedUpToABound(t *testing.T) {
	t.Parallel()
	const n, bound = 200, 64
	for name, forgedFirst := range map[string]bool{"behind": false, "before": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, config := newRemoteScene(t)
			var r record
			config.Logger = slog.New(slog.NewTextHandler(&r, nil))
			other := certtest.NewCA("other")
			gone, bad, lost := s.root.Issue("acme:gone"), s.root.Issue("acme:bad"), other.Issue("acme:lost")
			s.write("ca.crt", s.root.PEM(), other.PEM())
			s.write("fetched.crl", revoking(s.root, 5, gone.Leaf), revoking(other, 5))
			store := open(t, config)
			forged := bytes.Repeat(certtest.PEMEncodeCRL(s.list(certtest.CRLOptions{Number: 9, WrongSignature: true})), n)
			next := [][]byte{revoking(s.root, 6, gone.Leaf, bad.Leaf), forged, revoking(other, 6, lost.Leaf)}
			wantPassed := n - bound
			if forgedFirst {
				next[0], next[1] = next[1], next[0]
				wantPassed++
			}
			want := fmt.Sprintf("of which %d were not looked at behind %d with a wrong signature", wantPassed, bound)
			if taken, err := fetch(t, store, s.volume, "fetched.crl", next...); !taken || err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("taken %v, %v, want that it is in part and %q", taken, err, want)
			}
			wantRevoked(t, store, gone, lost)
			if got := errors.Is(verify(store, bad), pki.ErrRevoked); got == forgedFirst {
				t.Errorf("what the list says that was not looked at counts: %v", got)
			}

			s.write("fetched.crl", next...) // as a start without a network might have put it there
			err := store.Reload(t.Context())
			if err == nil || !strings.Contains(err.Error(), want) || len(store.Refusals()) != 1 {
				t.Errorf("got %v, want one refusal that says %q", err, want)
			}
			if got := strings.Count(r.logged(), "wrong signature"); got != 1 {
				t.Errorf("it is logged %d times, want once:\n%s", got, r.logged())
			}
			wantRevoked(t, store, gone, lost)
			wantRevoked(t, open(t, config), gone, bad, lost) // where there is nothing to fall back on
		})
	}
}

// TestListsBehindForgedOnesInAFileCount, however many there are: several CAs may have their lists in one file, of which none
// can say what the others revoke.
func TestListsBehindForgedOnesInAFileCount(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	store := open(t, v.config())
	bad := v.root.Issue("acme:bad")
	forged := certtest.PEMEncodeCRL(v.root.CRL(certtest.CRLOptions{Number: 9, WrongSignature: true}))
	v.write("ca.crl", bytes.Repeat(forged, 200), revoking(v.root, 2, bad.Leaf))
	const want = "ECDSA verification failure; 199 more of this file do not count either"
	if err := store.Reload(t.Context()); err == nil || !strings.HasSuffix(err.Error(), want) || len(store.Refusals()) != 1 {
		t.Errorf("got %v, want one refusal that says %q", err, want)
	}
	wantRevoked(t, store, bad)
}

// TestListsThatCannotBeUsedAreToldOfTogether, whatever keeps them from it that needs no signature.
func TestListsThatCannotBeUsedAreToldOfTogether(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	other := certtest.NewCA("other")
	v.write("ca.crt", v.root.PEM(), other.PEM())
	indirect := certtest.PEMEncodeCRL(other.CRL(certtest.CRLOptions{Extensions: distributionPoint(indirectField)}))
	odd := certtest.PEMEncodeCRL(other.CRL(certtest.CRLOptions{Extensions: distributionPoint([]byte{0x89, 1, 0xff})}))
	nobodys := block("X509 CRL", []byte{0x30, 3, 2, 1, 0})
	v.write("ca.crl", revoking(v.root, 1), bytes.Repeat(slices.Concat(indirect, odd, nobodys), 100))
	store := open(t, v.config())
	var got []string
	for _, r := range store.Refusals() {
		if !strings.Contains(r.Err.Error(), "; 99 more of this file do not count either") {
			t.Errorf("%v does not tell of all", r.Err)
		}
		got = append(got, r.Name)
	}
	slices.Sort(got)
	if want := []string{"", "CN=other", "CN=other"}; !slices.Equal(got, want) {
		t.Errorf("refusals of %q, want %q", got, want)
	}
}

// partitions returns n lists of a CA, each about a distribution point of its own, counted from first. Each has a number, and
// revokes as many certificates.
func partitions(ca *certtest.CA, n, first int, number int64) []byte {
	var all [][]byte
	for i := range n {
		all = append(all, certtest.PEMEncodeCRL(ca.CRL(certtest.CRLOptions{Number: number, Fill: int(number), Extensions: distributionPoint(pointField(partition(first + i)))})))
	}
	return slices.Concat(all...)
}

func partition(i int) string { return fmt.Sprintf("http://crl.example.org/%06d.crl", i) }

// allocated returns how many bytes f allocates. The test must not be parallel.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// TestManyListsOfOneCAAreFoundByTheirScope does what compares the lists of two versions.
func TestManyListsOfOneCAAreFoundByTheirScope(t *testing.T) {
	const n = 600
	s, config := newRemoteScene(t)
	s.write("fetched.crl", partitions(s.root, n, 0, 1))
	store := open(t, config)
	wantAllocated := func(what string, most int64, f func()) {
		t.Helper()
		if got := allocated(f); got > most {
			t.Errorf("%s: %d bytes are allocated for each list, want at most %d", what, got/n, most/n)
		}
	}
	old, next := store.Current(), partitions(s.root, n, 0, 2)
	wantAllocated("fetched", n*32<<10, func() {
		_, err := store.TryFetched(t.Context(), truststore.Fetched{Name: listURL, Data: next, SHA256: sha256.Sum256(next)}, time.Now())
		if err != nil {
			t.Error(err)
		}
	})
	s.write("fetched.crl", next)
	if err := store.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantAllocated("revoked", n*1<<10, func() {
		revoked := 0
		for range old.Revoked(store.Current()) {
			revoked++
		}
		if revoked != n {
			t.Errorf("%d are revoked, want one by each list", revoked)
		}
	})
	s.write("fetched.crl", partitions(s.root, n, n, 2))
	wantAllocated("of other scopes", n*32<<10, func() {
		if err := store.Reload(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestACertificateIsReadOnceForAllLists(t *testing.T) {
	root := certtest.NewCA("root")
	device := root.Issue("acme:lamp", certtest.Template(func(c *x509.Certificate) { c.CRLDistributionPoints = []string{partition(7)} }))
	chains := [][]*x509.Certificate{{device.Leaf, root.Cert}}
	allocations := func(n int) float64 {
		g := generation(t, []*x509.Certificate{root.Cert}, [][]byte{partitions(root, n, 0, 1)}, missing(truststore.Deny))
		return testing.AllocsPerRun(10, func() {
			if _, err := g.Verify(device.Chain(), chains, time.Now()); err != nil {
				t.Fatal(err)
			}
		})
	}
	if few, many := allocations(10), allocations(100); many > 2*few { // others allocate as well
		t.Errorf("%v allocations with 100 lists, %v with 10, want as many", many, few)
	}
}
