// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import "strings"

// unquote takes off the single quotes of values that refer to variables, which vernegate convert writes lest docker compose
// expand them: docker run --env-file and kubectl leave the quotes on.
func unquote(vars map[string]string) {
	for _, name := range Variables() {
		value := vars[name]
		inner, begins := strings.CutPrefix(value, "'")
		inner, ends := strings.CutSuffix(inner, "'")
		if begins && ends && strings.Contains(inner, "$") && !strings.Contains(inner, "'") {
			vars[name] = inner
		}
	}
}
