// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of the documents and what convert makes of the examples")

// TestExampleIsWhatConvertMakesOfIt holds examples/compose/converted to old.env
// beside it.
func TestExampleIsWhatConvertMakesOfIt(t *testing.T) {
	t.Parallel()
	const example = "../../examples/compose"
	code, out, _, stderr := conversion(t, "", nil, "-check", "-env", example+"/old.env", "-out", "OUT")
	if code != exitOK {
		t.Fatalf("ends with %d: %s", code, stderr)
	}
	for _, name := range []string{"vernemq.conf", "vmq.acl", "vernegate.env", "REPORT.md"} {
		got := written(t, out, name)
		path := filepath.Join(example, "converted", name)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want := written(t, path); got != want {
			t.Errorf("%s is not what convert makes of it (go test ./cmd/vernegate -update): want\n%s", path, got)
		}
	}
}
