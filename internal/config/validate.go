// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import "crypto/tls"

// validate reports what is wrong between variables that are each well-formed.
func (c Config) validate(m *mistakes) {
	if len(c.TLSCert) > 0 && len(c.TLSKey) != len(c.TLSCert) {
		m.add("VERNEGATE_TLS_KEY", "expected as many keys as VERNEGATE_TLS_CERT has certificates, %d, not %d",
			len(c.TLSCert), len(c.TLSKey))
	}
	if c.TLSMinVersion == tls.VersionTLS13 && len(c.TLSCiphers) > 0 {
		m.add("VERNEGATE_TLS_CIPHERS", "has no effect with VERNEGATE_TLS_MIN_VERSION=1.3, whose cipher suites cannot be chosen")
	}
	c.validateAdmin(m)
	c.validateIdentity(m)
	c.validateKafka(m)
	c.validateClientTLS(m)
	c.validateLists(m)
	c.validateOCSP(m)
	c.validateListeners(m)
	c.validateWebSocket(m)
}

// validateWebSocket reports variables for WebSocket that nobody can come in by.
func (c Config) validateWebSocket(m *mistakes) {
	if c.WSListen != "" || bool(c.ListenALPN) || m.wrong["VERNEGATE_WS_LISTEN"] || m.wrong["VERNEGATE_LISTEN_ALPN"] {
		return
	}
	for _, variable := range []string{"VERNEGATE_WS_PATH", "VERNEGATE_WS_ORIGINS"} {
		if reading := c.readings[variable]; reading.value != "" && !reading.isDefault {
			m.add(variable, "has no effect without VERNEGATE_WS_LISTEN or VERNEGATE_LISTEN_ALPN=true")
		}
	}
}

// validateAdmin reports a token that is set twice, and what an admin interface that is
// off does not need.
func (c Config) validateAdmin(m *mistakes) {
	if c.AdminToken.IsSet() && c.AdminTokenFile.IsSet() {
		m.add("VERNEGATE_ADMIN_TOKEN_FILE", "expected only one of it and VERNEGATE_ADMIN_TOKEN")
	}
	if c.AdminReadToken.IsSet() && c.AdminReadTokenFile.IsSet() {
		m.add("VERNEGATE_ADMIN_READ_TOKEN_FILE", "expected only one of it and VERNEGATE_ADMIN_READ_TOKEN")
	}
	if m.readings["VERNEGATE_ADMIN"].value == "off" {
		for _, rest := range []string{"_HOSTS", "_TOKEN", "_TOKEN_FILE", "_READ_TOKEN", "_READ_TOKEN_FILE"} {
			m.addWithoutEffect("VERNEGATE_ADMIN"+rest, "with VERNEGATE_ADMIN=off")
		}
	}
}

// validateListeners reports addresses that cannot be listened on together, at
// the variable of the later one.
func (c Config) validateListeners(m *mistakes) {
	listeners := []struct {
		variable string
		address  listenAddress
	}{
		{"VERNEGATE_LISTEN", c.Listen},
		{"VERNEGATE_SERVICE_LISTEN", c.ServiceListen},
		{"VERNEGATE_WS_LISTEN", c.WSListen},
		{"VERNEGATE_ADMIN", listenAddress(c.Admin)},
	}
	for i, b := range listeners {
		for _, a := range listeners[:i] {
			if a.address.overlaps(b.address) {
				m.add(b.variable, "expected another address than %s=%q", a.variable, a.address)
			}
		}
	}
}
