// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"slices"
	"testing"
)

func TestConfigProxyProtocol(t *testing.T) {
	t.Parallel()
	if c := mustLoad(t); c.ProxyProtocolFrom != nil || c.BackendProxyProtocol != 0 {
		t.Errorf("by default headers from %v and version %d", c.ProxyProtocolFrom, c.BackendProxyProtocol)
	}
	for version, want := range map[string]proxyVersion{"off": 0, "v1": 1, "v2": 2} {
		if got := mustLoad(t, "VERNEGATE_BACKEND_PROXY_PROTOCOL="+version).BackendProxyProtocol; got != want {
			t.Errorf("%s: got version %d, want %d", version, got, want)
		}
	}
	got := mustLoad(t, "VERNEGATE_PROXY_PROTOCOL_FROM=10.1.2.3/8, 192.0.2.1,fd00::/8,::1").ProxyProtocolFrom
	want := []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"),
		netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("::1/128"),
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestConfigProxyProtocolMistakes(t *testing.T) {
	t.Parallel()
	for variable, want := range map[string]string{
		"VERNEGATE_PROXY_PROTOCOL_FROM=10.0.0.0/33,lb,fd00::/8": `"10.0.0.0/33" is not a prefix such as 10.0.0.0/8 or fd00::/8; "lb" is not a prefix such as 10.0.0.0/8 or fd00::/8`,
		"VERNEGATE_PROXY_PROTOCOL_FROM=10.0.0.0/8,":             `a list element is blank: expected prefixes of addresses separated by commas`,
		"VERNEGATE_PROXY_PROTOCOL_FROM=::ffff:10.0.0.0/104":     `"::ffff:10.0.0.0/104" is not a prefix such as 10.0.0.0/8 or fd00::/8`,
		"VERNEGATE_PROXY_PROTOCOL_FROM=fe80::1%eth0":            `"fe80::1%eth0" is not a prefix such as 10.0.0.0/8 or fd00::/8`,
		"VERNEGATE_BACKEND_PROXY_PROTOCOL=2":                    `expected off, v1 or v2`,
	} {
		wantMistake(t, variable, want)
	}
}
