// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package vernemqconf

import (
	"slices"
	"strconv"
)

// An Origin is where a setting was found.
type Origin struct {
	Input string // the name of a file or of an environment variable
	Line  int    // counted from 1; 0 where the input is one setting
}

// String is "vernemq.conf line 7" or "DOCKER_VERNEMQ_ALLOW_ANONYMOUS".
func (o Origin) String() string {
	if o.Line == 0 {
		return o.Input
	}
	return o.Input + " line " + strconv.Itoa(o.Line)
}

// A Setting is one key with its value, both as they were written: dots within a
// word of the key are escaped. The white space, the quotes and the comment around
// the value are gone.
type Setting struct {
	Key, Value string
	Origin     Origin
}

// String names the setting and where it is, and not its value, which may be a
// secret.
func (s Setting) String() string { return s.Key + " (" + s.Origin.String() + ")" }

// Settings are what one input or several set, in their order. Of several with
// one key the last counts, as for VerneMQ.
type Settings []Setting

// Get returns the setting of a key that counts.
func (s Settings) Get(key string) (Setting, bool) {
	for _, setting := range slices.Backward(s) {
		if setting.Key == key {
			return setting, true
		}
	}
	return Setting{}, false
}

// Counting returns the settings that count, each where its last occurrence is.
func (s Settings) Counting() Settings {
	return slices.DeleteFunc(slices.Clone(s), func(setting Setting) bool { return !s.counts(setting) })
}

// counts reports whether no later setting has the key of this one, which is one of s.
func (s Settings) counts(setting Setting) bool {
	last, _ := s.Get(setting.Key)
	return last == setting
}

// Overridden returns the settings that a later one with the same key makes
// void, each with that later one.
func (s Settings) Overridden() [][2]Setting {
	var pairs [][2]Setting
	for _, setting := range s {
		if last, _ := s.Get(setting.Key); last != setting {
			pairs = append(pairs, [2]Setting{setting, last})
		}
	}
	return pairs
}
