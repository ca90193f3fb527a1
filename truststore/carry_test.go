// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// fetch has lists come from listURL, whose copy is the file of this name, and reads the files. It does as a fetcher: what
// cannot be used may leave something that is tried instead. It returns why not all of it can be used, and whether any can.
func fetch(t *testing.T, store *truststore.Store, v *volume, name string, lists ...[]byte) (taken bool, err error) {
	t.Helper()
	v.write("next.crl", lists...)
	var instead bytes.Buffer
	download := fetched(t, v.path("next.crl"))
	download.Instead = &instead
	_, err = store.TryFetched(t.Context(), download, time.Now())
	taken = err == nil
	if err != nil && instead.Len() > 0 {
		v.write("next.crl", instead.Bytes())
		_, wrong := store.TryFetched(t.Context(), fetched(t, v.path("next.crl")), time.Now())
		if wrong != nil {
			t.Errorf("what is to be used instead: %v", wrong)
		}
		taken = wrong == nil
	}
	if taken {
		if err := os.Rename(v.path("next.crl"), v.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	_ = store.Reload(t.Context()) // which gives up at once what is missing
	return taken, err
}

// TestEachListOfAURLIsJudgedByItself has the lists of two CAs come from one URL. Whatever is wrong with that of one, the
// other's counts, and nothing is forgotten: neither now nor at the next start.
func TestEachListOfAURLIsJudgedByItself(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		second func(other *certtest.CA) []byte
		want   string // what the error says
	}{
		"gone":                        {func(*certtest.CA) []byte { return nil }, `it has no newer list of "CN=other"`},
		"older":                       {listOf(certtest.CRLOptions{Number: 4, ThisUpdate: pastHours(2)}), `it has no newer list of "CN=other"`},
		"with a wrong signature":      {listOf(certtest.CRLOptions{Number: 6, WrongSignature: true}), `it has no newer list of "CN=other"`},
		"from the future":             {listOf(certtest.CRLOptions{Number: 6, ThisUpdate: pastHours(-1), NextUpdate: pastHours(-2)}), `it has no newer list of "CN=other"`},
		"no list":                     {func(*certtest.CA) []byte { return []byte("-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n") }, "no well-formed"},
		"a block that does not end":   {func(*certtest.CA) []byte { return []byte("-----BEGIN X509 CRL-----\nMIIB\n") }, "the PEM block of type"},
		"a block that does not begin": {func(*certtest.CA) []byte { return []byte("MIIB\n-----END X509 CRL-----\n") }, "begins no PEM block"},
	} {
		for order, first := range map[string]bool{"first": true, "last": false} {
			t.Run(name+" "+order, func(t *testing.T) {
				t.Parallel()
				s, config := newRemoteScene(t)
				other := certtest.NewCA("other")
				bad, lost := s.root.Issue("acme:bad"), other.Issue("acme:lost")
				s.write("ca.crt", s.root.PEM(), other.PEM())
				s.write("fetched.crl", revoking(s.root, 5), revoking(other, 5, lost.Leaf))
				store := open(t, config)
				answer := [][]byte{row.second(other), revoking(s.root, 6, bad.Leaf)}
				if !first {
					slices.Reverse(answer)
				}
				taken, err := fetch(t, store, s.volume, "fetched.crl", answer...)
				if !taken || err == nil || !strings.Contains(err.Error(), row.want) {
					t.Errorf("taken %v, %v, want that it is in part and %q", taken, err, row.want)
				}
				wantRevoked(t, store, bad, lost)
				if taken, err := fetch(t, store, s.volume, "fetched.crl", answer...); taken || err == nil || !strings.Contains(err.Error(), row.want) {
					t.Errorf("the same answer: taken %v, %v", taken, err)
				}
				store = open(t, config)
				if refusals := store.Refusals(); len(refusals) > 0 {
					t.Errorf("started again: %v", refusals)
				}
				wantRevoked(t, store, bad, lost)
				if taken, err := fetch(t, store, s.volume, "fetched.crl", revoking(s.root, 7, bad.Leaf), revoking(other, 7)); !taken || err != nil {
					t.Errorf("all is well: taken %v, %v", taken, err)
				}
				wantRevoked(t, store, bad)
				if err := verify(store, lost); err != nil {
					t.Errorf("a device that is on no list any more: %v", err)
				}
			})
		}
	}
}

func listOf(opts certtest.CRLOptions) func(*certtest.CA) []byte {
	return func(ca *certtest.CA) []byte { return certtest.PEMEncodeCRL(ca.CRL(opts)) }
}

func wantRevoked(t testing.TB, store *truststore.Store, revoked ...*certtest.Cert) {
	t.Helper()
	for _, cert := range revoked {
		if err := verify(store, cert); !errors.Is(err, pki.ErrRevoked) {
			t.Errorf("%v: %v", cert.Leaf.Subject, err)
		}
	}
}

// TestTheFirstListsOfAURLAreJudgedByThemselves: there is nothing to keep yet.
func TestTheFirstListsOfAURLAreJudgedByThemselves(t *testing.T) {
	t.Parallel()
	s, config := newRemoteScene(t)
	bad := s.root.Issue("acme:bad")
	store := open(t, config)
	answer := [][]byte{revoking(s.root, 1, bad.Leaf), []byte("-----BEGIN X509 CRL-----\nMIIB\n")}
	if taken, err := fetch(t, store, s.volume, "fetched.crl", answer...); !taken || err == nil {
		t.Errorf("taken %v, %v, want that it is in part", taken, err)
	}
	wantRevoked(t, store, bad)
	wantRevoked(t, open(t, config), bad)
}

// TestAnotherFileAddsNothing, as a list of another CA that a server has given once would have to be current for good. One
// that comes beside what was there does count.
func TestAnotherFileAddsNothing(t *testing.T) {
	t.Parallel()
	s, config := newRemoteScene(t)
	other, third := certtest.NewCA("other"), certtest.NewCA("third")
	bad, lost := s.root.Issue("acme:bad"), other.Issue("acme:lost")
	s.write("ca.crt", s.root.PEM(), other.PEM(), third.PEM())
	s.write("fetched.crl", revoking(s.root, 5), revoking(third, 5))
	store := open(t, config)
	if taken, err := fetch(t, store, s.volume, "fetched.crl", revoking(other, 1, lost.Leaf)); taken || err == nil {
		t.Errorf("a list of another CA: taken %v, %v", taken, err)
	}
	if n := len(store.Current().CRLs()); n != 2 {
		t.Errorf("%d lists are in use, want 2", n)
	}
	if taken, err := fetch(t, store, s.volume, "fetched.crl", revoking(s.root, 6, bad.Leaf), revoking(other, 1, lost.Leaf)); !taken || err == nil {
		t.Errorf("beside the next one of those that were there: taken %v, %v", taken, err)
	}
	wantRevoked(t, store, bad, lost)
}

// TestANewRootOfTheSameNameHasAListOfItsOwn: a CA that begins anew and has no cross-certificate is another CA to everybody. Its
// list comes from where that of its old root did, which speaks of devices that the new one does not. Served by somebody on
// the way, the list of a CA that happens to have the same name takes nothing away either.
func TestANewRootOfTheSameNameHasAListOfItsOwn(t *testing.T) {
	t.Parallel()
	for name, overdue := range map[string]bool{"current": false, "overdue": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, config := newRemoteScene(t)
			config.CRLExpiredGrace = 24 * time.Hour
			next := certtest.NewCA("root")
			s.write("ca.crt", s.root.PEM(), next.PEM())
			gone, bad, worse := s.root.Issue("acme:gone"), next.Issue("acme:bad"), next.Issue("acme:worse")
			opts := certtest.CRLOptions{Number: 5, ThisUpdate: pastHours(3), Revoked: []*x509.Certificate{gone.Leaf}}
			if overdue {
				opts.NextUpdate = pastHours(1)
			}
			s.write("fetched.crl", s.list(opts))
			store := open(t, config)
			wantRevoked(t, store, gone)
			const want = "signed with another key, which does not chain to the same CA"
			if taken, err := fetch(t, store, s.volume, "fetched.crl", revoking(next, 1, bad.Leaf)); !taken || err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("taken %v, %v, want that it is beside the old one and %q", taken, err, want)
			}
			wantRevoked(t, store, gone, bad)
			wantRevoked(t, open(t, config), gone, bad)
			if taken, err := fetch(t, store, s.volume, "fetched.crl", revoking(next, 2, bad.Leaf, worse.Leaf)); !taken || err == nil {
				t.Errorf("the next one: taken %v, %v", taken, err)
			}
			wantRevoked(t, store, gone, bad, worse)
			s.write("ca.crt", next.PEM())
			if err := store.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			if taken, err := fetch(t, store, s.volume, "fetched.crl", revoking(next, 3, bad.Leaf)); !taken || err != nil {
				t.Errorf("without the old root: taken %v, %v", taken, err)
			}
			wantRevoked(t, store, bad)
		})
	}
}

// TestListsInMemoryAreCarriedOver as those in a file are.
func TestListsInMemoryAreCarriedOver(t *testing.T) {
	t.Parallel()
	s, config := newRemoteScene(t)
	other := certtest.NewCA("other")
	bad, lost := s.root.Issue("acme:bad"), other.Issue("acme:lost")
	s.write("ca.crt", s.root.PEM(), other.PEM())
	use := func(data []byte) {
		s.remotes[0].Data, s.remotes[0].SHA256 = data, sha256.Sum256(data)
	}
	use(slices.Concat(revoking(s.root, 5), revoking(other, 5, lost.Leaf)))
	store := open(t, config)
	var instead bytes.Buffer
	answer := s.list(certtest.CRLOptions{Number: 6, Revoked: []*x509.Certificate{bad.Leaf}})
	_, err := store.TryFetched(t.Context(), truststore.Fetched{Name: listURL, Data: answer, SHA256: sha256.Sum256(answer), Instead: &instead}, time.Now())
	if err == nil {
		t.Error("an answer without a list of the other CA is taken as it is")
	}
	use(instead.Bytes())
	_ = store.Reload(t.Context())
	wantRevoked(t, store, bad, lost)
}

// TestAListThatIsRepeatedIsCarriedOverOnce: with each of its versions, a file would soon have more blocks than are read,
// and what it has that is new would never count.
func TestAListThatIsRepeatedIsCarriedOverOnce(t *testing.T) {
	t.Parallel()
	s, config := newRemoteScene(t)
	other := certtest.NewCA("other")
	bad, lost := s.root.Issue("acme:bad"), other.Issue("acme:lost")
	s.write("ca.crt", s.root.PEM(), other.PEM())
	s.write("fetched.crl", revoking(s.root, 5), revoking(other, 4), revoking(other, 5, lost.Leaf), revoking(other, 5, lost.Leaf))
	store := open(t, config)
	next, broken := revoking(s.root, 7, bad.Leaf), []byte("-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n")
	if taken, err := fetch(t, store, s.volume, "fetched.crl", revoking(s.root, 6), next, next, revoking(s.root, 6), broken); !taken || err == nil {
		t.Errorf("taken %v, %v, want that it is in part", taken, err)
	}
	wantRevoked(t, store, bad, lost)
	content, err := os.ReadFile(s.path("fetched.crl"))
	if n := bytes.Count(content, []byte("BEGIN X509 CRL")); err != nil || n != 2 {
		t.Errorf("the copy has %d lists (%v), want one of each CA", n, err)
	}
}

// TestTheNewestDeltaOfEachBaseIsRead: the newest delta may be ahead of its complete list, where one from before applies.
func TestTheNewestDeltaOfEachBaseIsRead(t *testing.T) {
	t.Parallel()
	s, config := newRemoteScene(t)
	at := time.Now().Add(-time.Hour)
	list := func(number int64, base byte, revoked ...*x509.Certificate) []byte {
		opts := certtest.CRLOptions{Number: number, ThisUpdate: at.Add(time.Duration(number) * time.Second), Revoked: revoked}
		if base > 0 {
			opts.Extensions = deltaOf(base)
		}
		return certtest.PEMEncodeCRL(s.root.CRL(opts))
	}
	applies, ahead := s.root.Issue("acme:applies"), s.root.Issue("acme:ahead")
	s.write("fetched.crl", list(8, 7, ahead.Leaf), list(5, 0), list(7, 5, applies.Leaf), list(6, 5), list(7, 5), list(8, 7))
	store := open(t, config)
	wantRevoked(t, store, applies, ahead)
	if got := store.Current().CRLs(); len(got) != 1 || got[0].BaseNumber == nil || got[0].Number.Int64() != 7 {
		t.Errorf("got %+v, want list 5 with delta 7", got)
	}
}
