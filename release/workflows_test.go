// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Whoever moves the tag of an action must not get into a release: each action is named by
// its commit, and people read the version behind it.
func TestActionsArePinned(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("../.github/workflows/*.y*ml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("there are no workflows: %v", err)
	}
	uses := regexp.MustCompile(`(?m)^[ -]*uses: *(.*)$`)
	pinned := regexp.MustCompile(`^[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range uses.FindAllSubmatch(text, -1) {
			if action := string(match[1]); !pinned.MatchString(action) {
				t.Errorf("%s uses %s: want a commit, and a version in a comment", path, action)
			}
		}
	}
}
