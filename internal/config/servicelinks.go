// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// portLink matches the variables that Kubernetes derives from one port of a
// Service, in Docker's old shape: NAME_PORT_8883_TCP and three below it.
var portLink = regexp.MustCompile(`^(.+)_PORT_\d+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?$`)

// isServiceLink reports whether Kubernetes made the variable: for each Service
// of the namespace (enableServiceLinks, on by default) a pod finds
// NAME_SERVICE_HOST, NAME_SERVICE_PORT[_PORTNAME], NAME_PORT and
// NAME_PORT_8883_TCP[_PROTO|_PORT|_ADDR]. With a Service called vernegate or
// vernegate-admin these look like ours. A name can be read in several ways, as
// the Service may be called vernegate-service: one that fits is enough. The
// values are looked at too, so that a misspelt variable of ours does not pass as
// one.
func isServiceLink(name string, vars map[string]string) bool {
	if service, ok := strings.CutSuffix(name, "_SERVICE_HOST"); ok && isServiceHost(service, vars) {
		return true
	}
	for i := range name {
		if strings.HasPrefix(name[i:], "_SERVICE_PORT") && isServiceHost(name[:i], vars) {
			return true
		}
	}
	return portLink.MatchString(name) || strings.HasSuffix(name, "_PORT") && isLinkURL(vars[name])
}

// isServiceHost reports whether the address of the Service with this prefix is
// set, as it always is beside its ports.
func isServiceHost(prefix string, vars map[string]string) bool {
	_, err := netip.ParseAddr(vars[prefix+"_SERVICE_HOST"])
	return err == nil
}

// isLinkURL reports whether value is like tcp://10.0.0.1:8883.
func isLinkURL(value string) bool {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "tcp" && u.Scheme != "udp" && u.Scheme != "sctp" {
		return false
	}
	_, err = netip.ParseAddrPort(u.Host)
	return err == nil
}
