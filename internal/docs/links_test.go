// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// link matches a link to a file of this repository, to a heading, or to both.
	link = regexp.MustCompile(`\]\(([^):# ]*)(#[^) ]*)?\)`)
	// heading matches a heading outside of tables and code.
	heading = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
	// noAnchor matches what GitHub leaves out of a heading's anchor.
	noAnchor = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// TestDocumentsLinkToWhatThereIs follows every link within the repository, also to headings.
func TestDocumentsLinkToWhatThereIs(t *testing.T) {
	t.Parallel()
	followed := 0
	for _, pattern := range []string{"*.md", "docs/*.md", "charts/*/README.md", "charts/*/values.yaml", "examples/*/README.md"} {
		pages, err := filepath.Glob(filepath.Join("../..", pattern))
		if err != nil || len(pages) == 0 {
			t.Fatalf("no page matches %s: %v", pattern, err)
		}
		for _, page := range pages {
			for _, match := range link.FindAllStringSubmatch(read(t, page), -1) {
				followed++
				target := page
				if match[1] != "" {
					target = filepath.Join(filepath.Dir(page), match[1])
				}
				wantTarget(t, page, target, strings.TrimPrefix(match[2], "#"))
			}
		}
	}
	if followed == 0 {
		t.Error("no link was found at all")
	}
}

// wantTarget fails unless there is a file, with that heading if one is named.
func wantTarget(t *testing.T, page, target, anchor string) {
	t.Helper()
	if _, err := os.Stat(target); err != nil {
		t.Errorf("%s links to %s, which does not exist", page, target)
		return
	}
	if anchor == "" {
		return
	}
	for _, match := range heading.FindAllStringSubmatch(read(t, target), -1) {
		if anchorOf(match[1]) == anchor {
			return
		}
	}
	t.Errorf("%s links to #%s of %s, which has no such heading", page, anchor, target)
}

// anchorOf is what GitHub calls a heading.
func anchorOf(heading string) string {
	return strings.ReplaceAll(noAnchor.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
