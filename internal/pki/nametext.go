// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	stdasn1 "encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// attributeTypes are the names of attributes as RFC 4514, section 3, OpenSSL and Go write them, in lower case.
var attributeTypes = map[string]stdasn1.ObjectIdentifier{
	"cn":                     {2, 5, 4, 3},
	"sn":                     {2, 5, 4, 4},
	"serialnumber":           {2, 5, 4, 5},
	"c":                      {2, 5, 4, 6},
	"l":                      {2, 5, 4, 7},
	"st":                     {2, 5, 4, 8},
	"street":                 {2, 5, 4, 9},
	"o":                      {2, 5, 4, 10},
	"ou":                     {2, 5, 4, 11},
	"title":                  {2, 5, 4, 12},
	"description":            {2, 5, 4, 13},
	"businesscategory":       {2, 5, 4, 15},
	"postalcode":             {2, 5, 4, 17},
	"name":                   {2, 5, 4, 41},
	"gn":                     {2, 5, 4, 42},
	"initials":               {2, 5, 4, 43},
	"generationqualifier":    {2, 5, 4, 44},
	"dnqualifier":            {2, 5, 4, 46},
	"pseudonym":              {2, 5, 4, 65},
	"organizationidentifier": {2, 5, 4, 97},
	"uid":                    {0, 9, 2342, 19200300, 100, 1, 1},
	"dc":                     {0, 9, 2342, 19200300, 100, 1, 25},
	"emailaddress":           {1, 2, 840, 113549, 1, 9, 1},
}

// ExactName returns a text that two distinguished names share only if they are the same: the same attributes with the
// same text, in the same order. Letter case and blanks count, the string types of ASN.1 do not. It is for machines. ok is
// false for what cannot be read as a name, and for one without attributes.
func ExactName(raw []byte) (name string, ok bool) {
	rdns, ok := readName(raw)
	if !ok || len(rdns) == 0 {
		return "", false
	}
	return joinName(rdns, attribute.exact), true
}

// ParseName returns the ExactName of a distinguished name that is written as RFC 4514 says, such as "CN=lamp,O=acme": the
// last attribute of the certificate comes first. That is what "openssl x509 -subject -nameopt RFC2253" prints. Blanks around
// the separators do not count.
func ParseName(text string) (name string, err error) {
	var rdns [][]attribute
	for rest, more := text, true; more; {
		var rdn []attribute
		separator := byte('+')
		for separator == '+' {
			var a attribute
			if a, separator, rest, err = parseAttribute(rest); err != nil {
				return "", err
			}
			rdn = append(rdn, a)
		}
		rdns = append(rdns, rdn)
		more = separator == ','
	}
	slices.Reverse(rdns)
	return joinName(rdns, attribute.exact), nil
}

// exact returns the attribute as ExactName compares it.
func (a attribute) exact() string {
	if !a.text {
		return a.oid.String() + "#" + a.value
	}
	return a.oid.String() + "=" + a.value
}

// parseAttribute reads one type=value, and returns what ends it: ',', '+', or 0 at the end of the text.
func parseAttribute(text string) (a attribute, separator byte, rest string, err error) {
	kind, value, found := strings.Cut(text, "=")
	if !found {
		return a, 0, "", fmt.Errorf("expected a type and = in %q", text)
	}
	if a.oid, err = parseType(strings.TrimSpace(kind)); err != nil {
		return a, 0, "", err
	}
	value, separator, rest = cutValue(strings.TrimLeft(value, " "))
	if encoded, is := strings.CutPrefix(value, "#"); is {
		a, err = decodeElement(a, strings.TrimSpace(encoded))
		return a, separator, rest, err
	}
	a.text = true
	a.value, err = unescape(value)
	return a, separator, rest, err
}

// cutValue cuts text at the first separator that is not escaped.
func cutValue(text string) (value string, separator byte, rest string) {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case ',', '+':
			return text[:i], text[i], text[i+1:]
		}
	}
	return text, 0, ""
}

// parseType reads the name of an attribute's type, or its number.
func parseType(text string) (stdasn1.ObjectIdentifier, error) {
	if oid, known := attributeTypes[strings.ToLower(text)]; known {
		return oid, nil
	}
	number := text
	if len(text) > 4 && strings.EqualFold(text[:4], "oid.") {
		number = text[4:]
	}
	var oid stdasn1.ObjectIdentifier
	for arc := range strings.SplitSeq(number, ".") {
		n, err := strconv.ParseUint(arc, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("there is no attribute type %q", text)
		}
		oid = append(oid, int(n))
	}
	if len(oid) < 2 {
		return nil, fmt.Errorf("there is no attribute type %q", text)
	}
	return oid, nil
}

// errEscape is what unescape says of a backslash without what belongs behind it.
var errEscape = errors.New(`expected behind \ two hexadecimal digits, or a character other than letters and digits`)

// unescape reads a value (RFC 4514, section 2.4) without the blanks around it, unless they are escaped.
func unescape(text string) (string, error) {
	var value []byte
	solid := 0 // how much of value is not a blank at its end
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '"' || c == ';' || c == '<' || c == '>':
			return "", fmt.Errorf("expected %q to have a \\ before it", c)
		case c != '\\':
			value = append(value, c)
			if c == ' ' {
				continue
			}
		case i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]):
			b, _ := hex.DecodeString(text[i+1 : i+3])
			value = append(value, b[0])
			i += 2
		case i+1 < len(text) && !isAlphanumeric(text[i+1]):
			value = append(value, text[i+1])
			i++
		default:
			return "", errEscape
		}
		solid = len(value)
	}
	value = value[:solid]
	if !utf8.Valid(value) {
		return "", errors.New("a value is not valid UTF-8")
	}
	return string(value), nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// decodeElement reads a value that is written as its encoding in hexadecimal, which RFC 4514 has for types without a name.
func decodeElement(a attribute, text string) (attribute, error) {
	raw, err := hex.DecodeString(text)
	if err != nil {
		return a, errors.New("expected hexadecimal digits behind #")
	}
	element := cryptobyte.String(raw)
	var content cryptobyte.String
	var tag asn1.Tag
	if !element.ReadAnyASN1(&content, &tag) || !element.Empty() {
		return a, errors.New("expected one ASN.1 element behind #")
	}
	a.value = string(raw)
	if text, ok := decodeText(tag, content); ok {
		a.value, a.text = text, true
	}
	return a, nil
}
