// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package vernemqconf

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Prefix begins the names of the variables that the images read.
const Prefix = "DOCKER_VERNEMQ_"

// notSettings are the words that keep a variable out of vernemq.conf: the
// images drop every line of their environment that holds one, be it in the
// name or in the value.
var notSettings = []string{"DISCOVERY_NODE", "KUBERNETES", "SWARM", "COMPOSE", "DOCKER_VERNEMQ_USER"}

// capitals is the beginning of a name that the images turn into lower case.
var capitals = regexp.MustCompile(`^[A-Z0-9_]*`)

// FromEnviron returns the settings that the images make of their environment,
// in the order of the variables' names: of NAME=value, what follows the prefix
// is turned into lower case as far as it is capitals, digits and underscores,
// and then two underscores into a dot, in the value as well. It joins a
// *SyntaxError for each variable that comes to no line that VerneMQ can read.
//
// Others are the variables with the prefix that say something to the image
// itself, and are no settings.
func FromEnviron(vars map[string]string) (settings Settings, others []string, err error) {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		rest, ok := strings.CutPrefix(name, Prefix)
		if !ok {
			continue
		}
		value, _, _ := strings.Cut(vars[name], "\n") // the images go by lines
		if slices.ContainsFunc(notSettings, func(word string) bool { return strings.Contains(name+"="+value, word) }) {
			others = append(others, name)
			continue
		}
		line := capitals.ReplaceAllStringFunc(rest, strings.ToLower) + "=" + value
		setting, ok, detail := parseLine(strings.ReplaceAll(line, "__", "."))
		if !ok {
			errs = append(errs, &SyntaxError{Origin: Origin{Input: name}, Detail: "makes no line of a vernemq.conf: " + detail})
			continue
		}
		setting.Origin = Origin{Input: name}
		settings = append(settings, setting)
	}
	return settings, others, errors.Join(errs...)
}
