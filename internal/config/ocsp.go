// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"net/url"

	"github.com/vernegate/vernegate/internal/outbound"
)

// onOff is whether something is done at all.
type onOff bool

// UnmarshalText parses "on" or "off".
func (o *onOff) UnmarshalText(text []byte) error {
	*o = string(text) == "on"
	if !*o && string(text) != "off" {
		return errors.New("expected on or off")
	}
	return nil
}

// A responderURL is where an OCSP responder answers.
type responderURL struct{ *url.URL }

// UnmarshalText parses an absolute http or https URL. Its errors do not quote
// the text, which may hold a password.
func (r *responderURL) UnmarshalText(text []byte) error {
	u, err := url.Parse(string(text))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Fragment != "" {
		return errors.New("expected an http or https URL with a host, such as http://ocsp.example.org/devices")
	}
	r.URL = u
	return nil
}

// validateOCSP reports that nobody could be asked.
func (c Config) validateOCSP(m *mistakes) {
	if bool(c.OCSP) && c.OCSPURL.URL == nil && c.CRLHosts.Len() == 0 && !m.wrong["VERNEGATE_OCSP_URL"] && !m.wrong["VERNEGATE_CRL_HOSTS"] {
		m.add("VERNEGATE_OCSP", "expected VERNEGATE_OCSP_URL, or VERNEGATE_CRL_HOSTS with the hosts that certificates may name as their responders")
	}
}

// OCSPHosts are the hosts of responders that may be called.
func (c Config) OCSPHosts() outbound.Hosts {
	if c.OCSPURL.URL == nil {
		return c.CRLHosts
	}
	return c.CRLHosts.With(c.OCSPURL.URL)
}
