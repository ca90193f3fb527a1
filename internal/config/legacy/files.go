// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package legacy

import (
	"slices"

	"github.com/vernegate/vernegate/internal/config/legacy/vernemqconf"
)

// fileVariables are the variables for the options that name files.
var fileVariables = []struct{ option, variable string }{
	{"certfile", "VERNEGATE_TLS_CERT"},
	{"keyfile", "VERNEGATE_TLS_KEY"},
	{"cafile", "VERNEGATE_TLS_CA"},
	{"crlfile", "VERNEGATE_TLS_CRL"},
}

func (t *translator) files() {
	for _, f := range fileVariables {
		from := t.shared(f.option, f.variable)
		if len(from) > 0 {
			t.set(f.variable, t.expand(from[0]), from...)
		}
	}
}

// shared returns the settings of an option that vernegate has once for all its
// listeners, at most one for each. It is a mistake if they differ and none
// was chosen.
func (t *translator) shared(option, variable string) []vernemqconf.Setting {
	var from []vernemqconf.Setting
	for _, l := range t.entries() {
		s, ok := l.Option(option)
		if !ok || slices.Contains(from, s) {
			continue
		}
		if len(from) > 0 && from[0].Value != s.Value && t.Override(variable) == "" {
			t.mistake("%v: %q differs from %q of %v, and vernegate has one for all its listeners: expected the same, or %s to say which",
				s, s.Value, from[0].Value, from[0], variable)
		}
		from = append(from, s)
	}
	return from
}
