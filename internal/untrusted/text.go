// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package untrusted shows what strangers wrote: clients, their certificates, servers that are asked.
package untrusted

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxSize bounds what a stranger can have shown in one place, in bytes before escaping.
const maxSize = 512

// Text makes what a stranger wrote, or an error that may quote it, fit for a log, a label of a metric and a terminal:
// bounded and escaped, it cannot forge a line, colour a terminal or fill a disk. Printable text stays as it is, so that
// operators can search for it. The text that it returns is one line of UTF-8.
func Text(s string) string {
	if isPlain(s) {
		return s
	}
	more := ""
	if len(s) > maxSize {
		s, more = s[:maxSize], "…"
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String() + more
}

// isPlain reports whether s is short printable ASCII, as nearly all is.
func isPlain(s string) bool {
	if len(s) > maxSize {
		return false // before it is read: a client id may have 64 KiB, and a page shows 1000 of them
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
