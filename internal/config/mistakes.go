// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/caarlos0/env/v11"

	"github.com/vernegate/vernegate/internal/admin"
)

// mistakes collects what is wrong with an environment, at most one line for
// each variable.
type mistakes struct {
	readings map[string]reading
	origin   func(variable string) string // where its value was inherited from, "" if it was not
	wrong    map[string]bool              // the variables that have their line
	errs     []error
}

// add reports a variable with the value it has, unless it was reported before:
// what is derived from a wrong value is no second mistake.
func (m *mistakes) add(name, format string, args ...any) {
	if m.wrong[name] {
		return
	}
	m.wrong[name] = true
	subject := fmt.Sprintf("%s=%q", name, Redact(m.readings[name].value))
	if isSecret(name) {
		subject = name
	}
	if from := m.origin(name); from != "" {
		subject += ", from " + from
	}
	m.errs = append(m.errs, fmt.Errorf("%s: %s", subject, fmt.Sprintf(format, args...)))
}

// addEmptyToken reports a file without anything in it, which env takes for no variable: who reads would need no token.
func (m *mistakes) addEmptyToken(name string, vars map[string]string, token admin.Token) {
	if vars[name] != "" && !token.IsSet() {
		m.add(name, "the file is empty")
	}
}

// addParseErrors reports what env.ParseWithOptions could not parse. env names
// the field of config; an operator knows the variable.
func (m *mistakes) addParseErrors(err error) {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return
	}
	for _, err := range all.Errors {
		var parse env.ParseError
		var load env.LoadFileContentError
		if errors.As(err, &load) {
			m.add(load.Key, "%v", load.Err)
			continue
		}
		if !errors.As(err, &parse) {
			m.errs = append(m.errs, err)
			continue
		}
		field, _ := reflect.TypeFor[Config]().FieldByName(parse.Name)
		m.add(fieldVariable(field), "%v", parse.Err)
	}
}

// Redact replaces the user information of a URL: it may hold a password, and
// has to go even where the URL does not parse.
func Redact(value string) string {
	scheme, rest, ok := strings.Cut(value, "://")
	at := strings.LastIndex(rest, "@")
	if !ok || at < 0 {
		return value
	}
	return scheme + "://redacted" + rest[at:]
}
