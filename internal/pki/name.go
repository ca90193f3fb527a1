// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	stdasn1 "encoding/asn1"
	"encoding/binary"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// String types of a DirectoryString (RFC 5280 §4.1.2.4) that cryptobyte has no name for.
const (
	teletexString   = asn1.Tag(20)
	visibleString   = asn1.Tag(26)
	universalString = asn1.Tag(28)
	bmpString       = asn1.Tag(30)
	numericString   = asn1.Tag(18)
)

// attribute is one AttributeTypeAndValue of a name.
type attribute struct {
	oid   stdasn1.ObjectIdentifier
	value string
	text  bool // value is the text; else it is the element as it is encoded
}

// CanonicalName returns a text that is the same for all encodings of a distinguished name that RFC 5280 §7.1 calls
// equal: whatever the string type, the letter case, and the white space around and between words. Unlike there, text
// is not normalized (NFKC) before it is compared. What cannot be read as a name is only equal to itself.
func CanonicalName(raw []byte) string {
	rdns, ok := readName(raw)
	if !ok {
		return "?" + string(raw)
	}
	return joinName(rdns, attribute.canonical)
}

// joinName writes a name, each attribute as spell has it, so that no two names look the same. The attributes of an RDN
// are a set.
func joinName(rdns [][]attribute, spell func(attribute) string) string {
	var name []byte
	for _, rdn := range rdns {
		var values []string
		for _, a := range rdn {
			values = append(values, spell(a))
		}
		slices.Sort(values)
		name = binary.AppendUvarint(name, uint64(len(values)))
		for _, value := range values {
			name = binary.AppendUvarint(name, uint64(len(value)))
			name = append(name, value...)
		}
	}
	return string(name)
}

// readName takes a Name (RFC 5280 §4.1.2.4) apart.
func readName(raw []byte) (rdns [][]attribute, ok bool) {
	input := cryptobyte.String(raw)
	var name cryptobyte.String
	if !input.ReadASN1(&name, asn1.SEQUENCE) || !input.Empty() {
		return nil, false
	}
	for !name.Empty() {
		var set cryptobyte.String
		if !name.ReadASN1(&set, asn1.SET) {
			return nil, false
		}
		var rdn []attribute
		for !set.Empty() {
			a, ok := readAttribute(&set)
			if !ok {
				return nil, false
			}
			rdn = append(rdn, a)
		}
		rdns = append(rdns, rdn)
	}
	return rdns, true
}

func readAttribute(set *cryptobyte.String) (a attribute, ok bool) {
	var pair, element, content cryptobyte.String
	var tag asn1.Tag
	if !set.ReadASN1(&pair, asn1.SEQUENCE) || !pair.ReadASN1ObjectIdentifier(&a.oid) ||
		!pair.ReadAnyASN1Element(&element, &tag) || !pair.Empty() {
		return a, false
	}
	a.value = string(element)
	if element.ReadAnyASN1(&content, &tag) {
		if text, ok := decodeText(tag, content); ok {
			a.value, a.text = text, true
		}
	}
	return a, true
}

// decodeText reads a string of any type, and does not mind characters that the type does not have.
func decodeText(tag asn1.Tag, content []byte) (text string, ok bool) {
	switch tag {
	case asn1.UTF8String, asn1.PrintableString, asn1.IA5String, numericString, visibleString:
		return string(content), utf8.Valid(content)
	case teletexString: // Latin-1, as everybody has used it
		runes := make([]rune, len(content))
		for i, b := range content {
			runes[i] = rune(b)
		}
		return string(runes), true
	case bmpString:
		return decodeBMP(content)
	case universalString:
		if len(content)%4 != 0 {
			return "", false
		}
		var b strings.Builder
		for ; len(content) > 0; content = content[4:] {
			b.WriteRune(rune(binary.BigEndian.Uint32(content)))
		}
		return b.String(), true
	}
	return "", false
}

func decodeBMP(content []byte) (text string, ok bool) {
	if len(content)%2 != 0 {
		return "", false
	}
	var units []uint16
	for ; len(content) > 0; content = content[2:] {
		units = append(units, binary.BigEndian.Uint16(content))
	}
	return string(utf16.Decode(units)), true
}

// canonical returns the attribute as it is compared.
func (a attribute) canonical() string {
	if !a.text {
		return a.oid.String() + "#" + a.value
	}
	return a.oid.String() + "=" + strings.Join(strings.Fields(strings.Map(foldRune, a.value)), " ")
}

// foldRune returns the same rune for all letter cases of one.
func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return least
}
