// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// requireKnownHost refuses requests for a name that an attacker may have made point here:
// a page that an operator looks at could read what is behind h from its own
// domain (DNS rebinding).
func (a *server) requireKnownHost(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if host := hostname(r.Host); !a.knows(host) {
			writeText(w, http.StatusMisdirectedRequest, "This name is not known here. VERNEGATE_ADMIN_HOSTS lists the names that are.")
			return
		}
		h(w, r)
	}
}

// hostname is a Host header without port, in lower case and without the dot of
// the root.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
}

// knows reports whether a host cannot be a name that anybody may register: it is
// an address, a name of one label, a name of a cluster's own domain, or one that
// was configured.
func (a *server) knows(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil || host != "" && !strings.Contains(host, ".") {
		return true
	}
	for _, domain := range []string{".localhost", ".svc", ".cluster.local"} { // RFC 6761 §6.3; Kubernetes
		if strings.HasSuffix(host, domain) {
			return true
		}
	}
	return slices.ContainsFunc(a.Hosts, func(name string) bool { return hostname(name) == host })
}
