// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"strings"
)

// A version is one of Semantic Versioning with a v in front, as tags have it.
type version string

var semantic = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

func parseVersion(text string) (version, error) {
	if !semantic.MatchString(text) {
		return "", fmt.Errorf("version %q: expected one such as v0.1.0 or v0.1.0-rc.1", text)
	}
	return version(text), nil
}

// number is the version as names of files and packages have it.
func (v version) number() string { return strings.TrimPrefix(string(v), "v") }

// preliminary reports whether the version goes before a release, such as v0.1.0-rc.1.
func (v version) preliminary() bool { return strings.Contains(string(v), "-") }
