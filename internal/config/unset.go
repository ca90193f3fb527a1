// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// variableName is what a reference to a variable looks like; "$$" and the like are none.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// addUnset reports variables that a path refers to and that are not set: the path would silently be another one. It names them
// before the paths are expanded.
func (m *mistakes) addUnset(vars map[string]string) {
	for f := range reflect.TypeFor[Config]().Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("env"), ",")
		if !slices.Contains(strings.Split(options, ","), "expand") || m.origin(name) != "" { // of a setting of the old broker, that is told already
			continue
		}
		value := vars[name]
		if value == "" {
			value = f.Tag.Get("envDefault")
		}
		os.Expand(value, func(referred string) string {
			if variableName.MatchString(referred) && vars[referred] == "" && !m.wrong[name] {
				m.wrong[name] = true
				shown, which := Redact(value), "the variable "+referred
				if !strings.Contains(shown, referred) { // it is a part of a password
					which = "a variable"
				}
				m.errs = append(m.errs, fmt.Errorf("%s=%q: %s in it is not set", name, shown, which))
			}
			return ""
		})
	}
}
