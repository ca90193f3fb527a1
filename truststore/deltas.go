// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/vernegate/vernegate/truststore/crl"
)

// applyDeltas puts the complete lists and their deltas together (RFC 5280 §5.2.4). before are those in use: they are
// kept where nothing has changed, so that nothing that compares lists sees a change either.
func (a *attempt) applyDeltas(before map[string]*list) {
	u := &a.next.lists
	u.whole = make(map[string]*list)
	for series, base := range u.lists {
		if base.BaseNumber == nil {
			u.whole[series] = a.withDelta(base, u.lists[deltaSeries+series], before[series])
		}
	}
	for _, series := range slices.Sorted(maps.Keys(u.lists)) {
		if of, is := strings.CutPrefix(series, deltaSeries); is && !u.offersSeries(of) {
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
func (u *listsInUse) offersSeries(series string) bool {
	return slices.ContainsFunc(u.files, func(f *listFile) bool { return f.has(series) })
}

func (f *listFile) has(series string) bool {
	return slices.ContainsFunc(f.lists, func(l *list) bool { return l.series() == series })
}

// withDelta returns a complete list with the newest delta that applies to it: the one that there is now, or else the
// one in use, if there is any. A delta that is ahead of its list must not take back what the one before it has revoked.
func (a *attempt) withDelta(base, newest, used *list) *list {
	if newest == nil {
		return base
	}
	result, err := a.combine(base, newest, used)
	if err == nil {
		return result
	}
	if !errors.Is(err, crl.ErrSuperseded) {
		a.notice("delta CRL does not apply and is passed over", append(newest.attrs(), slog.String("err", err.Error()))...)
		if used != nil && used.delta != nil {
			if result, err := a.combine(base, used.delta, used); err == nil {
				return result
			}
		}
	}
	return base
}

// combine returns a complete list with a delta: the one in use if it is the same.
func (a *attempt) combine(base, delta, used *list) (*list, error) {
	if used != nil && used.base == base && used.delta == delta {
		return used, nil
	}
	whole, err := base.WithDelta(delta.List, a.throttle)
	if err != nil {
		return nil, err
	}
	return &list{List: whole, path: base.path, issuer: base.issuer, key: base.key, base: base, delta: delta}, nil
}
