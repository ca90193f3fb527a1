// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vernegate/vernegate/truststore/certtest"
)

// deltaExtension makes a list a delta to the complete one of a number.
func deltaExtension(base int64) []pkix.Extension {
	value, err := asn1.Marshal(base)
	if err != nil {
		panic(err)
	}
	return []pkix.Extension{{Id: oidDeltaCRL, Critical: true, Value: value}}
}

func parse(t testing.TB, der []byte) *List {
	t.Helper()
	l, err := Parse(bytes.NewReader(der), nil)
	if err != nil {
		t.Fatal(err)
	}
	l.Release()
	return l
}

// numbers are small serial numbers.
func numbers(values ...byte) (list []*big.Int) {
	for _, v := range values {
		list = append(list, big.NewInt(int64(v)))
	}
	return list
}

func TestADeltaAppliesToTheListsThatItFits(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	now := time.Now()
	later := func(number int64, by time.Duration) *List {
		return parse(t, root.CRL(certtest.CRLOptions{Number: number, ThisUpdate: now.Add(by)}))
	}
	complete := func(number int64) *List { return later(number, 0) }
	delta := parse(t, root.CRL(certtest.CRLOptions{Number: 9, ThisUpdate: now, Extensions: deltaExtension(5)}))
	for _, row := range []struct {
		name        string
		base, delta *List
		want        error
	}{
		{"older than its base", complete(4), delta, ErrNotBase},
		{"its base", complete(5), delta, nil},
		{"between", complete(8), delta, nil},
		{"of the same number", complete(9), delta, ErrSuperseded},
		{"newer", complete(10), delta, ErrSuperseded},
		{"of the same number, hardly earlier", later(9, -time.Minute), delta, ErrSuperseded},
		{"newer, hardly earlier", later(10, -time.Minute), delta, ErrSuperseded},
		{"between, hardly later", later(8, time.Minute), delta, nil},
		{"between by a count that began anew", later(8, time.Hour), delta, ErrSuperseded},
		{"from before the count began anew", later(10, -time.Hour), delta, ErrNotBase},
		{"without number", complete(-1), delta, ErrNotBase},
		{"a delta", delta, delta, ErrNotBase},
		{"no delta", complete(5), complete(9), ErrNotBase},
	} {
		l, err := row.base.WithDelta(row.delta, nil)
		if !errors.Is(err, row.want) || (err == nil) != (row.want == nil) || err == nil && l.Number.Int64() != 9 {
			t.Errorf("%s: got %v, want %v", row.name, err, row.want)
		}
	}
	whole, err := complete(5).WithDelta(delta, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := whole.WithDelta(delta, nil); !errors.Is(err, ErrNotBase) {
		t.Errorf("applied twice: %v", err)
	}
}

func TestAListWithADeltaIsOverdueWhenBothAre(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	hour := func(n int) time.Time { return time.Now().Add(time.Duration(n) * time.Hour).Truncate(time.Second) }
	for _, row := range []struct{ base, delta, want int }{{24, 1, 24}, {-1, 1, 1}, {24, 0, 0}, {0, 1, 0}} {
		options := func(number int64, until int, extensions ...pkix.Extension) certtest.CRLOptions {
			return certtest.CRLOptions{Number: number, ThisUpdate: hour(-30), NextUpdate: hour(until), NoNextUpdate: until == 0, Extensions: extensions}
		}
		l, err := parse(t, root.CRL(options(5, row.base))).WithDelta(parse(t, root.CRL(options(6, row.delta, deltaExtension(5)...))), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.NextUpdate; row.want == 0 != got.IsZero() || row.want != 0 && !got.Equal(hour(row.want)) && time.Until(got)-time.Duration(row.want)*time.Hour > time.Minute {
			t.Errorf("list until %d h, delta until %d h: got %v", row.base, row.delta, got)
		}
	}
}

// state is which certificates are revoked, one bit each.
type state [256]bool

func (s *state) numbers() (list []byte) {
	for n, revoked := range s {
		if revoked {
			list = append(list, byte(n))
		}
	}
	return list
}

// deltaFrom returns the delta that a CA makes of the last state to the one with a number: what any list since has had in
// another way (RFC 5280 §5.2.4).
func deltaFrom(ca *certtest.CA, states []state, base int) []byte {
	last := len(states) - 1
	var added, removed []byte
	for n, revoked := range states[last] {
		differs := slices.ContainsFunc(states[base:last], func(s state) bool { return s[n] != revoked })
		switch {
		case differs && revoked:
			added = append(added, byte(n))
		case differs:
			removed = append(removed, byte(n))
		}
	}
	return ca.CRL(certtest.CRLOptions{
		Number: int64(last), Extensions: deltaExtension(int64(base)), Serials: numbers(added...), Removed: numbers(removed...),
	})
}

// FuzzDelta has a CA revoke, and take back, what the input says, and make a complete list and a delta of each state: every
// list with every delta that applies to it says what the complete list of that delta's number does.
func FuzzDelta(f *testing.F) {
	f.Add([]byte{1, 2, 3, 2, 0, 9, 9}, uint8(2))
	f.Add([]byte{0, 0, 0, 0, 0, 0}, uint8(1))
	f.Add([]byte{255, 7, 128, 127, 7}, uint8(3))
	root := certtest.NewCA("root")
	f.Fuzz(func(t *testing.T, toggles []byte, each uint8) {
		if len(toggles) > 24 || each == 0 {
			return
		}
		var states []state
		var now state
		states = append(states, now)
		for chunk := range slices.Chunk(toggles, int(each)) {
			for _, n := range chunk {
				now[n] = !now[n] // revoked, or taken back from a hold
			}
			states = append(states, now)
		}
		var complete []*List
		for number := range states {
			complete = append(complete, parse(t, root.CRL(certtest.CRLOptions{Number: int64(number), Serials: numbers(states[number].numbers()...)})))
		}
		for base := range states {
			for number := base + 1; number < len(states); number++ {
				delta := parse(t, deltaFrom(root, states[:number+1], base))
				checkDelta(t, complete, delta, base, number, &states[number])
			}
		}
	})
}

// checkDelta applies a delta to each complete list.
func checkDelta(t *testing.T, complete []*List, delta *List, base, number int, want *state) {
	t.Helper()
	for n, list := range complete {
		l, err := list.WithDelta(delta, nil)
		if applies := n >= base && n < number; (err == nil) != applies {
			t.Fatalf("list %d, delta %d to %d: got %v", n, base, number, err)
		}
		if err != nil {
			continue
		}
		name := fmt.Sprintf("list %d with delta %d", n, number)
		checkSays(t, name, l, want)
		if got := len(slices.Collect(copies(l))); got != l.Entries {
			t.Errorf("%s: %d entries, want %d", name, l.Entries, got)
		}
		checkSince(t, name, l, list)
	}
}

// checkSays fails unless the list revokes exactly what want says, whichever way it is asked.
func checkSays(t *testing.T, name string, l *List, want *state) {
	t.Helper()
	var got state
	for serial := range l.Serials() {
		n := new(big.Int).SetBytes(serial).Int64()
		if got[n] {
			t.Errorf("%s: %d comes twice", name, n)
		}
		got[n] = true
	}
	if got != *want {
		t.Errorf("%s: got %v, want %v", name, got.numbers(), want.numbers())
	}
	for n := range want {
		serial := big.NewInt(int64(n))
		if l.Has(serial) != want[n] || l.HasBytes(serial.Bytes()) != want[n] {
			t.Errorf("%s: %d is revoked %v, want %v", name, n, l.Has(serial), want[n])
		}
	}
}

// checkSince fails unless Since has what one version revokes and the other does not, both ways.
func checkSince(t *testing.T, name string, l, other *List) {
	t.Helper()
	for _, pair := range [][2]*List{{l, other}, {other, l}, {l, nil}} {
		var found state
		for serial := range pair[0].Since(pair[1]) {
			if !pair[0].HasBytes(serial) {
				t.Errorf("%s: %x is not revoked", name, serial)
			}
			found[new(big.Int).SetBytes(serial).Int64()] = true
		}
		for serial := range pair[0].Serials() {
			if n := new(big.Int).SetBytes(serial).Int64(); !pair[1].HasBytes(serial) && !found[n] {
				t.Errorf("%s: %d is missing among what is new", name, n)
			}
		}
	}
}

func copies(l *List) func(func(string) bool) {
	return func(yield func(string) bool) {
		for serial := range l.Serials() {
			if !yield(string(serial)) {
				return
			}
		}
	}
}

func TestADeltaToAMillionEntriesIsCheap(t *testing.T) {
	// Not parallel: it measures what is allocated.
	n := million(t)
	root := certtest.NewCA("root")
	base := parse(t, root.CRL(certtest.CRLOptions{Number: 1, Fill: n}))
	delta := parse(t, root.CRL(certtest.CRLOptions{Number: 2, Extensions: deltaExtension(1), Serials: numbers(1, 2, 3), Removed: []*big.Int{certtest.FillSerial(7)}}))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	l, err := base.WithDelta(delta, nil)
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	for range l.Since(base) {
		looked++
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 8<<10 {
		t.Errorf("%d bytes were allocated", got)
	}
	if looked != 3 || l.Entries != n+2 || l.Has(certtest.FillSerial(7)) || !l.Has(certtest.FillSerial(8)) || !l.Has(big.NewInt(3)) {
		t.Errorf("%d looked at, %d entries", looked, l.Entries)
	}
}

func BenchmarkWithDelta(b *testing.B) {
	root := certtest.NewCA("root")
	base := parse(b, root.CRL(certtest.CRLOptions{Number: 1, Fill: million(b)}))
	delta := parse(b, root.CRL(certtest.CRLOptions{Number: 2, Extensions: deltaExtension(1), Fill: 1000}))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := base.WithDelta(delta, nil); err != nil {
			b.Fatal(err)
		}
	}
}
