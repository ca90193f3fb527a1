// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package outbound

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Hosts are the hosts that may be called. The zero value is none. It does not
// change, and may be used by any number of goroutines.
type Hosts struct{ patterns []pattern }

// A pattern is one host that may be called, or all below a domain.
type pattern struct {
	host     string // lower case, without brackets; of a wildcard what follows the "*."
	wildcard bool
	port     string // "" is the port of the scheme
}

// errHost says what an element of a list of hosts looks like.
var errHost = errors.New("expected hosts separated by commas, such as crl.example.org, ca.example.org:8080 or *.pki.example.org")

// UnmarshalText parses a list of hosts separated by commas: a name or an address,
// or *.domain for every name below a domain, with or without a port. Without one
// it is 80 for http and 443 for https.
func (h *Hosts) UnmarshalText(text []byte) error {
	var patterns []pattern
	for element := range strings.SplitSeq(string(text), ",") {
		p, err := parsePattern(strings.TrimSpace(element))
		if err != nil {
			return err
		}
		patterns = append(patterns, p)
	}
	h.patterns = patterns
	return nil
}

func parsePattern(element string) (pattern, error) {
	host, port, ok := splitPort(element)
	host, wildcard := strings.CutPrefix(normal(host), "*.")
	addr, err := netip.ParseAddr(host)
	switch isAddr := err == nil; {
	case !ok, isAddr && (wildcard || addr.Zone() != ""), !isAddr && !isName(host):
		return pattern{}, fmt.Errorf("%q: %w", element, errHost)
	}
	return pattern{host: host, wildcard: wildcard, port: port}, nil
}

// splitPort parts a host from its port, which may be missing. An IPv6 address stands
// in brackets if a port follows, and may without.
func splitPort(element string) (host, port string, ok bool) {
	if _, err := netip.ParseAddr(element); err == nil || !strings.Contains(element, ":") {
		return element, "", true
	}
	if inner, found := strings.CutPrefix(element, "["); found && strings.HasSuffix(inner, "]") {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return addr.String(), "", err == nil && addr.Is6()
	}
	host, port, err := net.SplitHostPort(element)
	return host, port, err == nil && isPort(port)
}

func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// isName reports whether text looks like the name of a host: labels of letters,
// digits, hyphens and underscores (RFC 1123 §2.1, and what Docker Compose makes).
func isName(text string) bool {
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
			return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '_')
		}) {
			return false
		}
	}
	return len(text) <= 253
}

// normal returns a host in the form that is compared: names are the same in upper
// and lower case, and with the dot of the root behind them; an address can be written
// in several ways.
func normal(host string) string {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.String()
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// Len returns how many hosts and domains there are.
func (h Hosts) Len() int { return len(h.patterns) }

// Names returns the list as it is configured, each host for people.
func (h Hosts) Names() (names []string) {
	for _, p := range h.patterns {
		name := p.host
		if p.wildcard {
			name = "*." + name
		}
		if p.port != "" {
			name = net.JoinHostPort(name, p.port)
		}
		names = append(names, name)
	}
	return names
}

// With returns the hosts and those of URLs that an operator wrote.
func (h Hosts) With(urls ...*url.URL) Hosts {
	all := Hosts{patterns: append([]pattern(nil), h.patterns...)}
	for _, u := range urls {
		all.patterns = append(all.patterns, pattern{host: normal(u.Hostname()), port: u.Port()})
	}
	return all
}

// Allows reports whether a URL may be called.
func (h Hosts) Allows(u *url.URL) bool {
	_, ok := h.match(u)
	return ok
}

// match finds what allows a URL to be called. One that names the host comes before one
// that names its domain.
func (h Hosts) match(u *url.URL) (found pattern, ok bool) {
	if u.Scheme != "http" && u.Scheme != "https" {
		return pattern{}, false
	}
	for _, p := range h.patterns {
		if !p.matches(normal(u.Hostname()), portOf(u), u.Scheme) {
			continue
		}
		if found, ok = p, true; !p.wildcard {
			break
		}
	}
	return found, ok
}

func (p pattern) matches(host, port, scheme string) bool {
	if p.port != port && !(p.port == "" && port == defaultPort(scheme)) {
		return false
	}
	if p.wildcard {
		return strings.HasSuffix(host, "."+p.host)
	}
	return host == p.host
}

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return defaultPort(u.Scheme)
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}
