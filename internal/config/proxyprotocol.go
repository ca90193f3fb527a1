// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"net/netip"
)

// A prefixList is any number of address prefixes.
type prefixList []netip.Prefix

// UnmarshalText parses prefixes or single addresses separated by commas and
// names every one that is wrong.
func (l *prefixList) UnmarshalText(text []byte) error {
	elements, err := splitList(string(text))
	if err != nil {
		return fmt.Errorf("%w: expected prefixes of addresses separated by commas", err)
	}
	var errs []error
	for _, element := range elements {
		prefix, err := parsePrefix(element)
		if err != nil {
			errs = append(errs, err)
		}
		*l = append(*l, prefix)
	}
	return joinInLine(errs)
}

// parsePrefix parses a prefix, or an address as the prefix that holds it alone.
// IPv4 inside IPv6 is refused: addresses of clients are compared as IPv4, and
// would never be in it.
func parsePrefix(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if addr, addrErr := netip.ParseAddr(text); addrErr == nil && addr.Zone() == "" {
		prefix, err = addr.Prefix(addr.BitLen())
	}
	if err != nil || prefix.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is not a prefix such as 10.0.0.0/8 or fd00::/8", text)
	}
	return prefix.Masked(), nil
}

// A proxyVersion is a version of the PROXY protocol, 0 for none.
type proxyVersion byte

// UnmarshalText parses "off", "v1" or "v2".
func (v *proxyVersion) UnmarshalText(text []byte) error {
	switch string(text) {
	case "off":
		*v = 0
	case "v1":
		*v = 1
	case "v2":
		*v = 2
	default:
		return errors.New("expected off, v1 or v2")
	}
	return nil
}
