// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

const changelog = `# Changelog

## [Unreleased]

### Added

- What comes next.

## [0.1.0] - 2026-11-26

### Added

- What there is.

## [0.0.9] - some day

- Nothing.

[0.1.0]: https://example.org/
`

func TestNotesAreTheSectionOfTheVersion(t *testing.T) {
	t.Parallel()
	for v, want := range map[version]string{
		"v0.1.0":      "### Added\n\n- What there is.\n",
		"v0.2.0-rc.1": "### Added\n\n- What comes next.\n",
	} {
		if got, err := notesOf(changelog, v); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", v, got, err, want)
		}
	}
}

func TestNotesThatAreNotThereAreAMistake(t *testing.T) {
	t.Parallel()
	for v, want := range map[version]string{
		"v0.2.0": `no section "## [0.2.0] - DATE"`,
		"v0.0.9": `has the date "some day"`,
	} {
		if got, err := notesOf(changelog, v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, %v, want an error with %q", v, got, err, want)
		}
	}
	if got, err := notesOf("## [Unreleased]\n\n## [0.1.0] - 2026-11-26\n", "v0.2.0-rc.1"); err == nil {
		t.Errorf("an empty section: got %q", got)
	}
}

func TestCutGivesTheUnreleasedAVersion(t *testing.T) {
	t.Parallel()
	after, err := cut(changelog, "v0.2.0", "2026-12-24")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := notesOf(after, "v0.2.0"); err != nil || got != "### Added\n\n- What comes next.\n" {
		t.Errorf("the notes of the new version are %q, %v", got, err)
	}
	if got, err := notesOf(after, "v0.1.0"); err != nil || got != "### Added\n\n- What there is.\n" {
		t.Errorf("the notes of the old version are %q, %v", got, err)
	}
	if !strings.Contains(after, "## [Unreleased]\n\n## [0.2.0] - 2026-12-24\n") {
		t.Errorf("there is no empty section for what comes next:\n%s", after)
	}
	for _, c := range []struct {
		changelog string
		v         version
		day       string
	}{
		{changelog, "v0.1.0", "2026-12-24"}, // is there already
		{changelog, "v0.2.0", "today"},
		{after, "v0.3.0", "2026-12-25"}, // nothing is new
		{"# Changelog\n", "v0.1.0", "2026-12-24"},
	} {
		if _, err := cut(c.changelog, c.v, c.day); err == nil {
			t.Errorf("%s of %s was cut", c.v, c.day)
		}
	}
}

func TestVersionsAreThoseOfTags(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"v0.1.0", "v1.20.3", "v0.1.0-rc.1", "v0.0.0-3-g0123abc"} {
		if v, err := parseVersion(text); err != nil || v.preliminary() != strings.Contains(text, "-") {
			t.Errorf("%s: got %s, %v", text, v, err)
		}
	}
	for _, text := range []string{"", "0.1.0", "v0.1", "v01.0.0", "v0.1.0+x", "v0.1.0-", "v0.1.0/../..", "main"} {
		if v, err := parseVersion(text); err == nil {
			t.Errorf("%s: got %s, want an error", text, v)
		}
	}
}
