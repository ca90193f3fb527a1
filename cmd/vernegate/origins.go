// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import "fmt"

// tellOrigins prints every variable that has a value, and where that is from,
// then what was found in the configuration of the patched broker and does not
// become one.
func (r *report) tellOrigins(cfg config) {
	for _, name := range knownVariables() {
		if reading := cfg.readings[name]; reading.value != "" {
			r.print("value", "%s=%s from %s", name, shown(name, reading.value), cfg.originOf(name))
		}
	}
	for _, line := range cfg.inherited.warnings() {
		r.warn("%s", line)
	}
	for _, s := range cfg.inherited.brokers {
		r.warn("%v has no counterpart: it is the broker's", s)
	}
}

// originOf says where the value of a variable is from.
func (c config) originOf(variable string) string {
	if from := c.inherited.origin(variable); from != "" {
		return from
	}
	if c.readings[variable].isDefault {
		return "the default"
	}
	return "the environment"
}

// shown quotes a value, or tells that there is a secret.
func shown(variable, value string) string {
	if isSecret(variable) {
		return "(secret)"
	}
	return fmt.Sprintf("%q", redact(value))
}
