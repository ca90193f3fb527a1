// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"iter"
	"slices"

	"github.com/vernegate/vernegate/internal/pace"
)

// serialList collects serial numbers as long as it is not known how many there
// are. The zero value is empty.
type serialList struct {
	numbers [maxSerialOctets + 1]chunks // by length in octets
	zero    bool                        // serial number 0 has no octets
}

// chunks hold numbers of one length, one behind the other. To move all of them
// when there are too many for the memory they are in would take long at a time.
type chunks struct {
	full [][]byte
	last []byte
	n    int
}

// Chunks grow from a few numbers to what a large list makes worthwhile.
const (
	smallestChunk = 4       // numbers
	largestChunk  = 1 << 10 // numbers
)

// add adds a number, given without leading zeros.
func (l *serialList) add(serial []byte) {
	if len(serial) == 0 {
		l.zero = true
		return
	}
	l.numbers[len(serial)].add(serial)
}

func (c *chunks) add(serial []byte) {
	if len(c.last) == cap(c.last) {
		if c.last != nil {
			c.full = append(c.full, c.last)
		}
		c.last = make([]byte, 0, len(serial)*min(max(smallestChunk, c.n), largestChunk))
	}
	c.last = append(c.last, serial...)
	c.n++
}

// all iterates over the chunks, and lets go of each before the next.
func (c *chunks) all() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i, chunk := range c.full {
			c.full[i] = nil
			if !yield(chunk) {
				return
			}
		}
		yield(c.last)
	}
}

// batch is how many numbers are put into a set between two calls of Yield.
const batch = 256

// set makes a set of the numbers, and leaves the list empty.
func (l *serialList) set(t *pace.Throttle) *serialSet {
	s := &serialSet{zero: l.zero}
	for size := range l.numbers {
		c := &l.numbers[size]
		if c.n == 0 {
			continue
		}
		s.tables[size] = newSerialTable(c.n, size, t)
		for chunk := range c.all() {
			for numbers := range slices.Chunk(chunk, batch*size) {
				s.tables[size].addAll(numbers, size)
				t.Yield()
			}
		}
	}
	*l = serialList{}
	return s
}
