// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"errors"
	"fmt"
	"iter"

	"github.com/vernegate/vernegate/internal/pace"
)

// Errors of WithDelta and CheckDelta.
var (
	// ErrSuperseded: the complete list says already what the delta does.
	ErrSuperseded = errors.New("the complete list is as new as the delta")

	// ErrNotBase: the delta does not apply to this list.
	ErrNotBase = errors.New("the delta does not apply to the complete list")
)

// WithDelta returns a complete list with what a delta changes (RFC 5280 §5.2.4). Both have to be lists of the same
// issuer and scope, signed with the same key, which the caller checks. The result shares the entries of both, so that
// it costs next to nothing however long the complete list is; a list that has a delta already takes no other one.
//
// The number of the complete list has to be at least that which the delta is based on, and below that of the delta:
// the first so that nothing is missing in between, the second so that nothing is taken back. A CA may have begun to count
// anew in between: neither does a delta apply to a list that is later by more than ClockSkew, whatever the numbers. The
// result is of the number of the delta and the later of both times; it is overdue only when both are.
func (l *List) WithDelta(delta *List, t *pace.Throttle) (*List, error) {
	if err := l.CheckDelta(delta); err != nil {
		return nil, err
	}
	c := *l
	c.delta, c.Number = delta, delta.Number
	if delta.ThisUpdate.After(c.ThisUpdate) {
		c.ThisUpdate = delta.ThisUpdate
	}
	if delta.NextUpdate.IsZero() || !c.NextUpdate.IsZero() && delta.NextUpdate.After(c.NextUpdate) {
		c.NextUpdate = delta.NextUpdate
	}
	c.Entries += l.revoked.missing(delta.revoked, t) - delta.removed.shared(l.revoked, delta.revoked, t)
	return &c, nil
}

// CheckDelta returns why WithDelta would fail.
func (l *List) CheckDelta(delta *List) error {
	switch {
	case l.BaseNumber != nil || l.delta != nil || delta.BaseNumber == nil || delta.Number == nil:
		return fmt.Errorf("%w: they are not a complete list and a delta", ErrNotBase)
	case l.Number == nil:
		return fmt.Errorf("%w: that has no number", ErrNotBase)
	case l.muchLaterThan(delta), l.Number.Cmp(delta.Number) >= 0 && !delta.muchLaterThan(l):
		return ErrSuperseded
	case l.Number.Cmp(delta.Number) >= 0:
		return fmt.Errorf("%w: that is number %v, and the delta has number %v and is from later: the CA has begun to count anew", ErrNotBase, l.Number, delta.Number)
	case l.Number.Cmp(delta.BaseNumber) < 0:
		return fmt.Errorf("%w: that is number %v, and number %v or later is needed", ErrNotBase, l.Number, delta.BaseNumber)
	}
	return nil
}

// combined iterates over the entries of a list with a delta.
func (l *List) combined(yield func([]byte) bool) {
	for serial := range l.revoked.all() {
		if (!l.delta.removed.hasBytes(serial) || l.delta.revoked.hasBytes(serial)) && !yield(serial) {
			return
		}
	}
	for serial := range l.delta.revoked.all() {
		if !l.revoked.hasBytes(serial) && !yield(serial) {
			return
		}
	}
}

// Since iterates over serial numbers that the list revokes, among them all that an earlier version of it does not
// revoke; nil is no earlier version. Of two versions that share their complete list, it looks at their deltas alone.
func (l *List) Since(earlier *List) iter.Seq[[]byte] {
	if earlier == nil || earlier.revoked != l.revoked {
		return l.Serials()
	}
	return func(yield func([]byte) bool) {
		if l.delta != nil {
			for serial := range l.delta.revoked.all() {
				if !yield(serial) {
					return
				}
			}
		}
		if earlier.delta == nil {
			return
		}
		for serial := range earlier.delta.removed.all() { // which may not be removed any more
			if l.HasBytes(serial) && !yield(serial) {
				return
			}
		}
	}
}

// missing returns how many numbers of other are not in s.
func (s *serialSet) missing(other *serialSet, t *pace.Throttle) (n int) {
	i := 0
	for serial := range other.all() {
		if i++; i%batch == 0 {
			t.Yield()
		}
		if !s.hasBytes(serial) {
			n++
		}
	}
	return n
}

// shared returns how many numbers of s are in other, and not in except.
func (s *serialSet) shared(other, except *serialSet, t *pace.Throttle) (n int) {
	i := 0
	for serial := range s.all() {
		if i++; i%batch == 0 {
			t.Yield()
		}
		if other.hasBytes(serial) && !except.hasBytes(serial) {
			n++
		}
	}
	return n
}
