// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"bytes"
	"hash/maphash"
	"iter"
	"math/big"
	"math/bits"
	"runtime"

	"github.com/vernegate/vernegate/internal/pace"
)

// maxSerialOctets is the longest serial number that a CRL may hold. RFC 5280
// §4.1.2.2 allows 20 octets; some CAs have not kept to that.
const maxSerialOctets = 64

// serialSet is a set of certificate serial numbers, made for a million of them:
// it holds no pointer per number, takes a fifth more memory than the numbers
// themselves, and is asked without allocating. It is filled once and then only
// read, by any number of goroutines.
type serialSet struct {
	tables [maxSerialOctets + 1]serialTable // by length in octets
	zero   bool                             // serial number 0 has no octets
}

// seed is that of all sets. So two of them have the numbers that they share in about the same order, and to compare two lists
// of a million reads the memory of both from the beginning to the end.
var seed = maphash.MakeSeed()

// serialTable is a hash table with open addressing of numbers of one length,
// big-endian and without leading zeros. A slot that begins with a zero is
// therefore empty. The slots are on pages, since to make one large table would
// take long at a time.
type serialTable struct {
	slots uint64
	pages [][]byte
}

// pageSlots is how many slots a page has, but for the last one.
const pageSlots = 1 << 12

func newSerialTable(numbers, size int, throttle *pace.Throttle) serialTable {
	slots := numbers + numbers/5 + 1
	t := serialTable{slots: uint64(slots)}
	for ; slots > 0; slots -= pageSlots {
		throttle.Yield()
		t.pages = append(t.pages, make([]byte, min(slots, pageSlots)*size))
	}
	return t
}

// addAll puts numbers of one length in that are one behind the other, at most batch of them, without leading zeros and not
// 0. One more than the table has room for is a mistake of the caller, and loops forever.
//
// The table is larger than the processor's caches, and waiting for memory is most of the work. So the slots are looked at in a
// loop of its own, in which the processor does not wait for one before it goes to the next.
func (t *serialTable) addAll(numbers []byte, size int) {
	var home [batch]uint64
	count, touched := len(numbers)/size, byte(0)
	for i := range count {
		home[i] = t.home(numbers[i*size : (i+1)*size])
		touched |= t.at(home[i], size)[0]
	}
	runtime.KeepAlive(touched)
	for i := range count {
		number := numbers[i*size : (i+1)*size]
		if slot, found := t.find(number, home[i]); !found {
			copy(slot, number)
		}
	}
}

// home returns the slot where the search for a number begins. Slots are in the order of hashes.
func (t *serialTable) home(serial []byte) uint64 {
	at, _ := bits.Mul64(maphash.Bytes(seed, serial), t.slots)
	return at
}

// at returns a slot of numbers of a size.
func (t *serialTable) at(slot uint64, size int) []byte {
	start := int(slot%pageSlots) * size
	return t.pages[slot/pageSlots][start : start+size]
}

// find returns where a number is, or the empty slot where it would be.
func (t *serialTable) find(serial []byte, from uint64) (slot []byte, found bool) {
	for at := from; ; at++ {
		if at == t.slots {
			at = 0
		}
		slot = t.at(at, len(serial))
		switch {
		case slot[0] == 0:
			return slot, false
		case bytes.Equal(slot, serial):
			return slot, true
		}
	}
}

// all iterates over the numbers, in the order of their hashes and each valid until the next.
func (s *serialSet) all() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if s.zero && !yield(nil) {
			return
		}
		for size, table := range s.tables {
			for _, page := range table.pages {
				for ; len(page) > 0; page = page[size:] {
					if page[0] != 0 && !yield(page[:size]) {
						return
					}
				}
			}
		}
	}
}

// hasBytes reports whether a number without leading zeros is in the set; nil is
// an empty set.
func (s *serialSet) hasBytes(serial []byte) bool {
	switch {
	case s == nil:
		return false
	case len(serial) == 0:
		return s.zero
	case len(serial) > maxSerialOctets || s.tables[len(serial)].slots == 0:
		return false
	}
	table := &s.tables[len(serial)]
	_, found := table.find(serial, table.home(serial))
	return found
}

// has reports whether the number is in the set.
func (s *serialSet) has(serial *big.Int) bool {
	size := (serial.BitLen() + 7) / 8
	if serial.Sign() < 0 || size > maxSerialOctets {
		return false
	}
	var buf [maxSerialOctets]byte
	return s.hasBytes(serial.FillBytes(buf[:size]))
}
