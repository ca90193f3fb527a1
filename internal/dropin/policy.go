// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package dropin

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/vernegate/vernegate/internal/vernemqconf"
)

const (
	minVersion     = "VERNEGATE_TLS_MIN_VERSION"
	ciphers        = "VERNEGATE_TLS_CIPHERS"
	maxConnections = "VERNEGATE_MAX_CONNECTIONS"
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
// listeners, at most one for each. It is a mistake if they differ and nobody
// has chosen.
func (t *translator) shared(option, variable string) []vernemqconf.Setting {
	var from []vernemqconf.Setting
	for _, l := range t.entries() {
		s, ok := l.Option(option)
		if !ok || slices.Contains(from, s) {
			continue
		}
		if len(from) > 0 && from[0].Value != s.Value && t.Chosen(variable) == "" {
			t.mistake("%v: %q differs from %q of %v, and vernegate has one for all its listeners: expected the same, or %s to say which",
				s, s.Value, from[0].Value, from[0], variable)
		}
		from = append(from, s)
	}
	return from
}

// protocolVersion finds the oldest version of TLS. VerneMQ takes a list of what
// is spoken; vernegate speaks that version and all later ones.
func (t *translator) protocolVersion() {
	from := t.shared("tls_version", minVersion)
	if len(from) == 0 {
		return
	}
	versions := strings.FieldsFunc(from[0].Value, func(r rune) bool { return strings.ContainsRune(", []'", r) })
	oldest := "1.3"
	var old []string
	for _, v := range versions {
		switch v {
		case "tlsv1.3":
		case "tlsv1.2":
			oldest = "1.2"
		case "tlsv1.1", "tlsv1":
			oldest = "1.2"
			old = append(old, v)
		default:
			t.mistake("%v: %q is none of tlsv1.3, tlsv1.2, tlsv1.1, tlsv1", from[0], v)
		}
	}
	if len(old) > 0 {
		t.each(from, Lost, fmt.Sprintf("vernegate speaks TLS 1.2 and 1.3: devices that can do no more than %s are refused", strings.Join(old, " and ")))
	}
	t.set(minVersion, oldest, from...)
}

// ciphers keeps the cipher suites that there are.
func (t *translator) ciphers() {
	from := t.shared("ciphers", ciphers)
	if len(from) == 0 {
		return
	}
	usable, unusable := t.sortCiphers(from[0].Value)
	switch {
	case len(usable)+len(unusable) == 0:
		t.each(from, Implied, "the cipher suites of TLS 1.3 are always on")
	case t.oldest() == "1.3":
		t.each(from, Implied, "without TLS 1.2 there are no cipher suites to choose")
	case len(usable) == 0 && t.Chosen(ciphers) == "":
		t.mistake("%v: none of these cipher suites can be had, expected %s to choose others", from[0], ciphers)
	case len(unusable) > 0:
		t.each(from, Lost, fmt.Sprintf("without %s: %s", strings.Join(unusable, ", "), affected(unusable)))
		fallthrough
	default:
		t.set(ciphers, strings.Join(usable, ","), from...)
	}
}

// sortCiphers tells the suites of TLS 1.2 that can be had from those that
// cannot. Those of TLS 1.3 are no matter of choice.
func (t *translator) sortCiphers(list string) (usable, unusable []string) {
	for _, name := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(":, ", r) }) {
		switch {
		case strings.HasPrefix(name, "TLS_") && !strings.Contains(name, "_WITH_"):
		case t.Cipher(name) == nil:
			usable = append(usable, name)
		default:
			unusable = append(unusable, name)
		}
	}
	return usable, unusable
}

// oldest is the oldest version of TLS, "" for the default.
func (t *translator) oldest() string {
	if chosen := t.Chosen(minVersion); chosen != "" {
		return chosen
	}
	for _, v := range t.Variables {
		if v.Name == minVersion {
			return v.Value
		}
	}
	return ""
}

// kinds are the kinds of cipher suites that Go has not, as OpenSSL names them,
// and the devices that have no other.
var kinds = []struct {
	suite *regexp.Regexp
	who   string
}{
	{regexp.MustCompile(`PSK`), "with pre-shared keys instead of certificates"},
	{regexp.MustCompile(`CCM`), "that know AES-CCM alone, as constrained ones do"},
	{regexp.MustCompile(`^ECDH-`), "that know static ECDH alone"},
	{regexp.MustCompile(`^(DHE|EDH|DH)-`), "that know finite-field Diffie-Hellman alone"},
	{regexp.MustCompile(`^ECDHE-\w+-[^-]+-SHA384$`), "that know ECDHE with CBC and SHA-384 alone"},
	{regexp.MustCompile(`^ECDHE-ECDSA-DES`), "with ECDSA that know triple DES alone"},
	{regexp.MustCompile(`^[^-]+-SHA256$`), "that know RSA key exchange with AES-256-CBC and SHA-256 alone"},
}

// affected says which devices notice that suites are gone.
func affected(names []string) string {
	var who []string
	for _, kind := range kinds {
		if slices.ContainsFunc(names, kind.suite.MatchString) {
			who = append(who, kind.who)
		}
	}
	if len(who) == 0 {
		who = []string{"that know no other"}
	}
	return "devices " + strings.Join(who, " or ") + " are refused"
}

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
	t.each(from, Implied, "vernegate has no limit by itself, and one of the listeners had none")
}
