// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package legacy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

const ciphers = "VERNEGATE_TLS_CIPHERS"

// ciphers keeps the cipher suites that there are.
func (t *translator) ciphers() {
	from := t.shared("ciphers", ciphers)
	if len(from) == 0 {
		return
	}
	usable, unusable := t.sortCiphers(from[0].Value)
	switch {
	case len(usable)+len(unusable) == 0:
		t.each(from, Builtin, "the cipher suites of TLS 1.3 are always on")
	case t.oldest() == "1.3":
		t.each(from, Builtin, "without TLS 1.2 there are no cipher suites to choose")
	case len(usable) == 0 && t.Override(ciphers) == "":
		t.mistake("%v: none of these cipher suites can be had, expected %s to choose others", from[0], ciphers)
	case len(unusable) > 0:
		t.each(from, Unsupported, fmt.Sprintf("without %s: %s", strings.Join(unusable, ", "), affected(unusable)))
		fallthrough
	default:
		t.set(ciphers, strings.Join(usable, ","), from...)
	}
}

// sortCiphers separates the suites of TLS 1.2 that can be had from those that
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
