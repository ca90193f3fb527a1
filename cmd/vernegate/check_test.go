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

func TestCheckOfACertificateEndsWithWhatADeviceWouldMeet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Vars["VERNEGATE_IDENTITY"], w.Vars["VERNEGATE_IDENTITY_TEMPLATE"] = "subject", "acme:{cn}"
	check := func(path string, want int, line string) {
		t.Helper()
		var out bytes.Buffer
		code := run(t.Context(), []string{"check", "-cert", path}, w.Environ(), &out, io.Discard)
		if code != want || !strings.Contains(out.String(), line) {
			t.Errorf("ends with %d, want %d, and prints %q, want %q in it", code, want, &out, line)
		}
	}
	check(w.Write("lamp.crt", w.Root.Issue("lamp").CertPEM()), exitOK, `owner "acme:lamp"`)
	check(w.Write("plus.crt", w.Root.Issue("+").CertPEM()), exitMistake, "refuses it with identity_invalid")
}

func TestCheckSaysWhatIsWrongWithItsCommandLine(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"check: takes no arguments, not \"lamp.crt\"\n": {"lamp.crt"},
		`-quiet, in ["-quiet"]`:                         {"-quiet"},
		"flag needs an argument: -cert":                 {"-cert"},
		"-cert: expected the name of a file":            {"-cert", ""},
		"only one of -cert and -no-mqtt":                {"-no-mqtt", "-cert", "lamp.crt"},
	} {
		code, stdout, stderr := runWith(t, append([]string{"check"}, args...)...)
		if code != exitMistake || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%q ends with %d, stdout %q, stderr %q, want %q in it", args, code, stdout, stderr, want)
		}
	}
}
