// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"slices"
	"time"

	"github.com/vernegate/vernegate/internal/pace"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore/crl"
)

// CRL is what is known of one certificate revocation list in use.
type CRL struct {
	Path       string
	Issuer     string   // distinguished name, RFC 2253
	Number     *big.Int // nil if the list has none
	ThisUpdate time.Time
	NextUpdate time.Time // zero if the list has none: it is never overdue
	GoodUntil  time.Time // until then it is used, later than NextUpdate where the policy has a grace; zero if NextUpdate is
	Entries    int
	Freshest   []string // URLs of deltas to it

	// Of a list that a delta is applied to, whose number and times are then those above:
	DeltaPath  string   // where the delta is from; "" if there is none
	BaseNumber *big.Int // the number of the list itself
}

// list is a list whose signature is that of a CA: a complete one, a delta, or a complete one with a delta.
type list struct {
	*crl.List
	path   string
	issuer string // canonical
	key    string // the CA's, as in authority.publicKey

	base, delta *list   // that it was made of; nil if it was read, or has no delta that applies
	ahead       []*list // deltas of which it has only what they revoke, as they do not apply to base yet
}

// attrs tell the list from others in the log.
func (l *list) attrs() []slog.Attr {
	return []slog.Attr{slog.String("file", l.path), slog.String("ca", l.Issuer)}
}

// authorityIn returns the CA whose list it is, or nil if the bundle does not know it.
func (l *list) authorityIn(b *bundle) *authority {
	return withKey(b.byName[l.issuer], []byte(l.key))
}

// isKin reports whether another list speaks of the certificates of the same CA: it is signed with the CA's key, or with one to
// or from which the CA has changed.
func (l *list) isKin(other *list, b *bundle) bool {
	auth := l.authorityIn(b)
	return auth != nil && l.issuer == other.issuer && withKey(auth.kin, []byte(other.key)) != nil
}

var (
	errStranger   = errors.New("its issuer is no CA of the bundle")
	errMayNotSign = errors.New("its issuer is a CA that may not sign CRLs")
	errSignature  = errors.New("its signature does not verify with the key of its issuer")
	errFuture     = errors.New("it is from the future")
)

// findSigner finds the CA whose signature a list bears.
func (l *list) findSigner(candidates []*authority, t *pace.Throttle) error {
	if len(candidates) == 0 {
		return errStranger
	}
	err := errMayNotSign
	for _, auth := range candidates {
		if auth.crlSigner == nil {
			continue
		}
		t.Yield()
		wrong := l.CheckSignature(auth.crlSigner)
		if wrong == nil {
			l.key = string(auth.publicKey)
			return nil
		}
		err = fmt.Errorf("%w (the list names key %x, the CA is key %x): %w", errSignature,
			pki.Clip(l.KeyID), pki.Clip(auth.crlSigner.SubjectKeyId), wrong)
	}
	return err
}

// listsInUse are the lists that count, by series, and what is pending for those that their files do not hold any more.
type listsInUse struct {
	files   []*listFile            // as they were read last
	lists   map[seriesID]*list     // as they were read
	whole   map[seriesID]*list     // the complete ones, with their deltas
	pending map[seriesID]candidate // likewise
}

// file returns a file as it was read last, or nil.
func (u *listsInUse) file(path string) *listFile {
	i := slices.IndexFunc(u.files, func(f *listFile) bool { return f.Path == path })
	if i < 0 {
		return nil
	}
	return u.files[i]
}

// find returns a list of a CA of the bundle that matches, or nil.
func (u *listsInUse) find(b *bundle, matches func(*list) bool) *list {
	for _, used := range u.lists {
		if matches(used) && used.authorityIn(b) != nil {
			return used
		}
	}
	return nil
}

// offers reports whether one of the files has a list of the issuer that counts.
func (u *listsInUse) offers(issuer string) bool {
	return slices.ContainsFunc(u.files, func(f *listFile) bool {
		return slices.ContainsFunc(f.lists, func(l *list) bool { return l.issuer == issuer })
	})
}

// judgeLists reads the files of CRLs and decides which lists count: of each series the newest that the files have,
// unless it is older than the one in use, and else the last good one. A list that its file does not hold any more is
// given up when it has been missing for a while. A list that has come waits for nothing.
func (a *attempt) judgeLists() {
	before := a.next.lists
	after := listsInUse{lists: make(map[seriesID]*list), pending: make(map[seriesID]candidate)}
	for i := range a.set.crls {
		file := before.file(a.set.crls[i].Path)
		if tried := a.tried[a.set.crls[i].Path]; tried != nil && tried.File == a.set.crls[i].File {
			file = tried // it was read before it took this place
		}
		if !file.isCurrent(&a.set.crls[i], a.next.bundle, a.now) {
			file = readListFile(&a.set.crls[i], a.next.bundle, a.now, a.throttle)
		}
		after.files = append(after.files, file)
		a.retry(file.again)
		for _, offered := range file.lists {
			series := offered.series()
			if other := after.lists[series]; other == nil || offered.NewerThan(other.List) {
				after.lists[series] = offered
			}
		}
	}
	for series, used := range before.lists {
		switch offered := after.lists[series]; {
		case offered == nil:
			a.keepMissing(&after, series, used)
		case used.NewerThan(offered.List):
			after.lists[series] = used
			a.refuse(problem{Refusal: Refusal{Kind: KindCRL, File: offered.path, Name: offered.Issuer, Err: fmt.Errorf(
				"CRL file %s: the list of %q is older (%s) than the one in use (%s)", offered.path, offered.Issuer, offered.Age(), used.Age())}})
		}
	}
	a.next.lists = after
	a.applyDeltas(before.whole)
	for _, file := range after.files {
		a.reportFile(file)
		a.reportLists(file)
	}
}

// keepMissing keeps a list that the files do not have now, unless it is to be given up.
func (a *attempt) keepMissing(after *listsInUse, series seriesID, used *list) {
	file := after.file(used.path)
	if file == nil { // it is not fetched any more
		return
	}
	if file.mayHold(used) {
		after.lists[series] = used
		return
	}
	pending := a.next.lists.pending[series]
	if a.force || pending.hasSettled([]File{file.File}, a) {
		return
	}
	after.lists[series], after.pending[series] = used, pending
	a.settle(pending.since, fmt.Sprintf("a CRL of %q", used.Issuer))
}

// mayHold reports whether the file may hold a version of the list that cannot be used or read.
func (f *listFile) mayHold(used *list) bool {
	digest := nameDigest(used.issuer)
	return f.err != nil || f.has(used.series().deltas()) || slices.ContainsFunc(f.unused, func(u unusedList) bool {
		return u.issuer == "" || u.issuer == used.issuer || u.stranger && u.issuer == digest
	})
}

// reportFile reports what is wrong with a file of CRLs as a whole, and what it holds beside lists.
func (a *attempt) reportFile(f *listFile) {
	a.notices = append(a.notices, f.notices...)
	used := a.next.lists.find(a.next.bundle, func(l *list) bool { return l.path == f.Path })
	switch absent := errors.Is(f.err, fs.ErrNotExist); {
	case f.err == nil:
	case used == nil && f.remote != nil:
		a.notFetched(f, absent)
	case absent && used == nil && a.config.CRLOptional:
		a.notice("CRL file is absent, nothing is revoked by it", slog.String("file", f.Path))
	case absent && used != nil:
		a.refuse(problem{Refusal: Refusal{Kind: KindCRL, File: f.Path, Err: fmt.Errorf("CRL file %s was in use for %q and is gone", f.Path, used.Issuer)}})
	default:
		a.refuse(problem{Refusal: Refusal{Kind: KindCRL, File: f.Path, Err: f.err}, start: f.whenBroken(), none: used == nil})
	}
}

// whenBroken returns what it means for the start that the file cannot be read. One that is fetched is mended by its
// fetcher, which may need the store for that.
func (f *listFile) whenBroken() startRule {
	switch {
	case f.remote == nil:
		return fails
	case f.remote.Needed:
		return fetches
	}
	return goesOn
}

// notFetched reports a list that has never been fetched (absent), or not since its copy was damaged. What keeps it from
// being fetched is its fetcher's to tell.
func (a *attempt) notFetched(f *listFile, absent bool) {
	if absent && !f.remote.Needed {
		a.notice("CRL has not been fetched yet", slog.String("file", f.Path))
		return
	}
	why := f.err
	if absent {
		why = fmt.Errorf("CRL file %s has not been fetched yet", f.Path)
	}
	a.refuse(problem{Refusal: Refusal{Kind: KindCRL, File: f.Path, Err: fmt.Errorf(
		"%w; until it is fetched, what is configured for missing ones (%v) decides about the clients of its CA", why, a.config.CRLMissing)},
		start: f.whenBroken(), none: true})
}

// reportLists reports the lists of a file that do not count, and those that are passed over in two notices at most: they
// need no signature, and so whoever may answer for a CA's server chooses how many there are.
func (a *attempt) reportLists(f *listFile) {
	var strangers, others unneeded
	for _, l := range f.lists {
		if l.authorityIn(a.next.bundle) == nil {
			strangers.add(l.Issuer, errStranger, 1)
		}
	}
	for i := range f.unused {
		switch u := &f.unused[i]; {
		case u.stranger:
			strangers.add(u.name, u.err, u.count)
		case u.start() == goesOn && a.next.lists.offers(u.issuer):
			others.add(u.name, u.err, u.count)
		default:
			a.reportUnused(f, u)
		}
	}
	a.notNeeded(f, strangers)
	a.notNeeded(f, others)
}

// unneeded are lists that concern no client.
type unneeded struct {
	count  int
	issuer string // of the first
	why    error  // likewise
}

func (u *unneeded) add(issuer string, why error, count int) {
	if u.count == 0 {
		u.issuer, u.why = issuer, why
	}
	u.count += count
}

// notNeeded reports lists of a file that concern no client, if there are any.
func (a *attempt) notNeeded(f *listFile, u unneeded) {
	if u.count == 0 {
		return
	}
	why := u.why.Error()
	if u.count > 1 {
		why += fmt.Sprintf("; not needed either: %d more of this file", u.count-1)
	}
	a.notice("CRL is not needed and is passed over", slog.String("file", f.Path), slog.String("ca", u.issuer), slog.String("err", why))
}

// reportUnused reports lists that would be needed and do not count.
func (a *attempt) reportUnused(f *listFile, u *unusedList) {
	p := problem{Refusal: Refusal{Kind: KindCRL, File: f.Path, Name: u.name, Err: fmt.Errorf("CRL file %s: %w%s", f.Path, u.err, u.others())}, start: u.start()}
	if p.start == fails {
		p.start = f.whenBroken()
	}
	used := a.next.lists.find(a.next.bundle, func(l *list) bool { return l.issuer == u.issuer })
	if used == nil && u.issuer != "" {
		p.none = true
		p.Err = fmt.Errorf("%w; there is no other list of %q, and what is configured for missing ones (%v) decides about its clients", p.Err, u.name, a.config.CRLMissing)
	}
	a.refuse(p)
}
