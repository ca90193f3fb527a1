// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package vernemqconf

import (
	"regexp"
	"strings"
)

var reference = regexp.MustCompile(`\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\})`)

// Expand replaces $NAME and ${NAME} by what lookup finds, as the shell does that
// writes VERNEMQ_CONF into a file. A reference to what lookup does not find stays,
// and its name is returned.
func Expand(value string, lookup func(name string) (string, bool)) (expanded string, unset []string) {
	expanded = reference.ReplaceAllStringFunc(value, func(ref string) string {
		name := strings.Trim(ref, "${}")
		found, ok := lookup(name)
		if !ok {
			unset = append(unset, name)
			return ref
		}
		return found
	})
	return expanded, unset
}

// References reports whether a value refers to variables.
func References(value string) bool { return reference.MatchString(value) }
