// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/vernegate/vernegate/truststore/certtest"
)

// TestDeltasThatAreAheadRevoke has a list revoke 1 to 3, its delta 0 and 4 but not 1 and 2, and two later deltas 1 and 5, and
// 5 and 6.
func TestDeltasThatAreAheadRevoke(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	list := parse(t, root.CRL(certtest.CRLOptions{Number: 5, Serials: numbers(1, 2, 3)}))
	delta := func(number, base int64, removed []byte, revoked ...byte) *List {
		return parse(t, root.CRL(certtest.CRLOptions{Number: number, Extensions: deltaExtension(base), Serials: numbers(revoked...), Removed: numbers(removed...)}))
	}
	applied, err := list.WithDelta(delta(6, 5, []byte{1, 2}, 0, 4), nil)
	if err != nil {
		t.Fatal(err)
	}
	ahead := []*List{delta(12, 11, []byte{0, 3, 4}, 5, 6), delta(9, 8, []byte{3}, 1, 5)}
	for name, row := range map[string]struct {
		before *List
		want   []byte
	}{
		"a list":            {list, []byte{1, 2, 3, 5, 6}},
		"one with a delta":  {applied, []byte{0, 1, 3, 4, 5, 6}},
		"one that has them": {list.WithRevoked(ahead, nil), []byte{1, 2, 3, 5, 6}},
	} {
		l := row.before.WithRevoked(ahead, nil)
		found := make(map[byte]bool)
		for serial := range l.Serials() {
			found[bytes.Join([][]byte{{0}, serial}, nil)[len(serial)]] = true
		}
		if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, row.want) || l.Entries != len(row.want) {
			t.Errorf("%s: it revokes %v and has %d entries, want %v", name, got, l.Entries, row.want)
		}
		for n := range byte(8) {
			serial := numbers(n)[0]
			if want := slices.Contains(row.want, n); l.Has(serial) != want || l.HasBytes(serial.Bytes()) != want {
				t.Errorf("%s: %d is revoked %v, want %v", name, n, !want, want)
			}
		}
		for when, steps := range map[string][2]*List{"since": {row.before, l}, "again": {l, row.before}} {
			since := make(map[string]bool)
			for serial := range steps[1].Since(steps[0]) {
				since[string(serial)] = true
			}
			for serial := range steps[1].Serials() {
				if !steps[0].HasBytes(serial) && !since[string(serial)] {
					t.Errorf("%s: %v is not among those that it revokes %s", name, serial, when)
				}
			}
		}
		if l.Number.Cmp(row.before.Number) != 0 || !l.NextUpdate.Equal(row.before.NextUpdate) {
			t.Errorf("%s: it is number %v until %v now", name, l.Number, l.NextUpdate)
		}
		if _, err := l.WithDelta(ahead[0], nil); !errors.Is(err, ErrNotBase) {
			t.Errorf("%s: another delta is applied: %v", name, err)
		}
	}
}
