// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLicencesOfWhatIsLinkedFit builds the program for each target, with -short for one,
// and looks at all that the linker took.
func TestLicencesOfWhatIsLinkedFit(t *testing.T) {
	t.Parallel()
	built := targets()
	if testing.Short() {
		built = built[:1]
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	r := &release{source: source{root: root, commit: "test"}, version: "v0.0.0-test", targets: built, work: t.TempDir(), dist: t.TempDir()}
	if err := r.buildBinaries(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.collectLicences(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(r.licences)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"Go's standard library", "github.com/prometheus/client_golang v", ": NOTICE\n", "golang.org/x/sys v"} {
		if !strings.Contains(string(text), part) {
			t.Errorf("the texts lack %q", part)
		}
	}
}
