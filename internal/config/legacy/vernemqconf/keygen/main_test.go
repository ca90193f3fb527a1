// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// checkout writes files, by their path, and returns the folder.
func checkout(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestKeysOfACheckout(t *testing.T) {
	t.Parallel()
	broker := checkout(t, map[string]string{
		"rebar.config": `{template, "priv/a.schema", "share/10-a.schema"},
{template,
  "_build/default/lib/dep/priv/b.schema", "share/11-b.schema"},
{template, "priv/gone.schema", "share/12-gone.schema"},
{template, "priv/a.schema", "again"}, {template, "files/vm.args", "etc/vm.args"}`,
		"priv/a.schema": `%% {mapping, "commented.out", "x", []}.
{mapping, "b.$name.c", "x", [{default, "d"}]}.
 {mapping,
   "a", "x", []}.
{translation, "not.a.key", fun(X) -> X end}.`,
	})
	dependency := checkout(t, map[string]string{"priv/b.schema": `{mapping, "c", "x", []}.`})
	var out, warnings bytes.Buffer
	if err := run([]string{"1.2.3", broker, "dep=" + dependency}, &out, &warnings); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "# Keys of VerneMQ 1.2.3: names from its schema files and those of dep, printed by keygen.\na\nb.$name.c\nc\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	if got, want := warnings.String(), "keygen: without priv/gone.schema\n"; got != want {
		t.Errorf("warned %q, want %q", got, want)
	}
}

func TestWrongArguments(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"1.2.3"}, {"1.2.3", t.TempDir()}, {"1.2.3", t.TempDir(), "dep"}} {
		if err := run(args, &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}
