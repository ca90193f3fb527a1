// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"testing"
	"time"

	"github.com/vernegate/vernegate/truststore/certtest"
)

func TestWhichOfTwoListsIsNewer(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	now := time.Now()
	list := func(number int64, ago time.Duration) *List {
		return parse(t, root.CRL(certtest.CRLOptions{Number: number, ThisUpdate: now.Add(-ago)}))
	}
	const without = -1
	for name, row := range map[string]struct {
		one, other *List
		want       int // 1: one is newer, -1: the other one, 0: neither
	}{
		"higher number, later":               {list(6, 0), list(5, time.Hour), 1},
		"higher number, of the same time":    {list(6, 0), list(5, 0), 1},
		"higher number, from a clock behind": {list(6, ClockSkew), list(5, 0), 1},
		"higher number, earlier":             {list(6, ClockSkew+time.Second), list(5, 0), -1},
		"higher number, much earlier":        {list(1<<40, time.Hour), list(5, 0), -1},
		"same number, later":                 {list(5, 0), list(5, time.Second), 1},
		"same number and time":               {list(5, 0), list(5, 0), 0},
		"no numbers, later":                  {list(without, 0), list(without, time.Second), 1},
		"no number any more, later":          {list(without, 0), list(5, time.Second), 1},
		"from the other end of what can be encoded": {
			parse(t, root.CRL(certtest.CRLOptions{Number: 1, ThisUpdate: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)})),
			parse(t, root.CRL(certtest.CRLOptions{Number: 2, ThisUpdate: time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC)})), 1,
		},
	} {
		got := 0
		if row.one.NewerThan(row.other) {
			got++
		}
		if row.other.NewerThan(row.one) {
			got--
		}
		if got != row.want || row.want != 0 && row.one.NewerThan(row.other) == row.other.NewerThan(row.one) {
			t.Errorf("%s: got %d, want %d", name, got, row.want)
		}
	}
}
