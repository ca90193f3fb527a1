// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/vernegate/vernegate/internal/pace"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore/crl"
)

// listFile is what was found in a file of CRLs, under the bundle that says which signatures count.
type listFile struct {
	File
	remote  *Remote // nil for a file of the configuration
	info    os.FileInfo
	bundle  *bundle
	lists   []*list // of each series the newest, and of deltas that of each base, in their order; added by take
	unused  []unusedList
	notices []Notice  // about what is neither
	due     time.Time // when the first of all its lists, whoever made them, is to be replaced; zero if never
	again   time.Time // when to read it again, as a list will not be from the future any more; zero if never
	err     error     // why there is nothing to read, or only a part of it

	// The same lists, so that each finds what it replaces also where there are thousands.
	bySeries map[seriesID][]*list
	ofAnyKey map[seriesID][]*list // by what their series have in common whatever the key
	newest   map[seriesID]*list   // the newest list of each series

	places map[unusedKind]int // in unused
}

// take adds a list that counts.
func (f *listFile) take(l *list) {
	if f.bySeries == nil {
		f.bySeries, f.ofAnyKey, f.newest = make(map[seriesID][]*list), make(map[seriesID][]*list), make(map[seriesID]*list)
	}
	series := l.series()
	f.lists = append(f.lists, l)
	f.bySeries[series] = append(f.bySeries[series], l)
	f.ofAnyKey[series.ofAnyKey()] = append(f.ofAnyKey[series.ofAnyKey()], l)
	if other := f.newest[series]; other == nil || l.NewerThan(other.List) {
		f.newest[series] = l
	}
}

// withLists returns a copy of a file that has other lists.
func (f *listFile) withLists(lists []*list) *listFile {
	c := *f
	c.lists, c.bySeries, c.ofAnyKey, c.newest = nil, nil, nil, nil
	for _, l := range lists {
		c.take(l)
	}
	return &c
}

// unusedKind is what lists of a file have in common that are told of together: whoever may answer for a CA's server chooses
// how many there are.
type unusedKind struct {
	issuer   string // canonical, or the digest of that if it is a stranger; "" if that cannot be read either
	stranger bool   // its issuer is no CA of the bundle
	otherKey bool   // its issuer is one, but it is signed with a key that the bundle does not have
	why      error  // one of the errors in kindOf
}

// unusedList is a list that does not count, or several.
type unusedList struct {
	unusedKind
	name   string // that of the issuer for people
	err    error  // of the first
	count  int
	passed int // of them, which were not looked at
}

// kindOf returns which of the reasons an error is for which a list does not count; nil is another one.
func kindOf(err error) error {
	for _, kind := range []error{errStranger, errMayNotSign, errSignature, errFuture, crl.ErrUnsupported, crl.ErrOdd, crl.ErrMalformed} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return nil
}

// others says how many there are beside the first.
func (u *unusedList) others() string {
	switch {
	case u.count == 1:
		return ""
	case u.passed == 0:
		return fmt.Sprintf("; %d more of this file do not count either", u.count-1)
	}
	return fmt.Sprintf("; %d more of this file do not count either, of which %d were not looked at behind %d with a wrong signature", u.count-1, u.passed, u.count-u.passed)
}

// nameDigest is kept of the canonical name of a stranger, who chooses how long that is.
func nameDigest(canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	return string(sum[:])
}

// start returns what it means for the start if there is no other list of the CA.
func (u *unusedList) start() startRule {
	switch {
	case u.otherKey || errors.Is(u.err, errMayNotSign) || errors.Is(u.err, crl.ErrUnsupported) || errors.Is(u.err, crl.ErrOdd): // which time does not mend
		return goesOn
	case errors.Is(u.err, crl.ErrMalformed):
		return fails
	}
	return waits
}

// isUnread reports whether the file was there and could not be read, or not to its end. It has no hash then.
func (f *listFile) isUnread() bool {
	return f.err != nil && f.SHA256 == [sha256.Size]byte{} && !errors.Is(f.err, fs.ErrNotExist)
}

// isCurrent reports whether reading the file again would find the same, also where a part of it is broken. One that could
// not be read has no hash, and is another one.
func (f *listFile) isCurrent(file *source, b *bundle, now time.Time) bool {
	if f == nil || file.err != nil || f.File != file.File || !f.again.IsZero() && !now.Before(f.again) {
		return false
	}
	// Signatures that were good stay so. Of the others there is nothing left to check.
	return f.bundle == b || len(f.unused) == 0
}

// maxWrong bounds the lists of one CA with a wrong signature that are checked in what was fetched: a signature of P-521 takes more
// than a millisecond, and whoever may answer for a CA's server can put thousands of others before and behind its own. Such
// an answer is refused, and the last good lists stay in use, as if there had been no answer. What an operator's file says counts
// wherever it is: nobody else has a say in the whole of it.
const maxWrong = 64

// readListFile reads a file of CRLs and checks each of them. As long as nobody is served (t is nil) there are no lists in use,
// and what was fetched is checked to its end, too.
func readListFile(file *source, b *bundle, now time.Time, t *pace.Throttle) *listFile {
	f := &listFile{File: file.File, remote: file.remote, info: file.info, bundle: b}
	if file.err != nil {
		f.err = fmt.Errorf("reading CRL file: %w", file.err)
		return f
	}
	err := crl.Read(file.contents(t), t, func(l *crl.List, err error) {
		if l == nil && errors.Is(err, crl.ErrUnsupported) {
			f.notices = append(f.notices, Notice{"part of a CRL file is passed over", []slog.Attr{slog.String("file", file.Path), slog.String("err", err.Error())}})
			return
		}
		f.add(l, err, now, t)
	})
	if err != nil {
		f.err = fmt.Errorf("CRL file %s: %w", file.Path, err)
	}
	if err := file.unchanged(); err != nil { // which explains whatever else may be wrong
		return &listFile{File: File{Path: file.Path}, remote: file.remote, bundle: b, err: fmt.Errorf("reading CRL file: %w", err)}
	}
	f.keepNewest(t)
	return f
}

// keepNewest drops the lists that nothing uses, as the file has a newer one: of the same series, and of deltas of the same
// base, too. Otherwise whoever may answer for a CA's server could have each list compared with thousands of others, by
// repeating the CA's own.
func (f *listFile) keepNewest(t *pace.Throttle) {
	type version struct {
		series seriesID
		base   string
	}
	newest := make(map[version]*list)
	for _, l := range f.lists {
		t.Yield()
		key := version{series: l.series()}
		if l.BaseNumber != nil {
			key.base = l.BaseNumber.String()
		}
		if other := newest[key]; other == nil || l.NewerThan(other.List) {
			newest[key] = l
		}
	}
	*f = *f.withLists(slices.SortedFunc(maps.Values(newest), func(x, y *list) int { return cmp.Compare(x.Place, y.Place) }))
}

// nextUpdate returns when the first of the lists of CAs is to be replaced; zero if never.
func (f *listFile) nextUpdate() (next time.Time) {
	for _, l := range f.newest {
		next = earlier(next, l.NextUpdate)
	}
	return next
}

// add takes a list, or notes why it does not count.
func (f *listFile) add(l *crl.List, err error, now time.Time, t *pace.Throttle) {
	if l == nil {
		f.addUnused(unusedKind{why: kindOf(err)}, "", err)
		return
	}
	if err == nil && !l.NextUpdate.IsZero() {
		f.due = earlier(f.due, l.NextUpdate)
	}
	found := &list{List: l, path: f.Path, issuer: pki.CanonicalName(l.RawIssuer)}
	candidates := f.bundle.byName[found.issuer]
	kind := found.kindAmong(candidates)
	if err == nil && f.remote != nil && t != nil && f.passOver(kind) {
		return
	}
	if err == nil {
		err = found.findSigner(candidates, t)
	}
	l.Release()
	if err == nil && l.ThisUpdate.After(now.Add(crl.ClockSkew)) {
		f.again = earlier(f.again, l.ThisUpdate.Add(-crl.ClockSkew))
		err = fmt.Errorf("%w: this update is %s", errFuture, l.ThisUpdate.Format(time.RFC3339))
	}
	if err == nil {
		f.take(found)
		return
	}
	kind.why = kindOf(err)
	f.addUnused(kind, l.Issuer, err)
}

// kindAmong returns what is known of a list of which the candidates may be the CA before it is checked.
func (l *list) kindAmong(candidates []*authority) unusedKind {
	if len(candidates) == 0 {
		return unusedKind{issuer: nameDigest(l.issuer), stranger: true}
	}
	return unusedKind{
		issuer:   candidates[0].name, // which is in memory already
		otherKey: l.KeyID != nil && !slices.ContainsFunc(candidates, func(auth *authority) bool { return auth.mayHaveKey(l.KeyID) }),
	}
}

// passOver reports whether a list is not looked at, as too many like it have a wrong signature, and counts it then. Those
// that say themselves that they are signed with another key are counted apart: a CA that has changed its key may have many.
func (f *listFile) passOver(kind unusedKind) bool {
	kind.why = errSignature
	i, found := f.places[kind]
	if !found || f.unused[i].count < maxWrong {
		return false
	}
	f.unused[i].count++
	f.unused[i].passed++
	return true
}

// addUnused notes why a list does not count. Each list that is cut is told of by itself: a file that was fetched has none.
func (f *listFile) addUnused(kind unusedKind, name string, err error) {
	if i, found := f.places[kind]; found && kind.why != crl.ErrMalformed {
		f.unused[i].count++
		return
	}
	if f.places == nil {
		f.places = make(map[unusedKind]int)
	}
	f.places[kind] = len(f.unused)
	f.unused = append(f.unused, unusedList{unusedKind: kind, name: name, err: err, count: 1})
}
