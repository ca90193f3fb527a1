// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/vernegate/vernegate/internal/identity/subject"
)

// A Source is where owners of certificates are from.
type Source string

// The sources.
const (
	CertificateACL Source = "certificate-acl"
	Subject        Source = "subject" // what the certificate says itself
	File           Source = "file"
)

// Sources are all there are.
var Sources = [...]Source{CertificateACL, Subject, File}

// A sourceList is the sources in the order in which they are asked; the first answer
// counts.
type sourceList []Source

// UnmarshalText parses the names of sources.
func (l *sourceList) UnmarshalText(text []byte) error {
	names, err := splitList(string(text))
	var sources sourceList
	for _, name := range names {
		s := Source(name)
		if !slices.Contains(Sources[:], s) {
			err = errors.Join(err, fmt.Errorf("%q is no source", name))
		}
		if slices.Contains(sources, s) {
			err = errors.Join(err, fmt.Errorf("%q comes twice", name))
		}
		sources = append(sources, s)
	}
	if err != nil {
		return fmt.Errorf("%s: expected certificate-acl, subject or file, or a list of them in which the first answer counts",
			strings.ReplaceAll(err.Error(), "\n", ", "))
	}
	*l = sources
	return nil
}

// Has reports whether a source is asked.
func (l sourceList) Has(s Source) bool { return slices.Contains(l, s) }

// String returns the names as they are configured.
func (l sourceList) String() string {
	var names []string
	for _, s := range l {
		names = append(names, string(s))
	}
	return strings.Join(names, ",")
}

// A fileName is a path. Whether there is a file is not its concern.
type fileName string

// An ownerPattern selects owners by their whole text; the zero value has no opinion.
type ownerPattern struct{ re *regexp.Regexp }

// UnmarshalText parses a regular expression as Go reads it (RE2).
func (p *ownerPattern) UnmarshalText(text []byte) error {
	_, err := regexp.Compile(string(text))
	if err == nil {
		p.re, err = regexp.Compile(`\A(?:` + string(text) + `)\z`)
	}
	if err != nil {
		return fmt.Errorf("%w: expected a regular expression (RE2) for the whole owner such as [a-z0-9-]+", err)
	}
	return nil
}

// Func returns what reports whether an owner matches, nil without a pattern.
func (p ownerPattern) Func() func(owner string) bool {
	if p.re == nil {
		return nil
	}
	return p.re.MatchString
}

// validateIdentity reports sources that lack what they need, and what no source needs.
func (c Config) validateIdentity(m *mistakes) {
	if c.Identity == nil { // which is wrong
		return
	}
	c.validateTemplate(m)
	switch has := c.Identity.Has(File); {
	case has && c.IdentityFile == "":
		m.add("VERNEGATE_IDENTITY_FILE", "expected a file of owners, as VERNEGATE_IDENTITY has file")
	case !has && c.IdentityFile != "":
		m.add("VERNEGATE_IDENTITY_FILE", "has no effect: VERNEGATE_IDENTITY lacks file")
	}
}

func (c Config) validateTemplate(m *mistakes) {
	has, set := c.Identity.Has(Subject), c.IdentityTemplate.IsSet()
	switch {
	case has && !set:
		m.add("VERNEGATE_IDENTITY_TEMPLATE", "expected a template of the owner such as {o}:{cn}, as VERNEGATE_IDENTITY has subject")
	case !has && set:
		m.add("VERNEGATE_IDENTITY_TEMPLATE", "has no effect: VERNEGATE_IDENTITY lacks subject")
	case !has && c.IdentityPattern != nil:
		m.add("VERNEGATE_IDENTITY_PATTERN", "has no effect: VERNEGATE_IDENTITY lacks subject")
	}
	if !set {
		return
	}
	_, err := subject.NewRule(c.IdentityTemplate, c.IdentityPattern)
	if m.wrong["VERNEGATE_IDENTITY_PATTERN"] { // a capture of which would be missed
		err = c.IdentityTemplate.CheckBeside(m.readings["VERNEGATE_IDENTITY_PATTERN"].value)
	}
	if err != nil {
		m.add("VERNEGATE_IDENTITY_TEMPLATE", "%s", strings.ReplaceAll(err.Error(), "\n", ", "))
	}
}
