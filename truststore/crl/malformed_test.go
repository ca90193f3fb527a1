// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// handmade are the pieces of a list, each as it is encoded.
type handmade struct {
	version, entries, extensions, behindTBS, behindList []byte

	algorithm []byte // nil = ecdsa-with-SHA256
}

// md5WithRSA is an algorithm that nobody should use.
var md5WithRSA = []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4, 5, 0}

// der puts the pieces together around what is the same in all lists. The
// signature is none.
func (h handmade) der() []byte {
	var b cryptobyte.Builder
	name := h.algorithm
	if name == nil {
		name = []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2}
	}
	algorithm := func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(name) })
	}
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(h.version)
			algorithm(b)
			b.AddASN1(asn1.SEQUENCE, func(*cryptobyte.Builder) {}) // an issuer without name
			b.AddASN1UTCTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
			b.AddBytes(h.entries)
			b.AddBytes(h.extensions)
			b.AddBytes(h.behindTBS)
		})
		algorithm(b)
		b.AddASN1BitString([]byte{0})
	})
	b.AddBytes(h.behindList)
	return b.BytesOrPanic()
}

// entry is one with the contents of a serial number and what follows the date.
func entry(serial []byte, rest ...byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(serial) })
			b.AddASN1UTCTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
			b.AddBytes(rest)
		})
	})
	return b.BytesOrPanic()
}

func TestMalformedCRLsAreRefused(t *testing.T) {
	t.Parallel()
	two := []byte{2, 1, 1}
	noExtensions := []byte{0xa0, 2, 0x30, 0}
	for name, row := range map[string]struct {
		list handmade
		want string // what the error says; empty: accepted
	}{
		"of version 1":              {handmade{entries: entry([]byte{5})}, ""},
		"of version 2":              {handmade{version: two, entries: entry([]byte{5}), extensions: noExtensions}, ""},
		"version 1 with extensions": {handmade{extensions: noExtensions}, "version 1 is not known, or not to have extensions"},
		"version 3":                 {handmade{version: []byte{2, 1, 2}}, "version 3 is not known"},
		"version 0":                 {handmade{version: []byte{2, 1, 0xff}}, "version 0 is not known"},
		"signed with MD5":           {handmade{version: two, algorithm: md5WithRSA}, "it is signed with MD5-RSA, which is not supported"},
		"version of two octets":     {handmade{version: []byte{2, 2, 0, 1}}, "no well-formed"},
		"bytes behind the list":     {handmade{version: two, behindList: []byte{0}}, "no well-formed"},
		"bytes behind what is signed": {handmade{version: two, extensions: noExtensions, behindTBS: []byte{5, 0}},
			"no well-formed"},
		"entry without serial number":    {handmade{version: two, entries: entry(nil)}, "entry 1: no well-formed"},
		"serial number with zeros":       {handmade{version: two, entries: entry([]byte{0, 5})}, "entry 1: no well-formed"},
		"serial number with ones":        {handmade{version: two, entries: entry([]byte{0xff, 0x85})}, "entry 1: no well-formed"},
		"something else in an entry":     {handmade{version: two, entries: entry([]byte{5}, 5, 0)}, "entry 1: no well-formed"},
		"bytes behind entry extensions":  {handmade{version: two, entries: entry([]byte{5}, 0x30, 0, 5, 0)}, "entry 1: no well-formed"},
		"broken entry extension":         {handmade{version: two, entries: entry([]byte{5}, 0x30, 2, 0x30, 0)}, "entry 1: no well-formed"},
		"entry that is longer than told": {handmade{version: two, entries: []byte{0x30, 3, 0x30, 9, 2}}, "entry 1: no well-formed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list, err := Parse(bytes.NewReader(row.list.der()), nil)
			switch {
			case row.want == "" && err != nil:
				t.Fatal(err)
			case row.want == "" && list.Entries != 1:
				t.Errorf("%d entries, want 1", list.Entries)
			case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("got error %v, want it to say %q", err, row.want)
			}
		})
	}
}
