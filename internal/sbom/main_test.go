// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"runtime/debug"
	"slices"
	"testing"
)

// TestBillOfThisBinary reads the bill of the binary that this test is.
func TestBillOfThisBinary(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run([]string{os.Args[0], "v1.2.3"}, &out); err != nil {
		t.Fatal(err)
	}
	var b bill
	if err := json.Unmarshal(out.Bytes(), &b); err != nil {
		t.Fatal(err)
	}
	if got, want := b.Metadata.Component.PURL, "pkg:golang/github.com/vernegate/vernegate@v1.2.3"; got != want {
		t.Errorf("the bill is of %s, want %s", got, want)
	}
	if !slices.ContainsFunc(b.Components, func(c component) bool { return c.Name == "std" && c.Version != "" }) {
		t.Errorf("the standard library is not in %+v", b.Components)
	}
}

func TestBillNamesWhatIsLinked(t *testing.T) {
	t.Parallel()
	const zeros = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	b := billOf(&debug.BuildInfo{
		GoVersion: "go1.26.0",
		Main:      debug.Module{Path: "example.org/main", Version: "v0.1.0"},
		Deps: []*debug.Module{
			{Path: "example.org/a", Version: "v1.0.0", Sum: "h1:" + zeros},
			{Path: "example.org/b", Version: "v1.0.0", Replace: &debug.Module{Path: "example.org/fork", Version: "v1.0.1"}},
		},
	}, "")
	want := []string{"pkg:golang/std@go1.26.0", "pkg:golang/example.org/a@v1.0.0", "pkg:golang/example.org/fork@v1.0.1"}
	if got := b.Dependencies[0]; got.Ref != "pkg:golang/example.org/main@v0.1.0" || !slices.Equal(got.DependsOn, want) {
		t.Errorf("%s depends on %q, want %q", got.Ref, got.DependsOn, want)
	}
	if got := b.Components[1].Hashes; len(got) != 1 || got[0].Algorithm != "SHA-256" || len(got[0].Content) != 64 {
		t.Errorf("the hashes of a are %v", got)
	}
	if got := b.Components[2].Hashes; got != nil {
		t.Errorf("the hashes of what has none are %v", got)
	}
}

func TestWrongArguments(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {os.Args[0]}, {"no such file", "v1"}} {
		if run(args, &bytes.Buffer{}) == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}
