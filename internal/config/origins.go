// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import "fmt"

// Values returns a line for every variable that has a value, with that value
// unless it is secret, and where it is from.
func (c Config) Values() []string {
	var lines []string
	for _, name := range Variables() {
		if reading := c.readings[name]; reading.value != "" {
			lines = append(lines, fmt.Sprintf("%s=%s from %s", name, shown(name, reading.value), c.originOf(name)))
		}
	}
	return lines
}

// Warnings returns a line for everything that was found in the configuration of
// the patched broker and does not become a variable.
func (c Config) Warnings() []string {
	lines := c.legacy.warnings()
	for _, s := range c.legacy.brokers {
		lines = append(lines, fmt.Sprintf("%v has no counterpart: it is the broker's", s))
	}
	return lines
}

// originOf says where the value of a variable is from.
func (c Config) originOf(variable string) string {
	if from := c.legacy.origin(variable); from != "" {
		return from
	}
	if c.readings[variable].isDefault {
		return "the default"
	}
	return "the environment"
}

// shown quotes a value, or reports that there is a secret.
func shown(variable, value string) string {
	if isSecret(variable) {
		return "(secret)"
	}
	return fmt.Sprintf("%q", Redact(value))
}
