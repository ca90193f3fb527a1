// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"testing"
)

func TestWhatIsWrittenIsWhole(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		command string
		args    []string
		ok      bool
	}{
		{"all of it", "compare", []string{"-write"}, true},
		{"a part is printed", "compare", []string{"-rows", "tls"}, true},
		{"a part of what stands in one table", "compare", []string{"-write", "-rows", "tls"}, false},
		{"one table of several", "scale", []string{"-write", "-rows", "crl"}, true},
		{"a smaller crowd is printed", "crowd", []string{"-sessions", "5000"}, true},
		{"a smaller crowd in place of all of it", "crowd", []string{"-write", "-sessions", "5000"}, false},
		{"what means nothing", "compare", []string{"-write", "-brief"}, false},
		{"what means nothing of several tables", "scale", []string{"-write", "-brief"}, false},
	} {
		if _, err := parse(test.command, test.args); (err == nil) != test.ok {
			t.Errorf("%s: got %v, want success: %t", test.name, err, test.ok)
		}
	}
}

func TestUnknownCommandsAreRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"compete"}, {"compare", "-rows", "("}} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("%q did something, want an error", args)
		}
	}
}
