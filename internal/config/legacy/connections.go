// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package legacy

import (
	"slices"
	"strconv"

	"github.com/vernegate/vernegate/internal/config/legacy/vernemqconf"
)

const maxConnections = "VERNEGATE_MAX_CONNECTIONS"

// connections adds up how many connections the listeners took: vernegate
// counts them together. One without a limit leaves all without.
func (t *translator) connections() {
	var from []vernemqconf.Setting
	sum, limited := 0, true
	for _, l := range t.entries() {
		s, ok := l.Option("max_connections")
		if !ok {
			limited = false
			continue
		}
		n, err := strconv.Atoi(s.Value)
		switch {
		case s.Value == "infinity":
			limited = false
		case err != nil || n < 1:
			t.mistake("%v: %q is neither a number from 1 nor infinity", s, s.Value)
		}
		sum += n
		if !slices.Contains(from, s) {
			from = append(from, s)
		}
	}
	if limited {
		t.set(maxConnections, strconv.Itoa(sum), from...)
		return
	}
	t.each(from, Builtin, "vernegate has no limit by itself, and one of the listeners had none")
}
