// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ownerevents

// maxName is the longest name in an event that is read, in bytes as it is encoded: those of dojot are shorter.
const maxName = 512

// inString says what a byte is in a JSON string (RFC 8259 §7). Bytes that are none of these stand for themselves.
var inString = func() (class [256]byte) {
	for b := range 0x20 {
		class[b] = control
	}
	class['"'], class['\\'] = quote, escape
	return class
}()

const (
	quote byte = iota + 1
	escape
	control
)

// shorten appends value to dst, with U+FFFD in the place of each long string, as which ownerOf refuses it. An event is mostly a
// certificate that nobody here wants, and encoding/json looks at each byte of it several times. What is valid JSON stays so and what is
// not does not become so: a string is only replaced if every byte of it may be in one. It also reports whether brackets outside of
// strings are nested deeper than maxDepth.
func shorten(dst, value []byte) (short []byte, tooDeep bool) {
	depth, from := 0, 0
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '"':
			end, plain := endOfString(value, i+1)
			if plain && end-i-2 > maxName {
				dst = append(append(dst, value[from:i]...), "\"\uFFFD\""...)
				from = end
			}
			i = end - 1
		case '{', '[':
			if depth++; depth > maxDepth {
				return nil, true
			}
		case '}', ']':
			depth--
		}
	}
	return append(dst, value[from:]...), false
}

// endOfString returns where a string ends, behind its closing quote, whose first byte is at i, and whether it is one that may be
// replaced: without control characters, and with no escapes other than those of one letter. One that does not end goes to the end of
// value, and is none.
func endOfString(value []byte, i int) (end int, plain bool) {
	plain = true
	for ; i < len(value); i++ {
		switch inString[value[i]] {
		case 0:
		case quote:
			return i + 1, plain
		case escape:
			i++
			plain = plain && i < len(value) && isLetterEscape(value[i])
		default:
			plain = false
		}
	}
	return len(value), false
}

func isLetterEscape(b byte) bool {
	switch b {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	}
	return false
}
