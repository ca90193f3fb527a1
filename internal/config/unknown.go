// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ourPrefix starts the names of variables that are meant for vernegate.
const ourPrefix = "VERNEGATE_"

// binaryVariable names this program to what starts it, such as the end-to-end
// tests and benchmarks, and comes along in the environment. It sets nothing.
const binaryVariable = ourPrefix + "BIN"

// addUnknown reports variables that look like ours and are not: a misspelt
// variable would otherwise leave its default in force. It does not quote the
// value, which may be a secret. What Kubernetes adds for a Service that is
// called vernegate-something is left alone.
func (m *mistakes) addUnknown(vars map[string]string) {
	known := Variables()
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if !strings.HasPrefix(name, ourPrefix) || name == binaryVariable || slices.Contains(known, name) || isServiceLink(name, vars) {
			continue
		}
		hint := ""
		if best, ok := nearest(name, known); ok {
			hint = ", did you mean " + best + "?"
		}
		m.errs = append(m.errs, fmt.Errorf("%s: no such variable%s", name, hint))
	}
}

// maxTypos is how many letters may differ for a name to be suggested, and at most
// a third of those behind the prefix.
const maxTypos = 4

// nearest returns the candidate with the fewest letters to add, drop or
// change, ok = false if none is near.
func nearest(name string, candidates []string) (best string, ok bool) {
	most := min(maxTypos, (len(name)-len(ourPrefix)+2)/3)
	fewest := most + 1
	for _, candidate := range candidates {
		if d := editDistance(name, candidate); d < fewest {
			best, fewest = candidate, d
		}
	}
	return best, fewest <= most
}

// editDistance is the Levenshtein distance of a and b in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1) // distances from a[:i] to each b[:j]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
