// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// deltaScene is a CA whose list and delta are files.
type deltaScene struct {
	*volume
	t                *testing.T
	ca               *certtest.CA
	held, lost, good *certtest.Cert
	began            time.Time // lists are from so many seconds later as their number says
	store            *truststore.Store
	swaps            [][2]*truststore.Generation
}

// newDeltaScene has held on the list, number 5, and a delta without changes.
func newDeltaScene(t *testing.T) *deltaScene {
	t.Helper()
	v := newVolume(t)
	s := &deltaScene{volume: v, t: t, ca: v.root, held: v.root.Issue("acme:held"), lost: v.root.Issue("acme:lost"), good: v.root.Issue("acme:good"),
		began: time.Now().Add(-time.Hour).Truncate(time.Second)}
	s.complete(5, s.held)
	s.delta(6, 5, nil)
	config := v.config()
	config.CRLs = []string{v.path("ca.crl"), v.path("delta.crl")}
	config.OnSwap = func(old, current *truststore.Generation) {
		s.swaps = append(s.swaps, [2]*truststore.Generation{old, current})
	}
	s.store = open(t, config)
	return s
}

func (s *deltaScene) complete(number int64, revoked ...*certtest.Cert) {
	opts := certtest.CRLOptions{Number: number, ThisUpdate: s.issued(number)}
	for _, cert := range revoked {
		opts.Revoked = append(opts.Revoked, cert.Leaf)
	}
	s.write("ca.crl", s.ca.CRL(opts))
}

func (s *deltaScene) delta(number int64, base byte, removed *certtest.Cert, revoked ...*certtest.Cert) {
	opts := certtest.CRLOptions{Number: number, ThisUpdate: s.issued(number), Extensions: deltaOf(base)}
	for _, cert := range revoked {
		opts.Revoked = append(opts.Revoked, cert.Leaf)
	}
	if removed != nil {
		opts.Removed = []*big.Int{removed.Leaf.SerialNumber}
	}
	s.write("delta.crl", s.ca.CRL(opts))
}

// issued is when a list was made. A higher number is from later: one that is lower and from later is that of a CA that
// has begun to count anew.
func (s *deltaScene) issued(number int64) time.Time {
	return s.began.Add(time.Duration(number) * time.Second)
}

// wants reads the files and fails unless exactly these are revoked.
func (s *deltaScene) wants(step string, revoked ...*certtest.Cert) {
	s.t.Helper()
	err := s.store.Reload(s.t.Context())
	for _, cert := range []*certtest.Cert{s.held, s.lost, s.good} {
		if got, want := errors.Is(verify(s.store, cert), pki.ErrRevoked), slices.Contains(revoked, cert); got != want {
			s.t.Errorf("%s: %v is revoked %v, want %v (%v)", step, cert.Leaf.Subject, got, want, err)
		}
	}
}

func TestADeltaSaysWhatHasChanged(t *testing.T) {
	t.Parallel()
	s := newDeltaScene(t)
	s.wants("at the start", s.held)
	s.delta(7, 5, nil, s.lost)
	s.wants("one more is revoked", s.held, s.lost)
	s.delta(8, 5, s.held, s.lost)
	s.wants("another one is released", s.lost)
	s.complete(9, s.lost)
	s.wants("the next complete list says the same", s.lost)
	s.delta(10, 9, nil, s.good)
	s.wants("and has a delta", s.lost, s.good)
	list := s.store.Current().CRLs()
	if len(list) != 1 || list[0].Number.Int64() != 10 || list[0].BaseNumber.Int64() != 9 || list[0].DeltaPath != s.path("delta.crl") || list[0].Entries != 2 {
		t.Errorf("got %+v, want one list with its delta", list)
	}
}

// What a delta revokes counts at once, whether its list has come or not. What it removes has to wait, as the list may have
// more to say about that.
func TestADeltaMayComeBeforeItsList(t *testing.T) {
	t.Parallel()
	s := newDeltaScene(t)
	s.delta(7, 5, nil, s.lost)
	s.wants("before", s.held, s.lost)
	s.delta(9, 8, s.held, s.good) // to a list that is not there
	s.wants("the delta is ahead", s.held, s.lost, s.good)
	if notices := fmt.Sprint(s.store.Notices()); !strings.Contains(notices, "delta CRL does not apply to the complete list yet") || !strings.Contains(notices, "that is number 5, and number 8 or later is needed") {
		t.Errorf("notices %s", notices)
	}
	if list := s.store.Current().CRLs(); len(list) != 1 || list[0].Number.Int64() != 7 || list[0].BaseNumber.Int64() != 5 || list[0].Entries != 3 {
		t.Errorf("got %+v, want the list with the delta that applies, and 3 entries", list)
	}
	s.complete(8, s.held, s.lost)
	s.wants("its list comes", s.lost, s.good)
	if len(s.store.Notices()) != 0 || len(s.store.Refusals()) != 0 {
		t.Errorf("notices %v, refusals %v", s.store.Notices(), s.store.Refusals())
	}
}

// A delta to a later list does not repeat what that list has taken over.
func TestWhatADeltaHasRevokedStaysUntilItsListComes(t *testing.T) {
	t.Parallel()
	s := newDeltaScene(t)
	s.delta(9, 8, nil, s.lost)
	s.wants("ahead", s.held, s.lost)
	s.delta(10, 8, nil, s.good)
	s.wants("the next one to the same list releases what the list has not", s.held, s.good)
	s.delta(12, 11, s.held)
	s.wants("one to a later list", s.held, s.good)
	s.complete(8)
	s.wants("the first of the lists: the delta to it applies", s.good)
	s.complete(11, s.lost)
	s.wants("the next one", s.lost)
	if len(s.store.Notices()) != 0 || len(s.store.Refusals()) != 0 {
		t.Errorf("notices %v, refusals %v", s.store.Notices(), s.store.Refusals())
	}
}

// TestAFetchedDeltaAheadOfItsListLeavesTheOneInUse, which a start needs while the list does not come: what it revokes is
// on no other one.
func TestAFetchedDeltaAheadOfItsListLeavesTheOneInUse(t *testing.T) {
	t.Parallel()
	s := newDeltaScene(t)
	s.delta(7, 5, nil, s.lost)
	config := s.config()
	config.CRLs = []string{s.path("ca.crl")}
	config.Remotes = func() []truststore.Remote { return []truststore.Remote{{Name: listURL, File: s.path("delta.crl")}} }
	s.store = open(t, config)
	comes := func(number int64, base byte, want string, revoked ...*certtest.Cert) {
		t.Helper()
		opts := certtest.CRLOptions{Number: number, ThisUpdate: s.issued(number), Extensions: deltaOf(base)}
		for _, cert := range revoked {
			opts.Revoked = append(opts.Revoked, cert.Leaf)
		}
		taken, err := fetch(t, s.store, s.volume, "delta.crl", s.ca.CRL(opts))
		if !taken || (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("delta %d: taken %v, %v, want that it is and %q", number, taken, err, want)
		}
	}
	const ahead = `the complete list of "CN=root" has not come yet`
	wants := func(step string, revoked ...*certtest.Cert) {
		t.Helper()
		s.wants(step, revoked...)
		s.store = open(t, config)
		s.wants(step+", started again", revoked...)
	}
	comes(8, 5, "", s.lost)
	wants("the next delta", s.held, s.lost)
	comes(10, 9, ahead, s.good)
	wants("one that is ahead", s.held, s.lost, s.good)
	comes(11, 9, ahead)
	wants("the next one of these", s.held, s.lost)
	comes(12, 9, ahead, s.good)
	comes(14, 13, ahead)
	wants("one to a later list", s.held, s.lost, s.good)
	s.complete(9)
	wants("the first of the lists", s.good)
	s.complete(13, s.held)
	wants("the next one", s.held)
	comes(15, 13, "", s.lost)
	wants("a delta that applies", s.held, s.lost)
	if found, _ := os.ReadFile(s.path("delta.crl")); bytes.HasPrefix(found, []byte("-----")) {
		t.Error("deltas that are not needed any more are still there")
	}
}

// TestAnOlderDeltaInPlaceOfOneThatIsAheadIsRefused, also where another file has the newest delta, so that the one in its place
// is only one of several in use.
func TestAnOlderDeltaInPlaceOfOneThatIsAheadIsRefused(t *testing.T) {
	t.Parallel()
	s := newDeltaScene(t)
	s.delta(10, 9, nil)
	of := func(number int64, base byte, revoked ...*x509.Certificate) []byte {
		return s.ca.CRL(certtest.CRLOptions{Number: number, ThisUpdate: s.issued(number), Extensions: deltaOf(base), Revoked: revoked})
	}
	s.write("fetched.crl", of(8, 7, s.lost.Leaf))
	config := s.config()
	config.CRLs = []string{s.path("ca.crl"), s.path("delta.crl")}
	config.Remotes = func() []truststore.Remote { return []truststore.Remote{{Name: listURL, File: s.path("fetched.crl")}} }
	s.store = open(t, config)
	const want = `it has no newer delta CRL of "CN=root" than the one in use (number 8 of `
	if taken, err := fetch(t, s.store, s.volume, "fetched.crl", of(7, 5)); taken || err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("taken %v, %v, want %q", taken, err, want)
	}
	s.wants("with the older one", s.held, s.lost)
}

func TestADeltaThatIsNoneOfThisListChangesNothing(t *testing.T) {
	t.Parallel()
	other := certtest.NewCA("other")
	sameName := certtest.NewCA("root")
	for name, row := range map[string]struct {
		ca         *certtest.CA // nil is that of the scene
		extensions []pkix.Extension
		wrong      bool
	}{
		"of another CA":                {ca: other},
		"of another CA of this name":   {ca: sameName},
		"of another scope":             {extensions: distributionPoint(usersOnlyField)},
		"signed by nobody":             {wrong: true},
		"with another distribution":    {extensions: distributionPoint(pointField("http://x"))},
		"about some reasons, as it is": {extensions: distributionPoint(compromisedField)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newDeltaScene(t)
			ca := s.ca
			if row.ca != nil {
				ca = row.ca
			}
			s.write("delta.crl", ca.CRL(certtest.CRLOptions{
				Number: 9, Extensions: slices.Concat(deltaOf(5), row.extensions), WrongSignature: row.wrong,
				Revoked: []*x509.Certificate{s.good.Leaf}, Removed: []*big.Int{s.held.Leaf.SerialNumber},
			}))
			s.wants("with it", s.held)
		})
	}
}

func TestAnOlderDeltaIsAReplay(t *testing.T) {
	t.Parallel()
	s := newDeltaScene(t)
	s.delta(8, 5, nil, s.lost)
	s.wants("before", s.held, s.lost)
	s.write("delta.crl", s.ca.CRL(certtest.CRLOptions{Number: 7, Extensions: deltaOf(5), ThisUpdate: s.store.Current().CRLs()[0].ThisUpdate.Add(-3600e9)}))
	s.wants("an older one", s.held, s.lost)
	if refusals := fmt.Sprint(s.store.Refusals()); !strings.Contains(refusals, "is older") {
		t.Errorf("refusals %s", refusals)
	}
}

// A CA that was restored from a backup counts anew. Until the new list has come, nothing that the delta to the one before
// has revoked comes in again; from then on, that delta says nothing.
func TestDeltasOfACAThatCountsAnew(t *testing.T) {
	t.Parallel()
	s := newDeltaScene(t)
	s.delta(8, 5, s.held, s.lost)
	s.wants("before", s.lost)
	old := s.began
	s.began = s.began.Add(30 * time.Minute)
	s.delta(4, 2, nil, s.lost)
	s.wants("a new delta without its list", s.lost)
	if notices := fmt.Sprint(s.store.Notices()); !strings.Contains(notices, "the delta has number 4 and is from later: the CA has begun to count anew") {
		t.Errorf("notices %s", notices)
	}
	s.complete(2, s.held)
	s.wants("the new list", s.held, s.lost)
	s.complete(7, s.held, s.good)
	s.wants("the next one", s.held, s.good)
	s.began = old
	s.delta(8, 5, s.held, s.lost)
	s.wants("the old delta is replayed", s.held, s.good)
	config := s.config()
	config.CRLs = []string{s.path("ca.crl"), s.path("delta.crl")}
	s.store = open(t, config)
	s.wants("and is all there is at the start", s.held, s.good)
}

// Somebody who puts the delta where the list was has not meant to take the list away.
func TestADeltaInThePlaceOfItsListLeavesTheList(t *testing.T) {
	t.Parallel()
	s := newDeltaScene(t)
	s.write("ca.crl", s.ca.CRL(certtest.CRLOptions{Number: 7, ThisUpdate: s.issued(7), Extensions: deltaOf(5), Revoked: []*x509.Certificate{s.lost.Leaf}}))
	s.wants("in its place", s.held, s.lost)
	if refusals := fmt.Sprint(s.store.Refusals()); !strings.Contains(refusals, "no file has the complete list that it applies to") {
		t.Errorf("refusals %s", refusals)
	}
	s.complete(8, s.held)
	s.wants("the list is back", s.held)
	if refusals := fmt.Sprint(s.store.Refusals()); strings.Contains(refusals, "no file has the complete list") {
		t.Errorf("refusals %s", refusals)
	}
}

func TestLiveSessionsHearOfADelta(t *testing.T) {
	t.Parallel()
	s := newDeltaScene(t)
	s.delta(7, 5, nil, s.lost)
	s.wants("revoked", s.held, s.lost)
	s.delta(8, 5, s.held, s.lost)
	s.wants("released", s.lost)
	s.delta(9, 5, nil, s.lost)
	s.wants("revoked again", s.held, s.lost)
	s.delta(12, 11, nil, s.good)
	s.wants("revoked before the list has come", s.held, s.lost, s.good)
	var got []string
	for _, swap := range s.swaps {
		got = append(got, strings.Join(names(swap[0], swap[1], s.ca), ","))
	}
	want := []string{"root " + s.lost.Leaf.SerialNumber.String(), "", "root " + s.held.Leaf.SerialNumber.String(), "root " + s.good.Leaf.SerialNumber.String()}
	if !slices.Equal(got, want) {
		t.Errorf("newly revoked were %q, want %q", got, want)
	}
}

func TestListsAboutSomeReasonsCoverTogether(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	lost, stolen, good := root.Issue("acme:lost"), root.Issue("acme:stolen"), root.Issue("acme:good")
	part := func(field []byte, revoked ...*certtest.Cert) []byte {
		opts := certtest.CRLOptions{Extensions: distributionPoint(field)}
		for _, cert := range revoked {
			opts.Revoked = append(opts.Revoked, cert.Leaf)
		}
		return certtest.PEMEncodeCRL(root.CRL(opts))
	}
	compromised, others := part(compromisedField, stolen), part(otherReasonsField, lost)
	overdue := certtest.PEMEncodeCRL(root.CRL(certtest.CRLOptions{
		Extensions: distributionPoint(otherReasonsField), ThisUpdate: pastHours(3), NextUpdate: pastHours(2),
	}))
	complete := certtest.PEMEncodeCRL(root.CRL(certtest.CRLOptions{}))
	for name, row := range map[string]struct {
		crls [][]byte
		want error // of the good one
	}{
		"both parts":                      {[][]byte{compromised, others}, nil},
		"one part":                        {[][]byte{compromised}, pki.ErrRevocationUnknown},
		"one of them overdue":             {[][]byte{compromised, overdue}, pki.ErrRevocationUnknown},
		"one overdue, and a complete one": {[][]byte{overdue, complete}, nil},
	} {
		g := generation(t, []*x509.Certificate{root.Cert}, row.crls, missing(truststore.Deny), func(c *truststore.Config) { c.CRLExpired = truststore.Deny })
		if err := bothWays(t, g, good); !errors.Is(err, row.want) {
			t.Errorf("%s: got %v, want %v", name, err, row.want)
		}
	}
	g := generation(t, []*x509.Certificate{root.Cert}, [][]byte{compromised, others}, missing(truststore.Deny))
	for _, cert := range []*certtest.Cert{lost, stolen} {
		if err := bothWays(t, g, cert); !errors.Is(err, pki.ErrRevoked) {
			t.Errorf("%v: got %v", cert.Leaf.Subject, err)
		}
	}
}

// TestTheOrderInWhichListsComeDoesNotMatter has a complete list and two deltas come in every order: one to the list before
// it, which is not needed any more once it has come, and one to itself.
func TestTheOrderInWhichListsComeDoesNotMatter(t *testing.T) {
	t.Parallel()
	steps := map[byte]func(*deltaScene){
		'a': func(s *deltaScene) { s.delta(7, 5, nil, s.lost) },
		'b': func(s *deltaScene) { s.complete(8, s.held, s.lost) },
		'c': func(s *deltaScene) { s.delta(9, 8, s.held, s.good) },
	}
	for _, order := range []string{"abc", "acb", "bac", "bca", "cab", "cba"} {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			s := newDeltaScene(t)
			for _, step := range []byte(order) {
				steps[step](s)
				_ = s.store.Reload(t.Context()) // which refuses the first delta after the second
			}
			s.wants(order, s.lost, s.good)
		})
	}
}

// TestAnyOrderOfListsAndDeltasEndsTheSame is the property for longer histories, in which newer complete lists come, too: once
// everything has come, the newest list with the newest delta counts, whatever came last. In one of them the CA begins to count anew.
func TestAnyOrderOfListsAndDeltasEndsTheSame(t *testing.T) {
	t.Parallel()
	anew := func(step func(*deltaScene)) func(*deltaScene) {
		return func(s *deltaScene) {
			before := s.began
			s.began = before.Add(30 * time.Minute)
			step(s)
			s.began = before
		}
	}
	for name, row := range map[string]struct {
		steps        []func(*deltaScene)
		number, base int64 // of what counts in the end
	}{
		"one count": {[]func(*deltaScene){
			func(s *deltaScene) { s.delta(7, 5, nil, s.lost) },
			func(s *deltaScene) { s.complete(8, s.held, s.lost) },
			func(s *deltaScene) { s.delta(9, 8, s.held, s.good) },
			func(s *deltaScene) { s.delta(10, 8, nil, s.good) },
			func(s *deltaScene) { s.complete(11, s.held, s.good) },
			func(s *deltaScene) { s.delta(12, 11, s.good, s.lost) },
		}, 12, 11},
		"counted anew": {[]func(*deltaScene){
			func(s *deltaScene) { s.complete(8, s.good) },
			func(s *deltaScene) { s.delta(9, 5, s.held, s.good) },
			anew(func(s *deltaScene) { s.complete(3, s.held) }),
			anew(func(s *deltaScene) { s.delta(4, 3, s.held, s.good) }),
			anew(func(s *deltaScene) { s.complete(6, s.held, s.good) }),
			anew(func(s *deltaScene) { s.delta(7, 6, s.good, s.lost) }),
		}, 7, 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seed := uint64(time.Now().UnixNano())
			random := rand.New(rand.NewPCG(seed, 0))
			for range 40 {
				order := random.Perm(len(row.steps))
				s := newDeltaScene(t)
				for _, step := range order {
					row.steps[step](s)
					_ = s.store.Reload(t.Context()) // which refuses what is older than what is in use
				}
				s.wants(fmt.Sprintf("seed %d, order %v", seed, order), s.held, s.lost)
				list := s.store.Current().CRLs()
				if len(list) != 1 || list[0].Number.Int64() != row.number || list[0].BaseNumber.Int64() != row.base {
					t.Errorf("seed %d, order %v: %+v is in use", seed, order, list)
				}
			}
		})
	}
}
