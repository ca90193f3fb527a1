// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ownerfile

import (
	"crypto/sha256"
	"crypto/x509"
	"hash/maphash"

	"github.com/vernegate/vernegate/internal/pace"
	"github.com/vernegate/vernegate/internal/pki"
)

// A key is the fingerprint of a certificate, or a hash of a subject. The one cannot be taken for the other:
// what a subject is hashed from is no certificate.
type key [sha256.Size]byte

// subjectKey returns the key of a subject, as pki.ExactName has it.
func subjectKey(name string) key { return sha256.Sum256([]byte("subject " + name)) }

// A Table is what a file says: owners by fingerprint and by subject. It never changes, and any number of
// goroutines may use it. A nil Table is empty.
//
// It takes 36 bytes for each line, those of the owner, and 5 to 11 for finding it: no pointers, which the
// collector would follow, and no room that is left over.
type Table struct {
	entries  []entry  // in the order of the file
	owners   []byte   // of the entries, one behind the other
	index    []uint32 // hash table of 1 + places in entries; 0 = free. Its length is a power of two
	seed     maphash.Seed
	subjects int // how many keys are subjects
}

// An entry is a key and where its owner ends; it begins where the one before ends.
type entry struct {
	key key
	end uint32
}

// newTable returns an empty table with room for a number of entries, and of bytes of their owners.
func newTable(entries, owners int) *Table {
	slots := 2
	for slots*3 < entries*4 { // a quarter is free at least, so that searches are short, and end
		slots *= 2
	}
	return &Table{
		entries: make([]entry, 0, entries),
		owners:  make([]byte, 0, owners),
		index:   make([]uint32, slots),
		seed:    maphash.MakeSeed(),
	}
}

// Len returns how many certificates and subjects have an owner.
func (t *Table) Len() int {
	if t == nil {
		return 0
	}
	return len(t.entries)
}

// Owner returns who owns a certificate: by its fingerprint, or else by its subject.
func (t *Table) Owner(leaf *x509.Certificate, fp pki.Fingerprint) (owner string, ok bool) {
	if t == nil {
		return "", false
	}
	found, ok := t.find(key(fp))
	if !ok && t.subjects > 0 {
		if name, is := pki.ExactName(leaf.RawSubject); is {
			found, ok = t.find(subjectKey(name))
		}
	}
	return string(found), ok
}

// find returns the owner that belongs to a key.
func (t *Table) find(k key) (owner []byte, ok bool) {
	for slot := t.slot(k); t.index[slot] != 0; slot = t.next(slot) {
		if i := t.index[slot] - 1; t.entries[i].key == k {
			return t.owner(i), true
		}
	}
	return nil, false
}

// add enters a key that is not in the table yet, for which newTable has made room.
func (t *Table) add(k key, owner []byte) {
	slot := t.slot(k)
	for t.index[slot] != 0 {
		slot = t.next(slot)
	}
	t.owners = append(t.owners, owner...)
	t.entries = append(t.entries, entry{k, uint32(len(t.owners))})
	t.index[slot] = uint32(len(t.entries))
}

// slot is where the search for a key begins.
func (t *Table) slot(k key) uint64 {
	return maphash.Bytes(t.seed, k[:]) & uint64(len(t.index)-1)
}

func (t *Table) next(slot uint64) uint64 { return (slot + 1) & uint64(len(t.index)-1) }

// owner returns the owner of an entry.
func (t *Table) owner(i uint32) []byte {
	var begin uint32
	if i > 0 {
		begin = t.entries[i-1].end
	}
	return t.owners[begin:t.entries[i].end]
}

// lacking returns how many keys of t are not in other.
func (t *Table) lacking(other *Table, throttle *pace.Throttle) (n int) {
	for i := range t.Len() {
		if i%yieldEvery == 0 {
			throttle.Yield()
		}
		if _, ok := other.find(t.entries[i].key); !ok {
			n++
		}
	}
	return n
}
