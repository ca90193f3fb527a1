// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"testing"
	"time"
)

func TestProcessorTimeOfAProcessIsAllThatItHasUsed(t *testing.T) {
	t.Parallel()
	// The name is what a program calls itself, which may look like the end of a name and more fields.
	line := "4242 (a) S 1 (b) R 17 4242 4242 0 -1 4194304 100 200 0 0 150 50 25 5 20 0 9 0 12345 1000 200\n"
	got, err := parseStat([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	want := stat{parent: 17, cpu: 2300 * time.Millisecond}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWhatIsNoStatIsAnError(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"", "4242 (a) S 1", "4242 (a) S x 1 1 0 -1 0 0 0 0 0 1 1 1 1 0", "4242 (a) S 1 1 1 0 -1 0 0 0 0 0 1 y 1 1 0"} {
		if got, err := parseStat([]byte(line)); err == nil {
			t.Errorf("%q was read as %+v, want an error", line, got)
		}
	}
}

func TestDescendants(t *testing.T) {
	t.Parallel()
	all := map[int]stat{1: {}, 10: {parent: 1}, 11: {parent: 10}, 12: {parent: 11}, 20: {parent: 1}, 30: {parent: 29}}
	for pid, want := range map[int]bool{10: true, 11: true, 12: true, 1: false, 20: false, 30: false} {
		if got := descends(all, pid, 10); got != want {
			t.Errorf("%d descends from 10: %t, want %t", pid, got, want)
		}
	}
}

func TestProportionalSetSize(t *testing.T) {
	t.Parallel()
	got, err := parsePSS([]byte("00400000-7fff0000 ---p 00000000 00:00 0 [rollup]\nRss:    9000 kB\nPss:            1234 kB\nPss_Anon:  1 kB\n"))
	if err != nil || got != 1234<<10 {
		t.Errorf("got %d and %v, want %d", got, err, 1234<<10)
	}
	if got, err := parsePSS([]byte("Rss: 9000 kB\n")); err == nil {
		t.Errorf("got %d without a line Pss, want an error", got)
	}
}
