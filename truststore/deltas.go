// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/vernegate/vernegate/truststore/crl"
)

// applyDeltas puts the complete lists and their deltas together (RFC 5280 §5.2.4). before are those in use: they are
// kept where nothing has changed, so that nothing that compares lists sees a change either.
func (a *attempt) applyDeltas(before map[seriesID]*list) {
	u := &a.next.lists
	u.whole = make(map[seriesID]*list)
	for series, base := range u.lists {
		if base.BaseNumber == nil {
			u.whole[series] = a.withDeltas(base, u.deltasOf(series, before[series]), before[series])
		}
	}
	for _, series := range slices.SortedFunc(maps.Keys(u.lists), seriesID.compare) {
		if of := series.complete(); series.delta && !u.offersSeries(of) {
			a.refuseAlone(u.lists[series], u.lists[of] == nil)
		}
	}
}

// refuseAlone refuses a delta that came without the complete list of its CA: most likely it was put in its place. none is
// whether there is no list from before either.
func (a *attempt) refuseAlone(delta *list, none bool) {
	if delta.authorityIn(a.next.bundle) == nil {
		return // which is told already
	}
	a.refuse(problem{Refusal: Refusal{Kind: KindCRL, File: delta.path, Name: delta.Issuer, Err: fmt.Errorf(
		"CRL file %s: it has a delta CRL of %q, and no file has the complete list that it applies to", delta.path, delta.Issuer)}, start: goesOn, none: none})
}

// offersSeries reports whether one of the files has a list of a series.
func (u *listsInUse) offersSeries(series seriesID) bool {
	return slices.ContainsFunc(u.files, func(f *listFile) bool { return f.has(series) })
}

func (f *listFile) has(series seriesID) bool { return f.newest[series] != nil }

// deltasOf returns the deltas of a series that there are now, or were in use before, the newest first. Of those with the
// same base it is the newest alone, which says what the others do. None is left once the files have none.
func (u *listsInUse) deltasOf(series seriesID, used *list) []*list {
	newest := u.lists[series.deltas()]
	if newest == nil {
		return nil
	}
	all := []*list{newest}
	for _, f := range u.files {
		all = append(all, f.bySeries[newest.series()]...)
	}
	all = append(all, used.deltas()...)
	slices.SortStableFunc(all, func(x, y *list) int {
		switch {
		case x.NewerThan(y.List):
			return -1
		case y.NewerThan(x.List):
			return 1
		}
		return 0
	})
	var kept []*list
	for _, l := range all {
		if !slices.ContainsFunc(kept, l.hasBaseOf) {
			kept = append(kept, l)
		}
	}
	return kept
}

// deltas returns those that a list was made of; nil is no list.
func (l *list) deltas() []*list {
	switch {
	case l == nil:
		return nil
	case l.delta == nil:
		return l.ahead
	}
	return append([]*list{l.delta}, l.ahead...)
}

// hasBaseOf reports whether two deltas are based on the same complete list.
func (l *list) hasBaseOf(other *list) bool { return l.BaseNumber.Cmp(other.BaseNumber) == 0 }

// withDeltas returns a complete list with the newest of its deltas that applies to it, and with what those revoke that are
// ahead of it. They have come before their complete list: what that revokes as well is not known, but nothing that
// is revoked waits for it.
func (a *attempt) withDeltas(base *list, deltas []*list, used *list) *list {
	whole := &list{List: base.List, path: base.path, issuer: base.issuer, key: base.key, base: base}
	for _, delta := range deltas {
		err := base.CheckDelta(delta.List)
		if err == nil {
			whole.delta = delta
			break // which says all that older ones do
		}
		if !errors.Is(err, crl.ErrNotBase) {
			break // the complete list does
		}
		if !delta.NewerThan(base.List) {
			continue
		}
		a.notice("delta CRL does not apply to the complete list yet, what it revokes counts and what it removes does not", append(delta.attrs(), slog.String("err", err.Error()))...)
		whole.ahead = append(whole.ahead, delta)
	}
	switch {
	case whole.delta == nil && whole.ahead == nil:
		return base
	case used != nil && used.base == base && used.delta == whole.delta && slices.Equal(used.ahead, whole.ahead):
		return used
	}
	a.combine(whole)
	return whole
}

// combine makes a list of those that it consists of.
func (a *attempt) combine(whole *list) {
	if whole.delta != nil {
		whole.List, _ = whole.base.WithDelta(whole.delta.List, a.throttle) // which was checked
	}
	if whole.ahead != nil {
		var ahead []*crl.List
		for _, delta := range whole.ahead {
			ahead = append(ahead, delta.List)
		}
		whole.List = whole.WithRevoked(ahead, a.throttle)
	}
}
