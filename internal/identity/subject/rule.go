// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package subject reads the owner of a certificate from the certificate itself: from
// its subject, its alternative names, its serial number or its fingerprint.
//
// A Rule asks nobody and remembers nothing, so that its answer is the same for as long
// as the certificate lives. It guesses nothing either: a field that the certificate
// does not have exactly once has no value. Whether an owner is fit to be an MQTT
// username is for the caller to judge, and so is whether the certificate is trusted.
package subject

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vernegate/vernegate/internal/untrusted"
)

// A Rule makes owners of certificates. It never changes, and any number of goroutines
// may use it.
//
// Two certificates become one owner only if they agree in all values that the template
// names: a value must not hold the text that follows it in the template. With "{o}:{cn}"
// an organization of "a:b" has no owner, as it would be that of the device "b:…" of "a".
type Rule struct {
	parts    []part
	patterns Patterns
	fields   []field // of the template and the patterns
}

// NewRule puts a template and the patterns together, and names everything that does not
// fit.
func NewRule(t Template, patterns Patterns) (*Rule, error) {
	r := &Rule{parts: t.parts, patterns: patterns}
	captures, err := r.addPatterns()
	mistakes := []error{err}
	for _, p := range t.parts {
		if p.name == "" || slices.Contains(captures, p.name) {
			continue
		}
		f, known := fieldNamed(p.name)
		if !known {
			mistakes = append(mistakes, unknownName(p.name))
			continue
		}
		r.need(f)
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, err
	}
	return r, nil
}

// CheckBeside names what no rule could fill in: the names of a template that are no fields,
// and that do not look like captures of patterns which cannot be read.
func (t Template) CheckBeside(unreadable string) error {
	var mistakes []error
	for _, p := range t.parts {
		_, known := fieldNamed(p.name)
		if p.name != "" && !known && !strings.Contains(unreadable, "<"+p.name+">") {
			mistakes = append(mistakes, unknownName(p.name))
		}
	}
	return errors.Join(mistakes...)
}

func unknownName(name string) error {
	return fmt.Errorf("{%s} is no capture of a pattern, and no field: expected one of %s", name, fieldNames())
}

// addPatterns returns the names of all captures.
func (r *Rule) addPatterns() (captures []string, err error) {
	var mistakes []error
	for i, p := range r.patterns {
		if slices.ContainsFunc(r.patterns[:i], func(other pattern) bool { return other.field.name == p.field.name }) {
			mistakes = append(mistakes, fmt.Errorf("%s has two patterns", p.field.name))
		}
		r.need(p.field)
		for _, name := range p.captures() {
			_, isField := fieldNamed(name)
			switch {
			case isField:
				mistakes = append(mistakes, fmt.Errorf("a capture is called %s, as a field is", name))
			case slices.Contains(captures, name):
				mistakes = append(mistakes, fmt.Errorf("two captures are called %s", name))
			}
			captures = append(captures, name)
		}
	}
	return captures, errors.Join(mistakes...)
}

func (r *Rule) need(f field) {
	if !slices.ContainsFunc(r.fields, func(other field) bool { return other.name == f.name }) {
		r.fields = append(r.fields, f)
	}
}

// Owner returns who owns a certificate, or why nobody does. The error is one bounded
// line, in which what the certificate says is quoted.
func (r *Rule) Owner(leaf *x509.Certificate) (string, error) {
	values, err := r.values(leaf)
	if err != nil {
		return "", err
	}
	var owner strings.Builder
	for i, p := range r.parts {
		if p.name == "" {
			owner.WriteString(p.text)
			continue
		}
		value := values[p.name]
		if err := r.checkBorder(i, value); err != nil {
			return "", err
		}
		owner.WriteString(value)
	}
	return owner.String(), nil
}

// values returns what fields and captures stand for.
func (r *Rule) values(leaf *x509.Certificate) (map[string]string, error) {
	values := make(map[string]string, len(r.fields)+4)
	for _, f := range r.fields {
		found := f.values(leaf)
		switch {
		case len(found) != 1:
			return nil, fmt.Errorf("the certificate has %d values of %s, expected exactly 1", len(found), f.name)
		case found[0] == "":
			return nil, fmt.Errorf("the certificate has no text in %s", f.name)
		}
		values[f.name] = found[0]
	}
	for _, p := range r.patterns {
		groups := p.re.FindStringSubmatch(values[p.field.name])
		if groups == nil {
			return nil, fmt.Errorf("the certificate's %s does not match its pattern: %s", p.field.name, untrusted.Text(values[p.field.name]))
		}
		for i, name := range p.re.SubexpNames() {
			if name == "" {
				continue
			}
			if groups[i] == "" {
				return nil, fmt.Errorf("the certificate's %s has nothing for %s: %s", p.field.name, name, untrusted.Text(values[p.field.name]))
			}
			values[name] = groups[i]
		}
	}
	return values, nil
}

// checkBorder refuses a value whose end could not be told from the text that follows it.
// The end of the last value is that of the owner.
func (r *Rule) checkBorder(i int, value string) error {
	if i+2 >= len(r.parts) {
		return nil
	}
	next := r.parts[i+1].text
	if strings.Index(value+next, next) != len(value) {
		return fmt.Errorf("the certificate's %s holds %q, which ends it in the template: %s", r.parts[i].name, next, untrusted.Text(value))
	}
	return nil
}
