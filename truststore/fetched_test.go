// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// listURL is what the list of a remoteScene is called.
const listURL = "http://crl.example.org/ca.crl"

// remoteScene is a CA whose list is fetched by somebody else.
type remoteScene struct {
	*volume
	remotes []truststore.Remote
}

func newRemoteScene(t *testing.T) (*remoteScene, truststore.Config) {
	t.Helper()
	s := &remoteScene{volume: newVolume(t)}
	s.remotes = []truststore.Remote{{Name: listURL, File: s.path("fetched.crl"), Needed: true}}
	config := s.config()
	config.CRLs = nil
	config.Remotes = func() []truststore.Remote { return s.remotes }
	return s, config
}

// fetched is a file that has come from listURL.
func fetched(t *testing.T, path string) truststore.Fetched {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return truststore.Fetched{Name: listURL, File: path, SHA256: sha256.Sum256(data)}
}

func (s *remoteScene) list(opts certtest.CRLOptions) []byte { return s.root.CRL(opts) }

func TestAFetchedListIsJudgedAsAFile(t *testing.T) {
	t.Parallel()
	s, config := newRemoteScene(t)
	bad, good := s.root.Issue("acme:bad"), s.root.Issue("acme:good")
	s.write("fetched.crl", s.list(certtest.CRLOptions{Number: 5, Revoked: []*x509.Certificate{bad.Leaf}}))
	store := open(t, config)
	if err := verify(store, bad); !errors.Is(err, pki.ErrRevoked) {
		t.Errorf("got %v", err)
	}
	if got := store.Current().CRLs(); len(got) != 1 || got[0].Path != listURL {
		t.Errorf("got %+v, want one of %s", got, listURL)
	}
	s.write("fetched.crl", s.list(certtest.CRLOptions{Number: 4, ThisUpdate: pastHours(1)}))
	err := store.Reload(t.Context())
	if err == nil || !strings.Contains(err.Error(), listURL) || !strings.Contains(err.Error(), "is older") {
		t.Errorf("an older one: got %v", err)
	}
	s.remotes = nil
	if err := store.Reload(t.Context()); err != nil {
		t.Errorf("it is not followed any more: %v", err)
	}
	if err := verify(store, bad); err != nil {
		t.Errorf("a list that is not followed any more counts: %v", err)
	}
	if err := verify(store, good); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestTheStartGoesOnWithoutAListThatNeverCame(t *testing.T) {
	t.Parallel()
	s, config := newRemoteScene(t)
	config.CRLMissing = truststore.Deny
	store := open(t, config)
	refusals := store.Refusals()
	if len(refusals) != 1 || refusals[0].File != listURL || !strings.Contains(refusals[0].Err.Error(), "has not been fetched yet") {
		t.Errorf("refusals %v", refusals)
	}
	device := s.root.Issue("acme:lamp")
	if err := verify(store, device); !errors.Is(err, pki.ErrRevocationUnknown) {
		t.Errorf("got %v", err)
	}
	s.write("fetched.crl", s.list(certtest.CRLOptions{}))
	if err := store.Reload(t.Context()); err != nil || verify(store, device) != nil {
		t.Errorf("once it has come: %v, %v", err, verify(store, device))
	}
	s.remotes[0].Needed = false
	s.remove("fetched.crl")
	if optional := open(t, config); len(optional.Refusals()) != 0 || !strings.Contains(fmt.Sprint(optional.Notices()), "has not been fetched yet") {
		t.Errorf("a list that nobody named: refusals %v, notices %v", optional.Refusals(), optional.Notices())
	}
}

func TestTheStartWaitsForFirstListsForAWhileOnly(t *testing.T) {
	t.Parallel()
	const patience = 10 * time.Second
	for name, row := range map[string]struct {
		comes  time.Duration // after the start; negative: it is there from before
		needed bool
		want   time.Duration
	}{
		"never":           {comes: time.Hour, needed: true, want: patience},
		"meanwhile":       {comes: 3*time.Second + time.Millisecond, needed: true, want: 3*time.Second + truststore.QuietTime},
		"from before":     {comes: -1, needed: true},
		"named by nobody": {comes: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, config := newRemoteScene(t)
				s.remotes[0].Needed = row.needed
				config.StartTimeout, config.FetchTimeout = time.Minute, patience
				come := func() {
					s.write("next.crl", s.list(certtest.CRLOptions{Number: 1}))
					if err := os.Rename(s.path("next.crl"), s.path("fetched.crl")); err != nil {
						t.Error(err)
					}
				}
				if row.comes < 0 {
					come()
				} else {
					coming := time.AfterFunc(row.comes, come)
					defer coming.Stop()
				}
				began := time.Now()
				store := open(t, config)
				if got := time.Since(began); got != row.want {
					t.Errorf("it took %v, want %v", got, row.want)
				}
				if got, want := len(store.Current().CRLs()), map[bool]int{true: 1}[row.comes <= row.want]; got != want {
					t.Errorf("%d lists are in use, want %d", got, want)
				}
			})
		})
	}
}

// TestADamagedCopyDoesNotKeepFromStarting: what mends it may wait for the store.
func TestADamagedCopyDoesNotKeepFromStarting(t *testing.T) {
	t.Parallel()
	const patience = 10 * time.Second
	broken := []byte("-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n")
	for name, row := range map[string]struct {
		damage func(list []byte) []byte // in PEM
		counts bool                     // the list does all the same
		told   string
	}{
		"zeros":                {func(list []byte) []byte { return make([]byte, len(list)) }, false, "; until it is fetched, what is configured for missing ones (allow) decides"},
		"empty":                {func([]byte) []byte { return nil }, false, "; until it is fetched"},
		"cut":                  {func(list []byte) []byte { return list[:len(list)/2] }, false, "; until it is fetched"},
		"cut behind a list":    {func(list []byte) []byte { return append(list, broken[:30]...) }, true, listURL},
		"broken before a list": {func(list []byte) []byte { return append(broken, list...) }, true, listURL},
	} {
		for _, needed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, needed %v", name, needed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s, config := newRemoteScene(t)
					bad := s.root.Issue("acme:bad")
					list := revoking(s.root, 5, bad.Leaf)
					s.remotes[0].Needed = needed
					config.StartTimeout, config.FetchTimeout = time.Minute, patience
					s.write("fetched.crl", row.damage(slices.Clone(list)))
					began := time.Now()
					store := open(t, config)
					if got, want := time.Since(began), map[bool]time.Duration{true: patience}[needed]; got != want {
						t.Errorf("it took %v, want %v", got, want)
					}
					if got := store.Refusals(); len(got) != 1 || !strings.Contains(got[0].Err.Error(), row.told) {
						t.Errorf("refusals %v, want one that says %q", got, row.told)
					}
					if got := errors.Is(verify(store, bad), pki.ErrRevoked); got != row.counts {
						t.Errorf("with the damaged copy it is revoked %v, want %v", got, row.counts)
					}
					s.write("next.crl", list)
					if _, err := store.TryFetched(t.Context(), fetched(t, s.path("next.crl")), time.Now()); err != nil {
						t.Fatal(err)
					}
					if err := os.Rename(s.path("next.crl"), s.path("fetched.crl")); err != nil {
						t.Fatal(err)
					}
					if err := store.Reload(t.Context()); err != nil || !errors.Is(verify(store, bad), pki.ErrRevoked) {
						t.Errorf("once it is fetched: %v, %v", err, verify(store, bad))
					}
				})
			})
		}
	}
}

// TestWhatMayReplaceAFetchedList has one in use that is about users only, with number 5.
func TestWhatMayReplaceAFetchedList(t *testing.T) {
	t.Parallel()
	users := func(number int64) certtest.CRLOptions {
		return certtest.CRLOptions{Number: number, Extensions: distributionPoint(usersOnlyField)}
	}
	replayed := users(100) // from before its numbers began anew
	replayed.ThisUpdate = pastHours(1)
	older := users(4)
	older.ThisUpdate = pastHours(1)
	oldest := users(4)
	oldest.ThisUpdate, oldest.NextUpdate = pastHours(4), pastHours(2)
	wrong := users(6)
	wrong.WrongSignature = true
	future := users(6)
	future.ThisUpdate, future.NextUpdate = pastHours(-1), pastHours(-2)
	renewed := users(1)
	renewed.ThisUpdate = time.Now()
	for name, row := range map[string]struct {
		opts    certtest.CRLOptions
		another string // CA: "" is the same
		overdue bool   // the one in use
		want    string // what the error says; empty: it may
	}{
		"the next one":                     {opts: users(6)},
		"the same":                         {opts: users(5)},
		"an older one":                     {opts: older, want: "it has no newer list of \"CN=root\""},
		"an older one of a higher number":  {opts: replayed, want: "it has no newer list of \"CN=root\""},
		"an older one, when due":           {opts: oldest, overdue: true, want: "it has no newer list of \"CN=root\""},
		"one of another scope":             {opts: certtest.CRLOptions{Number: 6}, want: "it has no newer list"},
		"one of another scope, when due":   {opts: certtest.CRLOptions{Number: 6}, overdue: true},
		"one with a wrong signature":       {opts: wrong, want: "its signature does not verify"},
		"one from the future":              {opts: future, want: "it is from the future"},
		"one of a stranger":                {opts: users(6), another: "stranger", want: "its issuer is no CA of the bundle"},
		"one of another CA":                {opts: users(6), another: "other", want: "it has no newer list of \"CN=root\""},
		"one of another CA, when due":      {opts: users(6), another: "other", overdue: true, want: "it has no newer list of \"CN=root\""},
		"one of the CA's next key":         {opts: renewed, another: "next"},
		"one of the next key, when due":    {opts: renewed, another: "next", overdue: true},
		"all of the next key, when due":    {opts: certtest.CRLOptions{Number: 1}, another: "next", overdue: true},
		"an older one of the CA's old key": {opts: older, another: "next", want: "it has no newer list"},
		"one of a namesake":                {opts: renewed, another: "root", want: "but one that is signed with another key, which does not chain to the same CA"},
		"one of a namesake, when due":      {opts: renewed, another: "root", overdue: true, want: "but one that is signed with another key"},
		"all of a namesake, when due":      {opts: certtest.CRLOptions{Number: 1}, another: "root", overdue: true, want: "it has no newer list of \"CN=root\""},
		"a delta":                          {opts: certtest.CRLOptions{Number: 6, Extensions: append(deltaOf(5), distributionPoint(usersOnlyField)...)}, want: "it has no newer list"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, config := newRemoteScene(t)
			cas := map[string]*certtest.CA{"": s.root, "other": certtest.NewCA("other"), "root": certtest.NewCA("root"), "next": certtest.NewCA("root"), "stranger": certtest.NewCA("stranger")}
			crossSigned := s.root.Intermediate("root", certtest.Key(cas["next"].Key))
			s.write("ca.crt", s.root.PEM(), cas["other"].PEM(), cas["root"].PEM(), cas["next"].PEM(), crossSigned.PEM())
			inUse := users(5)
			inUse.ThisUpdate = renewed.ThisUpdate.Add(-time.Minute) // however long this test waits for its turn
			if row.overdue {
				inUse.ThisUpdate, inUse.NextUpdate = pastHours(3), pastHours(1)
			}
			s.write("fetched.crl", s.list(inUse))
			store := open(t, config)
			s.write("next.crl", cas[row.another].CRL(row.opts))
			due, err := store.TryFetched(t.Context(), fetched(t, s.path("next.crl")), time.Now())
			switch {
			case row.want == "" && (err != nil || due.IsZero()):
				t.Errorf("got %v, due %v", err, due)
			case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("got %v, want it to say %q", err, row.want)
			}
		})
	}
}

// TestOnlyListsThatCountSayWhenToFetchAgain: whoever may answer for a CA's server could have it asked every second otherwise,
// and the file replaced each time, or no sooner than after the refresh interval.
func TestOnlyListsThatCountSayWhenToFetchAgain(t *testing.T) {
	t.Parallel()
	s, config := newRemoteScene(t)
	s.write("fetched.crl", revoking(s.root, 5))
	store := open(t, config)
	soon, want := time.Now().Add(time.Second), time.Now().Add(time.Hour).Truncate(time.Second)
	for name, beside := range map[string]certtest.CRLOptions{
		"a wrong signature":                    {Number: 7, NextUpdate: soon, WrongSignature: true},
		"one from the future":                  {Number: 7, ThisUpdate: pastHours(-1), NextUpdate: soon},
		"an older one":                         {Number: 4, ThisUpdate: pastHours(3), NextUpdate: pastHours(2)},
		"a delta that is older than the other": {Number: 7, ThisUpdate: pastHours(3), NextUpdate: pastHours(2), Extensions: deltaOf(5)},
		"a stranger's":                         {NextUpdate: soon},
	} {
		signer := s.root
		if name == "a stranger's" {
			signer = certtest.NewCA("stranger")
		}
		s.write("next.crl", certtest.PEMEncodeCRL(signer.CRL(beside)),
			certtest.PEMEncodeCRL(s.list(certtest.CRLOptions{Number: 8, NextUpdate: want, Extensions: deltaOf(6)})),
			certtest.PEMEncodeCRL(s.list(certtest.CRLOptions{Number: 6, NextUpdate: want})))
		if due, err := store.TryFetched(t.Context(), fetched(t, s.path("next.crl")), time.Now()); err != nil || !due.Equal(want) {
			t.Errorf("beside %s: due %v (%v), want %v", name, due, err, want)
		}
	}
}

// TestNoOtherListTakesAnOverdueOneAway goes all the way to who gets in: somebody on the way to the CA's server has every
// list that CAs publish, and a CA without a list refuses nobody by default.
func TestNoOtherListTakesAnOverdueOneAway(t *testing.T) {
	t.Parallel()
	here, elsewhere := pointField(listURL), pointField("http://crl.example.org/other.crl")
	for name, row := range map[string]struct {
		used, offered []pkix.Extension
		another       bool // CA
		takes         bool // the place of the one in use
	}{
		"of another CA":                      {another: true},
		"the delta to it":                    {offered: deltaOf(5)},
		"about CAs only":                     {offered: distributionPoint(casOnlyField)},
		"about CAs, in place of users":       {used: distributionPoint(usersOnlyField), offered: distributionPoint(casOnlyField)},
		"about some reasons":                 {offered: distributionPoint(compromisedField)},
		"about other reasons":                {used: distributionPoint(compromisedField), offered: distributionPoint(otherReasonsField)},
		"another part":                       {used: distributionPoint(here), offered: distributionPoint(elsewhere)},
		"a part":                             {offered: distributionPoint(elsewhere)},
		"the part of this URL":               {offered: distributionPoint(here), takes: true},
		"the users of this URL":              {offered: distributionPoint(here, usersOnlyField)},
		"about all, in place of a part":      {used: distributionPoint(elsewhere), takes: true},
		"about all, in place of users":       {used: distributionPoint(usersOnlyField), takes: true},
		"about all, in place of a delta":     {used: deltaOf(4), takes: true},
		"another delta, in place of a delta": {used: append(deltaOf(4), distributionPoint(usersOnlyField)...), offered: deltaOf(4)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, config := newRemoteScene(t)
			config.CRLExpired = truststore.Deny
			other := certtest.NewCA("other")
			s.write("ca.crt", s.root.PEM(), other.PEM())
			signer := s.root
			if row.another {
				signer = other
			}
			s.write("fetched.crl", s.list(certtest.CRLOptions{Number: 5, ThisUpdate: pastHours(3), NextUpdate: pastHours(1), Extensions: row.used}))
			store := open(t, config)
			taken, err := fetch(t, store, s.volume, "fetched.crl", signer.CRL(certtest.CRLOptions{Number: 6, Extensions: row.offered}))
			if taken != row.takes || (err == nil) != row.takes || err != nil && !strings.Contains(err.Error(), "it has no newer list of \"CN=root\"") {
				t.Errorf("got %v, want that it takes the place %v", err, row.takes)
			}
			if row.takes {
				return
			}
			for when, store := range map[string]*truststore.Store{"reloaded": store, "started again": open(t, config)} {
				if got := store.Current().CRLs(); row.used == nil && !errors.Is(verify(store, s.root.Issue("acme:lamp")), pki.ErrRevocationUnknown) {
					t.Errorf("%s: a device comes in, with %+v in use", when, got)
				}
			}
		})
	}
}

func TestAListOfARemovedCANeedsNoSuccessor(t *testing.T) {
	t.Parallel()
	s, config := newRemoteScene(t)
	other := certtest.NewCA("other")
	both := func(number int64) []byte { return append(revoking(s.root, number), revoking(other, number)...) }
	s.write("ca.crt", s.root.PEM(), other.PEM())
	s.write("fetched.crl", both(1))
	store := open(t, config)
	s.write("ca.crt", s.root.PEM())
	if err := store.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.write("next.crl", both(2))
	if _, err := store.TryFetched(t.Context(), fetched(t, s.path("next.crl")), time.Now()); err != nil {
		t.Errorf("got %v", err)
	}
}

// TestAFirstListHasToBeComplete also where nothing is known of CAs yet.
func TestAFirstListHasToBeComplete(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	list := root.CRL(certtest.CRLOptions{})
	for name, row := range map[string]struct {
		data []byte
		good bool
	}{
		"DER": {list, true}, "PEM": {certtest.PEMEncodeCRL(list), true}, "cut": {list[:len(list)-1], false},
		"PEM that is cut": {certtest.PEMEncodeCRL(list)[:100], false}, "empty": {nil, false}, "a page": {[]byte("<html>"), false},
		"certificates": {root.PEM(), false},
	} {
		path := filepath.Join(t.TempDir(), "first.crl")
		if err := os.WriteFile(path, row.data, 0o600); err != nil {
			t.Fatal(err)
		}
		var none *truststore.Store // not open yet
		if due, err := none.TryFetched(t.Context(), fetched(t, path), time.Now()); (err == nil) != row.good || due.IsZero() == row.good {
			t.Errorf("%s: got %v, due %v", name, err, due)
		}
	}
}

func TestAListCountsAsSoonAsItIsFetched(t *testing.T) {
	t.Parallel()
	inBubble(t, 0, nil, func(b *bubble) {
		b.write("ca.crl", b.root.CRL(certtest.CRLOptions{Number: 2}))
		b.store.Changed()
		b.store.Changed() // once is enough
		b.pass(time.Second)
		b.wantLooks(look{0, truststore.Swapped})
	})
}

// TestAListInMemoryIsJudgedAsAFile: one that could not be written takes the place of the file, and gives it back.
func TestAListInMemoryIsJudgedAsAFile(t *testing.T) {
	t.Parallel()
	s, config := newRemoteScene(t)
	bad := s.root.Issue("acme:bad")
	s.write("fetched.crl", s.list(certtest.CRLOptions{Number: 5}))
	store := open(t, config)
	use := func(data []byte) {
		t.Helper()
		found := truststore.Fetched{Name: listURL, Data: data, SHA256: sha256.Sum256(data)}
		if _, err := store.TryFetched(t.Context(), found, time.Now()); err != nil {
			t.Fatal(err)
		}
		s.remotes[0].Data, s.remotes[0].SHA256 = data, found.SHA256
		if err := store.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	newer := s.list(certtest.CRLOptions{Number: 6, Revoked: []*x509.Certificate{bad.Leaf}})
	use(newer)
	if err := verify(store, bad); !errors.Is(err, pki.ErrRevoked) {
		t.Errorf("a revocation that is in memory: got %v", err)
	}
	for name, data := range map[string][]byte{"nothing": {}, "an older one": s.list(certtest.CRLOptions{Number: 4, ThisUpdate: pastHours(1)}), "a page": []byte("<html>")} {
		if _, err := store.TryFetched(t.Context(), truststore.Fetched{Name: listURL, Data: data, SHA256: sha256.Sum256(data)}, time.Now()); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	s.write("fetched.crl", newer)
	s.remotes[0].Data = nil
	before := store.Current()
	if err := store.Reload(t.Context()); err != nil || !errors.Is(verify(store, bad), pki.ErrRevoked) {
		t.Errorf("once it is in the file: %v, %v", err, verify(store, bad))
	}
	if store.Current() != before {
		t.Error("the move to the file makes another generation")
	}
}

// A list that was tried waits for its use in memory, and no longer than its URL is followed.
func TestAListThatWasTriedIsForgotten(t *testing.T) {
	t.Parallel()
	s, config := newRemoteScene(t)
	s.write("fetched.crl", s.list(certtest.CRLOptions{Number: 5}))
	store := open(t, config)
	try := func(ctx context.Context) {
		t.Helper()
		s.write("new.crl", s.list(certtest.CRLOptions{Number: 6}))
		if _, err := store.TryFetched(ctx, fetched(t, s.path("new.crl")), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	reload := func(want int) {
		t.Helper()
		if err := store.Reload(t.Context()); err != nil || store.Tried() != want {
			t.Errorf("%d are in memory, want %d (%v)", store.Tried(), want, err)
		}
	}
	try(t.Context())
	reload(1) // it is not in its place yet
	if err := os.Rename(s.path("new.crl"), s.path("fetched.crl")); err != nil {
		t.Fatal(err)
	}
	reload(0)

	try(t.Context())
	s.remotes = nil
	reload(0)

	ctx, cancel := context.WithCancel(t.Context())
	cancel() // it is being dropped as it comes
	if _, err := store.TryFetched(ctx, fetched(t, s.path("new.crl")), time.Now()); err != nil || store.Tried() != 0 {
		t.Errorf("%d are in memory (%v)", store.Tried(), err)
	}
}
