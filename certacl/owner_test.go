// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certacl_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vernegate/vernegate/certacl"
	"github.com/vernegate/vernegate/internal/pki"
)

// quotedOfSize returns a JSON string of size bytes, quotes included.
func quotedOfSize(size int) string {
	return `"` + strings.Repeat("x", size-2) + `"`
}

func TestParseOwnerAccepts(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		`"admin:a1b2c3"`:              "admin:a1b2c3",
		`"v2k-bridge"`:                "v2k-bridge",
		`""`:                          "",
		" \t\r\n\"admin:a1\"\n\r\t ":  "admin:a1",
		`"caf\u00e9:\ud83d\ude00"`:    "café:😀",
		`"a\\ufffd"`:                  `a\ufffd`,  // a backslash, not an escape
		`"a\u0000+#/"`:                "a\x00+#/", // whether it is fit is not judged here
		quotedOfSize(certacl.MaxBody): strings.Repeat("x", certacl.MaxBody-2),
	}
	for body, want := range tests {
		got, err := certacl.ParseOwner([]byte(body))
		if err != nil || got != want {
			t.Errorf("%.40q: got %.40q, %v; want %.40q", body, got, err, want)
		}
	}
}

func TestParseOwnerRefuses(t *testing.T) {
	t.Parallel()
	tests := []string{
		"", " ", `"`, `"admin:a1`, `admin:a1`, `'admin:a1'`,
		`null`, `true`, `1`, `["admin:a1"]`, `{"owner":"admin:a1"}`,
		`"admin:a1""admin:a2"`, `"admin:a1" "admin:a2"`, `"admin:a1"x`, "\"admin:a1\"\x00",
		"\ufeff\"admin:a1\"", "\v\"admin:a1\"", "\"admin:a1\"\u00a0",
		"\"admin:\x01\"", "\"admin:\n\"", `"\x61"`, `"\u12"`,
		"\"admin:\xff\"", "\"admin:\xc0\xaf\"", "\"admin:\xed\xa0\x80\"", "\"admin:\xf0\x9f\"",
		`"admin:\ud800"`, `"admin:\udc00"`, `"admin:\ude00\ud83d"`, `"admin:\ud800x"`,
		`"admin:\ufffd"`, "\"admin:\ufffd\"",
		quotedOfSize(certacl.MaxBody + 1), quotedOfSize(certacl.MaxBody) + " ",
		"<!DOCTYPE html><title>Sign in</title>",
	}
	for _, body := range tests {
		if got, err := certacl.ParseOwner([]byte(body)); err == nil || got != "" {
			t.Errorf("%.40q: got %.40q, %v; want an error", body, got, err)
		}
	}
}

// FuzzParseOwner holds parseOwner to encoding/json: it accepts the same
// documents, but for those that are no string, too long, or lossy.
func FuzzParseOwner(f *testing.F) {
	for _, seed := range []string{
		`"admin:a1b2c3"`, ` "v2k-bridge" `, `""`, `null`, `"\ud83d\ude00"`, `"\ud800"`, `"\\ufffd"`,
		`"\ufffd"`, "\"\xff\"", `"a""b"`, `{"a":1}`, "", `"`, "\"\ufffd\"",
	} {
		f.Add([]byte(seed))
	}
	f.Add([]byte(notFound))
	f.Fuzz(func(t *testing.T, body []byte) {
		owner, err := certacl.ParseOwner(body)

		var value any
		reference, isString := "", false
		if json.Unmarshal(body, &value) == nil {
			reference, isString = value.(string)
		}
		acceptable := isString && len(body) <= certacl.MaxBody && !strings.ContainsRune(reference, '\ufffd')
		if acceptable != (err == nil) {
			t.Fatalf("got %q, %v; encoding/json: %q, a string: %t", owner, err, reference, isString)
		}
		if err != nil {
			return
		}
		if certacl.CheckNotFound(body, pki.Fingerprint{}) == nil {
			t.Fatalf("%q says who the owner is, and that there is none", body)
		}
		if owner != reference {
			t.Fatalf("got %q, encoding/json got %q", owner, reference)
		}
		if !utf8.Valid(body) || !utf8.ValidString(owner) {
			t.Fatalf("accepted invalid UTF-8: %q", body)
		}
		again, err := json.Marshal(owner)
		if err != nil {
			t.Fatal(err)
		}
		if len(again) > certacl.MaxBody { // "<" is one byte, its escape six
			return
		}
		if stable, err := certacl.ParseOwner(again); err != nil || stable != owner {
			t.Fatalf("%q encodes as %q, which reads as %q, %v", owner, again, stable, err)
		}
	})
}
