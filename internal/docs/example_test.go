// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of the documents and what convert makes of the examples")

// TestExampleIsWhatConvertMakesOfIt holds examples/compose/converted to old.env
// beside it.
func TestExampleIsWhatConvertMakesOfIt(t *testing.T) {
	t.Parallel()
	const example = "../../examples/compose"
	out := filepath.Join(t.TempDir(), "out")
	cmd := exec.Command("go", "run", "../../cmd/vernegate", "convert", "-check", "-env", example+"/old.env", "-out", out)
	if printed, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, printed)
	}
	for _, name := range []string{"vernemq.conf", "vmq.acl", "vernegate.env", "REPORT.md"} {
		got, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(example, "converted", name)
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s is not what convert makes of it (go test ./internal/docs -update): want\n%s", path, got)
		}
	}
}
