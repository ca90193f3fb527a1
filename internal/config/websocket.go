// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
)

// A urlPath is the path of a URL, as clients send it without a query.
type urlPath string

// UnmarshalText takes an absolute path that needs no escapes.
func (p *urlPath) UnmarshalText(text []byte) error {
	u, err := url.Parse(string(text))
	if err != nil || !strings.HasPrefix(string(text), "/") || u.Path != string(text) || u.EscapedPath() != string(text) {
		return errors.New("expected the path of a URL such as /mqtt")
	}
	*p = urlPath(text)
	return nil
}

// originPatterns are patterns for the pages whose scripts may connect, as browsers name them in the header Origin.
type originPatterns []string

// UnmarshalText parses patterns separated by commas and names every one that is
// wrong.
func (l *originPatterns) UnmarshalText(text []byte) error {
	patterns, err := splitList(string(text))
	if err != nil {
		return fmt.Errorf("%w: expected origins separated by commas", err)
	}
	var errs []error
	for _, pattern := range patterns {
		if !isOriginPattern(pattern) {
			errs = append(errs, fmt.Errorf("%q is not an origin such as https://dash.example.org or *.example.org:8443", pattern))
		}
	}
	*l = patterns
	return joinInLine(errs)
}

// isOriginPattern reports whether a pattern can match an origin, which has a
// scheme, a host and perhaps a port, and nothing else.
func isOriginPattern(pattern string) bool {
	host := pattern
	if scheme, rest, ok := strings.Cut(pattern, "://"); ok {
		if scheme == "" || strings.ContainsAny(scheme, "/:[]") {
			return false
		}
		host = rest
	}
	_, err := path.Match(pattern, "")
	return err == nil && host != "" && !strings.ContainsAny(host, "/?#@\\ ")
}

// A protocolChoice reports whether devices choose by ALPN between MQTT and
// WebSocket.
type protocolChoice bool

// UnmarshalText parses "true" or "false".
func (c *protocolChoice) UnmarshalText(text []byte) error {
	switch string(text) {
	case "false":
		*c = false
	case "true":
		*c = true
	default:
		return errors.New("expected true or false")
	}
	return nil
}
