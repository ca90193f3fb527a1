// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/netip"
	"testing"
)

func TestAddressesAreCountedByHost(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"192.0.2.7":                        "192.0.2.7/32",
		"2001:db8:1:2::7":                  "2001:db8:1:2::/64",
		"fe80::1":                          "fe80::/64",
		"2001:db8:1:2:ffff:ffff:ffff:ffff": "2001:db8:1:2::/64",
	} {
		if got := blockOf(netip.MustParseAddr(addr)); got.String() != want {
			t.Errorf("%s: got %v, want %s", addr, got, want)
		}
	}
}
