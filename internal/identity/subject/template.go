// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package subject

import (
	"errors"
	"fmt"
	"strings"
)

// A Template says how an owner is written: text with names in braces, such as
// "{o}:{cn}". A name is that of a field or of a capture of a pattern; "{{" and "}}"
// are braces. The zero Template is none.
type Template struct {
	text  string
	parts []part
}

// A part of a template is text, or the name of what stands in its place.
type part struct{ text, name string }

// IsSet reports whether there is a template.
func (t Template) IsSet() bool { return t.text != "" }

// String returns the template as it was written.
func (t Template) String() string { return t.text }

// UnmarshalText parses a template. Which names there are, Rule finds out.
func (t *Template) UnmarshalText(text []byte) error {
	parts, err := split(string(text))
	if err != nil {
		return fmt.Errorf("%w: expected text with fields in braces such as {o}:{cn}", err)
	}
	*t = Template{string(text), parts}
	return nil
}

// split takes a template apart.
func split(text string) (parts []part, err error) {
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			parts = append(parts, part{text: literal.String()})
			literal.Reset()
		}
	}
	for rest := text; rest != ""; {
		switch {
		case strings.HasPrefix(rest, "{{"), strings.HasPrefix(rest, "}}"):
			literal.WriteByte(rest[0])
			rest = rest[2:]
		case rest[0] == '}':
			return nil, errors.New("a } closes nothing (}} is one as text)")
		case rest[0] == '{':
			name, behind, closed := strings.Cut(rest[1:], "}")
			if !closed || name == "" || strings.ContainsAny(name, "{ ") {
				return nil, errors.New("a { begins no name in braces ({{ is one as text)")
			}
			flush()
			if n := len(parts); n > 0 && parts[n-1].name != "" {
				return nil, fmt.Errorf("nothing stands between {%s} and {%s}, so that two certificates could become one owner", parts[n-1].name, name)
			}
			parts = append(parts, part{name: name})
			rest = behind
		default:
			literal.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	flush()
	if !named(parts) {
		return nil, errors.New("no field is in it, so that all certificates would become one owner")
	}
	return parts, nil
}

func named(parts []part) bool {
	for _, p := range parts {
		if p.name != "" {
			return true
		}
	}
	return false
}
