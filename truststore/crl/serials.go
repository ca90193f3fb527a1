// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"bytes"
	"hash/maphash"
	"iter"
	"math/big"
	"math/bits"

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
	seed   maphash.Seed
	tables [maxSerialOctets + 1]serialTable // by length in octets
	zero   bool                             // serial number 0 has no octets
}

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

// add puts a number in, given without leading zeros, that is not 0. One more than
// the set has room for is a mistake of the caller, and loops forever.
func (s *serialSet) add(serial []byte) {
	if slot, found := s.slot(serial); !found {
		copy(slot, serial)
	}
}

// all iterates over the numbers, in no order and each valid until the next.
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
	_, found := s.slot(serial)
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

// slot returns where the number is, or the empty slot where it would be.
func (s *serialSet) slot(serial []byte) (slot []byte, found bool) {
	size := len(serial)
	table := &s.tables[size]
	for at, _ := bits.Mul64(maphash.Bytes(s.seed, serial), table.slots); ; at++ {
		if at == table.slots {
			at = 0
		}
		start := int(at%pageSlots) * size
		slot = table.pages[at/pageSlots][start : start+size]
		switch {
		case slot[0] == 0:
			return slot, false
		case bytes.Equal(slot, serial):
			return slot, true
		}
	}
}
