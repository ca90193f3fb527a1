// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/vernegate/vernegate/bench/peer"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		values []float64
		want   float64
		known  bool
	}{
		{nil, 0, false},
		{[]float64{7}, 7, true},
		{[]float64{9, 1, 2}, 2, true},
		{[]float64{4, 1, 100, 2}, 3, true},
	} {
		if got, ok := median(test.values); got != test.want || ok != test.known {
			t.Errorf("%v: got %v and %t, want %v and %t", test.values, got, ok, test.want, test.known)
		}
	}
}

func TestTableHasMediansAndRatios(t *testing.T) {
	t.Parallel()
	found := newTable([]*peer.Kind{{Name: peer.Vernegate}, {Name: peer.HAProxy}, {Name: peer.IOCopy}})
	work := []figure{{"work", "µs", micro}}
	for _, seconds := range []float64{300e-6, 200e-6, 100e-6} {
		found.add(peer.Vernegate, work, []float64{seconds})
		found.add(peer.HAProxy, work, []float64{4 * seconds})
	}
	want := `| | unit | vernegate | HAProxy | io.Copy | ÷ HAProxy | ÷ io.Copy |
|---|---|---|---|---|---|---|
| work | µs | 200 (100–300) | 800 (400–1200) | – | 0.25 | – |
`
	if got := found.markdown(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if bars := found.bars(); bars.Base != peer.HAProxy || bars.Groups[0].Values[0] != .25 || bars.Groups[0].Values[2] != 0 {
		t.Errorf("got bars %+v, want .25 of HAProxy and none of io.Copy", bars)
	}
}

func TestTableHasRatiosToEachHAProxy(t *testing.T) {
	t.Parallel()
	const newer = peer.HAProxy + " 3.5"
	found := newTable([]*peer.Kind{{Name: peer.Vernegate}, {Name: peer.HAProxy}, {Name: newer}})
	work := []figure{{"work", "µs", micro}}
	for proxy, seconds := range map[string]float64{peer.Vernegate: 100e-6, peer.HAProxy: 400e-6, newer: 200e-6} {
		found.add(proxy, work, []float64{seconds})
	}
	want := `| | unit | vernegate | HAProxy | HAProxy 3.5 | ÷ HAProxy | ÷ HAProxy 3.5 | ÷ io.Copy |
|---|---|---|---|---|---|---|---|
| work | µs | 100 | 400 | 200 | 0.25 | 0.50 | – |
`
	if got := found.markdown(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestOnlyWhatIsBetweenTheMarksIsReplaced(t *testing.T) {
	t.Parallel()
	text := "before\n<!-- begin it -->\nold\n<!-- end it -->\nafter\n"
	got, err := replaceBetween([]byte(text), "it", "new\n")
	if want := strings.Replace(text, "old", "new", 1); err != nil || string(got) != want {
		t.Errorf("got %q and %v, want %q", got, err, want)
	}
	for _, text := range []string{"", "<!-- begin it -->\n", "<!-- end it -->\n<!-- begin it -->\n"} {
		if got, err := replaceBetween([]byte(text), "it", "new\n"); err == nil {
			t.Errorf("%q: got %q, want an error", text, got)
		}
	}
}
