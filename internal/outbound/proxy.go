// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package outbound

import (
	"errors"
	"net/http"
	"net/url"
)

// Proxy is the HTTP proxy that requests go through. The zero value is none: the
// environment of a process is not asked for one unless it says so, since a proxy
// sees what is asked and chooses where it comes from.
type Proxy struct {
	url         *url.URL
	environment bool
}

// UnmarshalText parses "off", "environment" (HTTP_PROXY, HTTPS_PROXY and NO_PROXY) or
// the URL of a proxy. Its errors do not quote the text, which may hold a password.
func (p *Proxy) UnmarshalText(text []byte) error {
	switch string(text) {
	case "off":
		*p = Proxy{}
		return nil
	case "environment":
		*p = Proxy{environment: true}
		return nil
	}
	u, err := url.Parse(string(text))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Path != "" && u.Path != "/" {
		return errors.New("expected off, environment or the URL of a proxy such as http://proxy.example.org:3128")
	}
	*p = Proxy{url: u}
	return nil
}

// takes reports whether a request goes through a proxy.
func (p Proxy) takes(req *http.Request) bool {
	choose := p.of()
	if choose == nil {
		return false
	}
	via, err := choose(req)
	return err == nil && via != nil
}

// of returns the function that http.Transport asks; nil is no proxy.
func (p Proxy) of() func(*http.Request) (*url.URL, error) {
	switch {
	case p.environment:
		return http.ProxyFromEnvironment
	case p.url != nil:
		return http.ProxyURL(p.url)
	}
	return nil
}
