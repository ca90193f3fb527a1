// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package footprint

import (
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const mib = 1 << 20

func TestGarbageIsInProportionToWhatLives(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		live uint64
		want int
	}{
		{"hardly anything", 1 * mib, 400},
		{"a few sessions", 8 * mib, 200},
		{"ten thousand sessions", 64 * mib, 40},
		{"a hundred thousand sessions", 700 * mib, 40},
	} {
		k := keeper{}
		if got, _ := k.look(sample{live: test.live, cycles: 1}); got < test.want-1 || got > test.want+1 {
			t.Errorf("%s: got %d %%, want %d %%", test.name, got, test.want)
		}
		if got, _ := k.look(sample{live: test.live * 101 / 100, cycles: 2}); got != 0 {
			t.Errorf("%s and a little: got %d %%, want no change", test.name, got)
		}
	}
}

func TestPercentageOfTheUserStays(t *testing.T) {
	t.Parallel()
	k := keeper{fixed: true}
	if got, _ := k.look(sample{live: 100 * mib, cycles: 1}); got != 0 {
		t.Errorf("got %d %%, want no change", got)
	}
}

func TestMemoryIsGivenBackOnceQuiet(t *testing.T) {
	t.Parallel()
	k := keeper{}
	s := sample{live: 50 * mib, allocated: 100 * mib, cycles: 7}
	trims := func(rate uint64, looks int) (n int) {
		for range looks {
			s.allocated += rate
			if _, trim := k.look(s); trim {
				n++
			}
		}
		return n
	}
	k.look(s)
	const some = mib // in a second
	s.cycles++
	if got := trims(some, quiet); got != 0 {
		t.Errorf("just after a collection: %d times, want 0", got)
	}
	if got := trims(some, 1); got != 1 {
		t.Errorf("without one for %d looks: %d times, want 1", quiet, got)
	}
	s.cycles++ // by its own collection
	if got := trims(0, 100); got != 0 {
		t.Errorf("nothing since: %d times, want 0", got)
	}
	s.cycles++
	if got := trims(20*mib, 2); got != 0 {
		t.Errorf("in a storm: %d times, want 0", got)
	}
	if got := trims(0, 1); got != 1 {
		t.Errorf("as soon as it is over: %d times, want 1", got)
	}
}

func TestReaderReads(t *testing.T) {
	t.Parallel()
	r := newReader()
	before := r.read()
	sink = make([]byte, mib)
	after := r.read()
	if got := after.allocated - before.allocated; got < mib || after.live == 0 {
		t.Errorf("got %d bytes allocated and %d alive, want %d and some", got, after.live, mib)
	}
}

var sink []byte

func TestMemoryLimitIsMostOfTheControlGroups(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		group uint64
		err   error
		want  int64 // 0 = none
	}{
		"limited":        {100 * mib, nil, 100 * mib / 10 * 9},
		"not limited":    {0, memlimit.ErrNoLimit, 0},
		"no Linux":       {0, memlimit.ErrCgroupsNotSupported, 0},
		"nothing at all": {0, nil, 0},
		"beyond int64":   {1 << 63, nil, 0},
	} {
		got, ok := memoryLimit(func() (uint64, error) { return test.group, test.err })
		if got != test.want || ok != (test.want != 0) {
			t.Errorf("%s: got %d, %v, want %d", name, got, ok, test.want)
		}
	}
}
