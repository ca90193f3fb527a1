// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const chart = "../vernegate"

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chart, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestReadmeIsOfTheseValues(t *testing.T) {
	t.Parallel()
	got := read(t, "README.md")
	want, err := withTable(got, read(t, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("the README of the chart is of other values: in charts, run go run ./readme vernegate")
	}
}

func TestEveryValueIsDescribed(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(string(read(t, "README.md"))) {
		if strings.HasPrefix(line, "| `") && strings.HasSuffix(line, "|  |\n") {
			t.Errorf("no description: %s", line)
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	const values = `
# For nobody.

# -- The first.
a: 1
# About those in it.
deep:
  # -- (int) May be null.
  b: null
  # -- Whole.
  c: {d: [x]}
  # -- Long.
  e: "` + "0123456789012345678901234567890123456789012345678901234567890123456789" + `"
`
	got, err := withTable([]byte("before\n"+begin+"old\n"+end+"after\n"), []byte(values))
	if err != nil {
		t.Fatal(err)
	}
	const want = "before\n" + begin + `| value | type | default | meaning |
|---|---|---|---|
` + "| `a` | int | `1` | The first. |\n" +
		"| `deep.b` | int |  | May be null. |\n" +
		"| `deep.c` | object | `{\"d\":[\"x\"]}` | Whole. |\n" +
		"| `deep.e` | string | see values.yaml | Long. |\n" + end + "after\n"
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := withTable([]byte("nothing"), []byte(values)); err == nil {
		t.Error("a README without a place for the table is accepted")
	}
}
