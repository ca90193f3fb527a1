// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"bytes"
	"errors"
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
	issuer    []byte // its RDNs; nil = none
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
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(h.issuer) })
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
			complete := row.list.behindList == nil
			if kind := errors.Is(err, ErrOdd) || errors.Is(err, ErrUnsupported); row.want != "" && (kind != complete || errors.Is(err, ErrMalformed) == complete) {
				t.Errorf("got error %v, which is %#v, want that it is odd or not supported: %v", err, errors.Unwrap(err), complete)
			}
		})
	}
}

// TestACutListIsNotOdd wherever it is cut, and whatever is odd about what is left: it may be in the middle of being written.
func TestACutListIsNotOdd(t *testing.T) {
	t.Parallel()
	two := []byte{2, 1, 1}
	for name, list := range map[string]handmade{
		"in order":           {version: two, entries: entry([]byte{5})},
		"an odd entry":       {version: two, entries: entry([]byte{0, 5})},
		"an odd version":     {version: []byte{2, 2, 0, 1}},
		"an odd extension":   {version: two, extensions: element(extensionsTag, element(asn1.SEQUENCE, []byte{5, 0}))},
		"a long extension":   {version: two, extensions: element(extensionsTag, make([]byte, maxElement+1))},
		"a long algorithm":   {version: two, algorithm: element(asn1.OBJECT_IDENTIFIER, make([]byte, maxHead))},
		"a signature within": {version: two, behindTBS: []byte{5, 0}},
	} {
		der := list.der()
		if _, err := Parse(bytes.NewReader(der), nil); name != "in order" && !errors.Is(err, ErrOdd) {
			t.Errorf("%s: got %v, want that it is odd", name, err)
		}
		for cut := 0; cut < len(der); cut += 1 + len(der)/200 {
			if _, err := Parse(bytes.NewReader(der[:cut]), nil); err == nil || errors.Is(err, ErrOdd) {
				t.Errorf("%s, cut after %d of %d bytes: got %v", name, cut, len(der), err)
			}
		}
	}
}

// element is one in DER.
func element(tag asn1.Tag, contents ...[]byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(contents, nil)) })
	return b.BytesOrPanic()
}

// TestWhatIsWrongWithAListIsSaidInShort has whoever answers for a CA's server choose what is quoted: one such message is kept
// for each of thousands of lists.
func TestWhatIsWrongWithAListIsSaidInShort(t *testing.T) {
	t.Parallel()
	two, long := []byte{2, 1, 1}, bytes.Repeat([]byte{0x41}, maxHead-100)
	critical := element(asn1.SEQUENCE, element(asn1.OBJECT_IDENTIFIER, long), []byte{1, 1, 0xff}, element(asn1.OCTET_STRING))
	for name, row := range map[string]struct {
		list handmade
		want string
	}{
		"algorithm":          {handmade{version: two, algorithm: element(asn1.OBJECT_IDENTIFIER, long)}, "an unknown algorithm (identifier 30823fa006823f9c4141"},
		"extension":          {handmade{version: two, extensions: element(extensionsTag, element(asn1.SEQUENCE, critical))}, "the critical extension 1.25.65.65"},
		"extension of entry": {handmade{version: two, entries: entry([]byte{5}, element(asn1.SEQUENCE, critical)...)}, "entry 1: it has an unsupported critical extension (identifier 4141"},
	} {
		list, err := Parse(bytes.NewReader(row.list.der()), nil)
		if list == nil || !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got error %.200v, want one that says %q", name, err, row.want)
			continue
		}
		if got, most := len(err.Error()), 300; got > most {
			t.Errorf("%s: the error has %d bytes, want at most %d", name, got, most)
		}
	}
}

// What is signed with Ed25519 has to be in memory as a whole, and anybody can say that a list is.
func TestListsWithEd25519HaveABound(t *testing.T) {
	t.Parallel()
	list := handmade{version: []byte{2, 1, 1}, algorithm: []byte{6, 3, 0x2b, 0x65, 0x70}, entries: element(asn1.SEQUENCE, make([]byte, maxEd25519))}
	der := bytes.NewReader(list.der())
	_, err := Parse(der, nil)
	if want := "larger than 64 MiB"; !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want one that says %q", err, want)
	}
	if der.Len() < maxEd25519/2 {
		t.Errorf("%d bytes are left to be read, want most of %d", der.Len(), maxEd25519)
	}
}

func TestTheHeadOfAListHasABound(t *testing.T) {
	t.Parallel()
	two, long := []byte{2, 1, 1}, make([]byte, maxHead)
	for name, list := range map[string]handmade{
		"version":   {version: element(asn1.INTEGER, []byte{1}, long)},
		"algorithm": {version: two, algorithm: element(asn1.OBJECT_IDENTIFIER, long)},
		"issuer":    {version: two, issuer: element(asn1.SET, long)},
	} {
		got, err := Parse(bytes.NewReader(list.der()), nil)
		if got != nil || !errors.Is(err, ErrOdd) || !strings.Contains(err.Error(), "an element of it has 163") || !strings.Contains(err.Error(), "bytes, more than 16384") {
			t.Errorf("%s: got %v, want an error with both numbers", name, err)
		}
	}
}
