// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// What check finds is the concern of internal/app; this is about the command.
func TestCheckEndsWithWhatItFinds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	check := func(want int) {
		t.Helper()
		var out bytes.Buffer
		code := run(t.Context(), []string{"check", "-no-mqtt"}, w.Environ(), &out, io.Discard)
		if code != want || !strings.Contains(out.String(), "VERNEGATE_") {
			t.Errorf("ends with %d, want %d, and prints %q", code, want, &out)
		}
	}
	check(exitOK)
	w.Vars["VERNEGATE_BACKENDS"] = "nowhere"
	check(exitMistake)
}
