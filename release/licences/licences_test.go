// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package licences

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// folderOf makes a module with these files.
func folderOf(t *testing.T, files map[string]string) module {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return module{"example.org/part", "v1.2.3", dir}
}

const isc = `Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted,
provided that the above copyright notice and this permission notice appear in all copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED
WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT, INDIRECT, OR
CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN ACTION OF CONTRACT,
NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
`

const gpl = `This program is free software: you can redistribute it and/or modify it under the terms of the GNU General Public License as
published by the Free Software Foundation, either version 3 of the License, or (at your option) any later version.

This program is distributed in the hope that it will be useful, but WITHOUT ANY WARRANTY; without even the implied warranty of
MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE. See the GNU General Public License for more details.

You should have received a copy of the GNU General Public License along with this program. If not, see
<https://www.gnu.org/licenses/>.
`

func TestLicencesThatDoNotFitAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		want  string // part of the error, "" for none
	}{
		"fits":           {map[string]string{"LICENSE": isc, "NOTICE": "Written by somebody."}, ""},
		"GPL":            {map[string]string{"COPYING": gpl}, "does not fit Apache-2.0"},
		"GPL beside ISC": {map[string]string{"LICENSE": isc, "LICENSE.GPL": gpl}, "LICENSE.GPL: GPL-3.0"},
		"both in one":    {map[string]string{"LICENSE": isc + "\n" + gpl}, "does not fit Apache-2.0"},
		"none":           {map[string]string{"README.md": "Free for all."}, "has no licence"},
		"a notice alone": {map[string]string{"NOTICE": "Written by somebody."}, "has no licence"},
		"words of its own": {map[string]string{"LICENSE": "You may use this on sunny days only, and never on a Monday, unless it rains."},
			"only 0 % of the text"},
	} {
		var out bytes.Buffer
		err := writeLicences(&out, []module{folderOf(t, c.files)})
		if c.want == "" {
			if err != nil || !strings.Contains(out.String(), "example.org/part v1.2.3: NOTICE\n") || !strings.Contains(out.String(), isc[:40]) {
				t.Errorf("%s: got %v, %q", name, err, out.String())
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "example.org/part v1.2.3") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

// What the linker recorded is read from the binary itself.
func TestLinkedModulesAreThoseOfTheBinary(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "collect")
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "go", "build", "-o", bin, "./collect")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	modules, err := linkedModules([]string{bin, bin})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, m := range modules {
		if m.Path == "github.com/google/licensecheck" && m.Version != "" {
			found++
		}
	}
	if found != 1 {
		t.Errorf("licensecheck is there %d times in %v", found, modules)
	}
}
