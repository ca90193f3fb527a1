// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A tlsVersion is the oldest version of TLS that is spoken.
type tlsVersion uint16

// UnmarshalText parses "1.2" or "1.3". RFC 8996 takes 1.0 and 1.1 out of use.
func (v *tlsVersion) UnmarshalText(text []byte) error {
	switch string(text) {
	case "1.2":
		*v = tls.VersionTLS12
	case "1.3":
		*v = tls.VersionTLS13
	default:
		return errors.New("expected 1.2 or 1.3")
	}
	return nil
}

// cipherSuites are the suites that TLS 1.2 may use.
type cipherSuites []uint16

// UnmarshalText parses names as Go or OpenSSL spell them, separated by commas
// or, as in OpenSSL, colons. It names every one that cannot be had.
func (c *cipherSuites) UnmarshalText(text []byte) error {
	names, err := splitNames(text)
	if err != nil {
		return fmt.Errorf("%w: expected TLS 1.2 cipher suites separated by commas", err)
	}
	var errs []error
	for _, name := range names {
		id, err := cipherSuite(name)
		errs = append(errs, err)
		*c = append(*c, id)
	}
	return joinInLine(errs)
}

// Insecure returns the names of the suites that Go would not use by itself:
// they are for devices that can do no better.
func (c cipherSuites) Insecure() []string {
	var names []string
	for _, suite := range tls.InsecureCipherSuites() {
		if slices.Contains(c, suite.ID) {
			names = append(names, suite.Name)
		}
	}
	return names
}

// CheckCipher returns why a suite with one of these names cannot be chosen, nil if it can.
func CheckCipher(name string) error {
	_, err := cipherSuite(name)
	return err
}

// cipherSuite finds a suite of TLS 1.2 by either of its names.
func cipherSuite(name string) (uint16, error) {
	for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if !strings.EqualFold(name, suite.Name) && !strings.EqualFold(name, openSSLName(suite.Name)) {
			continue
		}
		if !slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
			return 0, fmt.Errorf("%q belongs to TLS 1.3, whose cipher suites cannot be chosen", name)
		}
		return suite.ID, nil
	}
	return 0, fmt.Errorf("%q is no cipher suite that Go has, such as ECDHE-ECDSA-AES128-GCM-SHA256", name)
}

// openSSLNames rewrites an IANA name, which is also Go's, part by part.
// OpenSSL leaves plain RSA key exchange and CBC unsaid.
var openSSLNames = strings.NewReplacer(
	"TLS_RSA_WITH_", "", "TLS_ECDHE_", "ECDHE-", "_WITH_", "-",
	"3DES_EDE_CBC_SHA", "DES-CBC3-SHA", "RC4_128_SHA", "RC4-SHA",
	"CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305",
	"AES_128_", "AES128-", "AES_256_", "AES256-", "CBC_SHA", "SHA", "GCM_SHA", "GCM-SHA",
)

// openSSLName spells a suite of TLS 1.2 as OpenSSL does. The suites of TLS 1.3
// have one name everywhere.
func openSSLName(name string) string {
	if !strings.Contains(name, "_WITH_") {
		return name
	}
	return openSSLNames.Replace(name)
}

// curves are the key exchanges that may be used, the preferred one first.
type curves []tls.CurveID

// curveNames lists what each key exchange is called: by NIST or in TLS, by
// Go, and by OpenSSL and SECG.
var curveNames = []struct {
	id    tls.CurveID
	names []string
}{
	{tls.X25519MLKEM768, []string{"X25519MLKEM768"}},
	{tls.SecP256r1MLKEM768, []string{"SecP256r1MLKEM768"}},
	{tls.SecP384r1MLKEM1024, []string{"SecP384r1MLKEM1024"}},
	{tls.X25519, []string{"X25519"}},
	{tls.CurveP256, []string{"P-256", "P256", "CurveP256", "prime256v1", "secp256r1"}},
	{tls.CurveP384, []string{"P-384", "P384", "CurveP384", "secp384r1"}},
	{tls.CurveP521, []string{"P-521", "P521", "CurveP521", "secp521r1"}},
}

// UnmarshalText parses names in the spellings of curveNames, separated by
// commas or colons. It names every one that cannot be had.
func (c *curves) UnmarshalText(text []byte) error {
	names, err := splitNames(text)
	if err != nil {
		return fmt.Errorf("%w: expected key exchanges separated by commas", err)
	}
	var errs []error
	for _, name := range names {
		id, err := curve(name)
		errs = append(errs, err)
		*c = append(*c, id)
	}
	return joinInLine(errs)
}

func curve(name string) (tls.CurveID, error) {
	var all []string
	for _, c := range curveNames {
		if slices.ContainsFunc(c.names, func(n string) bool { return strings.EqualFold(n, name) }) {
			return c.id, nil
		}
		all = append(all, c.names[0])
	}
	return 0, fmt.Errorf("%q is none of %s", name, strings.Join(all, ", "))
}

// splitNames splits a list at commas and, as OpenSSL writes lists, at colons.
func splitNames(text []byte) ([]string, error) {
	return splitList(strings.ReplaceAll(string(text), ":", ","))
}

// joinInLine joins errors with semicolons, so that all that is wrong with one
// variable stands in one line. It is nil if all of them are.
func joinInLine(errs []error) error {
	joined := errors.Join(errs...)
	if joined == nil {
		return nil
	}
	return errors.New(strings.ReplaceAll(joined.Error(), "\n", "; "))
}
