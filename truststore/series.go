// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"cmp"
	"strings"
)

// seriesID is the same for lists that replace each other: those of one CA and scope, the complete ones and the deltas.
type seriesID struct {
	issuer, key, scope string // as in list, and as List.Scope has it
	delta              bool
}

func (l *list) series() seriesID {
	return seriesID{l.issuer, l.key, l.Scope(), l.BaseNumber != nil}
}

// deltas returns the series of the deltas to the lists of a series.
func (s seriesID) deltas() seriesID {
	s.delta = true
	return s
}

// complete returns the series of the lists that the deltas of a series apply to.
func (s seriesID) complete() seriesID {
	s.delta = false
	return s
}

// ofAnyKey returns what is the same for the series of all keys of a CA.
func (s seriesID) ofAnyKey() seriesID {
	s.key = ""
	return s
}

// compare orders series: those of complete lists first.
func (s seriesID) compare(other seriesID) int {
	switch {
	case !s.delta && other.delta:
		return -1
	case s.delta && !other.delta:
		return 1
	}
	return cmp.Or(strings.Compare(s.issuer, other.issuer), strings.Compare(s.key, other.key), strings.Compare(s.scope, other.scope))
}
