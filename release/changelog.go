// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
)

// unreleased is the heading of what the next release brings.
const unreleased = "## [Unreleased]\n"

// notesOf returns what a changelog says of a version: the section with its number
// and a date. A preliminary version has what is unreleased if it has no section.
func notesOf(changelog string, v version) (string, error) {
	heading := regexp.MustCompile(`(?m)^## \[` + regexp.QuoteMeta(v.number()) + `\] - (.*)\n`)
	if at := heading.FindStringSubmatchIndex(changelog); at != nil {
		day := changelog[at[2]:at[3]]
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			return "", fmt.Errorf("CHANGELOG.md: the section of %s has the date %q: expected one such as 2026-11-26", v.number(), day)
		}
		return section(changelog[at[1]:], v)
	}
	if !v.preliminary() {
		return "", fmt.Errorf("CHANGELOG.md has no section \"## [%s] - DATE\": cut one from what is unreleased (make changelog VERSION=%s)", v.number(), v)
	}
	_, rest, found := strings.Cut(changelog, unreleased)
	if !found {
		return "", errors.New("CHANGELOG.md has no section of what is unreleased")
	}
	return section(rest, v)
}

// section is the text up to the next section, which must not be empty.
func section(rest string, v version) (string, error) {
	if next := regexp.MustCompile(`(?m)^(## |\[[^\]]+\]: )`).FindStringIndex(rest); next != nil {
		rest = rest[:next[0]]
	}
	rest = strings.TrimSpace(rest)
	if rest == "" {
		return "", fmt.Errorf("CHANGELOG.md says nothing about %s", v)
	}
	return rest + "\n", nil
}

// cut gives what is unreleased a version and a date, and leaves an empty section
// for what comes next.
func cut(changelog string, v version, day string) (string, error) {
	if _, err := time.Parse(time.DateOnly, day); err != nil {
		return "", fmt.Errorf("date %q: expected one such as 2026-11-26", day)
	}
	if strings.Contains(changelog, "\n## ["+v.number()+"]") {
		return "", fmt.Errorf("CHANGELOG.md has a section of %s already", v.number())
	}
	before, rest, found := strings.Cut(changelog, unreleased)
	if !found {
		return "", errors.New("CHANGELOG.md has no section of what is unreleased")
	}
	if _, err := section(rest, v); err != nil {
		return "", err
	}
	return before + unreleased + "\n## [" + v.number() + "] - " + day + "\n" + rest, nil
}

// cutFile cuts a changelog in place.
func cutFile(path string, v version, day string) error {
	before, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	after, err := cut(string(before), v, day)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(after), 0o644)
}
