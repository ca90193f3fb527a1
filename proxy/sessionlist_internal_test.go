// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever is added and removed, and however often the tombstones go: the order stays, and no session is lost.
func TestSessionListKeepsTheOrder(t *testing.T) {
	t.Parallel()
	var l sessionList
	var in []*session
	for range 5 * minTombstones {
		if len(in) == 0 || rand.IntN(5) < 3 {
			s := &session{}
			s.live.id = l.add(s)
			in = append(in, s)
		} else {
			i := rand.IntN(len(in))
			l.remove(in[i].live.id)
			l.remove(in[i].live.id) // as a second time must not hurt
			in = slices.Delete(in, i, i+1)
		}
	}
	for len(in) > 7 { // until most entries are tombstones
		if l.tombstones > minTombstones && l.tombstones > len(l.entries)/2 {
			t.Fatalf("%d of %d entries are tombstones", l.tombstones, len(l.entries))
		}
		i := rand.IntN(len(in))
		l.remove(in[i].live.id)
		in = slices.Delete(in, i, i+1)
	}
	var paged []*session
	for after := SessionID(0); ; after = paged[len(paged)-1].live.id {
		page := l.after(nil, after, 3)
		if paged = append(paged, page...); len(page) < 3 {
			break
		}
	}
	if !slices.Equal(paged, in) {
		t.Errorf("got %d sessions in pages of 3, want the %d in the order they came", len(paged), len(in))
	}
	slices.Reverse(in)
	if got := l.newest(5); !slices.Equal(got, in[:5]) {
		t.Errorf("the newest 5 are not the last 5, backwards")
	}
}

// Processes beside each other, that began at the same time and share an address, have no sessions of the same id.
func TestSessionIDsOfSeveralProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var first, second sessionList
		seen := make(map[SessionID]bool)
		for i := range 1000 {
			l := &first
			if i%3 == 0 {
				l = &second
			}
			time.Sleep(time.Microsecond)
			if id := l.add(&session{}); seen[id] {
				t.Fatalf("%v is given twice", id)
			} else {
				seen[id] = true
			}
		}
	})
}

func TestSessionIDAsText(t *testing.T) {
	t.Parallel()
	var l sessionList
	id := l.add(&session{})
	var back SessionID
	if err := back.UnmarshalText([]byte(id.String())); err != nil || back != id {
		t.Errorf("%d is %q, which is %d and %v", id, id, back, err)
	}
	later := sessionList{last: SessionID(time.Date(2085, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro())}
	if a, b := id.String(), later.add(&session{}).String(); a >= b || len(a) != len(b) {
		t.Errorf("%q and %q do not sort as text", a, b)
	}
	for _, text := range []string{"", "0", "-1", "é", "zzzzzzzzzzzzzzz", "nonsense", strings.ToUpper(id.String()), "0" + id.String(), id.String()[1:], "zzzzzzzzzz", later.last.String()} {
		if err := back.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was taken for %d", text, back)
		}
	}
}
