// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/vernegate/vernegate/internal/clienttls"
	"github.com/vernegate/vernegate/internal/dial"
)

// A tlsSwitch reports whether something is spoken to over TLS.
type tlsSwitch bool

// UnmarshalText parses "on" or "off".
func (s *tlsSwitch) UnmarshalText(text []byte) error {
	switch string(text) {
	case "off":
		*s = false
	case "on":
		*s = true
	default:
		return errors.New("expected off or on")
	}
	return nil
}

// A serverName is what a server's certificate has to be for.
type serverName string

// hostSyntax is that of the names in certificates, without wildcards (RFC 5890
// §2.3.1; the underscore is in names of Docker and Windows).
var hostSyntax = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$`)

// UnmarshalText parses a name or an IP address.
func (n *serverName) UnmarshalText(text []byte) error {
	if _, err := netip.ParseAddr(string(text)); err != nil && !hostSyntax.Match(text) {
		return errors.New("expected the name of a host such as vernemq.example.org, or an address")
	}
	*n = serverName(text)
	return nil
}

// BackendTLSFiles are the files for TLS to the brokers.
func (c Config) BackendTLSFiles() clienttls.Sources {
	return clientFiles(c.BackendTLSCA, c.BackendTLSCert, c.BackendTLSKey)
}

// ACLFiles are the files for https to certificate-acl.
func (c Config) ACLFiles() clienttls.Sources { return clientFiles(c.ACLCA, c.ACLCert, c.ACLKey) }

// clientFiles leaves out half of a pair, which Load names as a mistake.
func clientFiles(cas []string, cert, key string) clienttls.Sources {
	if cert == "" || key == "" {
		return clienttls.Sources{CAs: cas}
	}
	return clienttls.Sources{CAs: cas, Cert: cert, Key: key}
}

// CRLFiles are the files for https to the servers of lists.
func (c Config) CRLFiles() clienttls.Sources { return clienttls.Sources{CAs: c.CRLCA} }

// validateClientTLS reports files for connections that are not encrypted, and halves
// of a pair.
func (c Config) validateClientTLS(m *mistakes) {
	m.addHalfPair("VERNEGATE_BACKEND_TLS_CERT", c.BackendTLSCert, "VERNEGATE_BACKEND_TLS_KEY", c.BackendTLSKey)
	m.addHalfPair("VERNEGATE_ACL_CERT", c.ACLCert, "VERNEGATE_ACL_KEY", c.ACLKey)
	if !c.BackendTLS {
		for _, variable := range []string{"_CA", "_CERT", "_KEY", "_SERVER_NAME"} {
			m.addWithoutEffect("VERNEGATE_BACKEND_TLS"+variable, "without VERNEGATE_BACKEND_TLS=on")
		}
	}
	if bool(c.BackendTLS) && c.BackendTLSServerName == "" && slices.ContainsFunc(c.Backends, dial.IsUnix) {
		m.add("VERNEGATE_BACKEND_TLS_SERVER_NAME", "expected the name in the broker's certificate, as a Unix socket has none")
	}
	if !c.FetchesLists() && !m.wrong["VERNEGATE_TLS_CRL"] && !m.wrong["VERNEGATE_CRL_FROM_CDP"] {
		m.addWithoutEffect("VERNEGATE_CRL_CA", "as no CRL is fetched: VERNEGATE_TLS_CRL has no URL, and VERNEGATE_CRL_FROM_CDP is off")
	}
	if strings.HasPrefix(string(c.ACLURL), "http:") {
		for _, variable := range []string{"VERNEGATE_ACL_CA", "VERNEGATE_ACL_CERT", "VERNEGATE_ACL_KEY"} {
			m.addWithoutEffect(variable, "as CERTIFICATE_ACL_URL is not https")
		}
	}
	if c.ACLTokenFile != "" && Redact(string(c.ACLURL)) != string(c.ACLURL) {
		m.add("VERNEGATE_ACL_TOKEN_FILE", "expected only one of it and a password in CERTIFICATE_ACL_URL")
	}
}

// addHalfPair reports a certificate without a key, or a key without a certificate.
func (m *mistakes) addHalfPair(certVariable, cert, keyVariable, key string) {
	switch {
	case cert != "" && key == "":
		m.add(certVariable, "expected its key in %s, too", keyVariable)
	case cert == "" && key != "":
		m.add(keyVariable, "expected its certificate in %s, too", certVariable)
	}
}

// addWithoutEffect reports a variable that was set although it does nothing.
func (m *mistakes) addWithoutEffect(variable, why string) {
	if m.readings[variable].value != "" {
		m.add(variable, "has no effect %s", why)
	}
}
