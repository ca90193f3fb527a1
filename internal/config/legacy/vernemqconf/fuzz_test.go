// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package vernemqconf_test

import (
	"strings"
	"testing"

	"github.com/vernegate/vernegate/internal/config/legacy/vernemqconf"
)

// FuzzParse: every setting that is read is read again, the same, from a line that
// was written with it; every line is read, blank, a comment or a mistake.
func FuzzParse(f *testing.F) {
	f.Add("a = b\n# c\n\nd.$e = 'f # g'\ninclude x/*.conf\nh = ###IPADDRESS###:1#i\n'\n=\nj='''\n")
	f.Fuzz(func(t *testing.T, text string) {
		settings, err := vernemqconf.Parse("f", []byte(text))
		lines := 0
		for line := range strings.Lines(text) {
			if line = strings.Trim(strings.TrimRight(line, "\r\n"), " \t"); line != "" && line[0] != '#' {
				lines++
			}
		}
		mistakes := 0
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			mistakes = len(joined.Unwrap())
		}
		if len(settings)+mistakes != lines {
			t.Errorf("%d settings and %d mistakes in %d lines", len(settings), mistakes, lines)
		}
		for _, s := range settings {
			if s.Key == "include" || strings.Contains(s.Value, "'") {
				continue
			}
			again, err := vernemqconf.Parse("f", []byte(s.Key+" = '"+s.Value+"'\n"))
			if err != nil || len(again) != 1 || again[0].Key != s.Key || again[0].Value != s.Value {
				t.Errorf("%q = %q is read again as %v, %v", s.Key, s.Value, again, err)
			}
		}
	})
}
