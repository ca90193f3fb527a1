// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package subject

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Patterns are what fields have to match, and where captures come from.
type Patterns []pattern

// A pattern is about the whole value of one field.
type pattern struct {
	field field
	re    *regexp.Regexp // anchored at both ends
}

// UnmarshalText parses FIELD=REGEXP, one on each line, blank lines aside. The regular
// expressions are Go's (RE2), and have to match from the first character to the last.
func (ps *Patterns) UnmarshalText(text []byte) error {
	var parsed Patterns
	var mistakes []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		p, err := parsePattern(line)
		if err != nil {
			mistakes = append(mistakes, err.Error())
			continue
		}
		parsed = append(parsed, p)
	}
	if len(mistakes) > 0 {
		return errors.New(strings.Join(mistakes, "; "))
	}
	*ps = parsed
	return nil
}

func parsePattern(line string) (pattern, error) {
	name, expression, found := strings.Cut(line, "=")
	f, known := fieldNamed(name)
	if !found || !known {
		return pattern{}, fmt.Errorf("expected FIELD=REGEXP with one of %s, such as o=(?<tenant>[a-z]+)", fieldNames())
	}
	if _, err := regexp.Compile(expression); err != nil { // as it is: with what anchors it, "a)|(b" would do
		return pattern{}, fmt.Errorf("the pattern of %s does not compile: %w", name, err)
	}
	re, err := regexp.Compile(`\A(?:` + expression + `)\z`)
	if err != nil {
		return pattern{}, fmt.Errorf("the pattern of %s does not compile: %w", name, err)
	}
	return pattern{f, re}, nil
}

// captures returns the names of the groups that have one.
func (p pattern) captures() (names []string) {
	for _, name := range p.re.SubexpNames() {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}
