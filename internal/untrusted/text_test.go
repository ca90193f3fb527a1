// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package untrusted_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/vernegate/vernegate/internal/untrusted"
)

func TestTextOfStrangers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                        "",
		"acme:lamp 7":             "acme:lamp 7",
		"Zürich ✓ \"quoted\"":     "Zürich ✓ \"quoted\"",
		"a\nlevel=info":           `a\u000alevel=info`,
		"\x1b[31mred":             `\u001b[31mred`,
		"\xff\xfe":                `\xff\xfe`,
		"\uFFFD":                  "\uFFFD", // a character like any other
		"\u202egnp":               `\u202egnp`,
		strings.Repeat("a", 512):  strings.Repeat("a", 512),
		strings.Repeat("a", 513):  strings.Repeat("a", 512) + "…",
		strings.Repeat("ü", 300):  strings.Repeat("ü", 256) + "…",
		strings.Repeat("\xff", 9): strings.Repeat(`\xff`, 9),
	} {
		if got := untrusted.Text(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, text := range []string{"lamp", "a\nb", "\xff", strings.Repeat("€", 200)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := untrusted.Text(text)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q is shown as %q", text, got)
		}
		if most := len(`\u0000`)*512 + len("…"); len(got) > most {
			t.Errorf("%d bytes are shown as %d, want at most %d", len(text), len(got), most)
		}
	})
}
