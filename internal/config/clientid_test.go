// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"testing"

	"github.com/vernegate/vernegate/proxy"
)

func TestConfigClientIDAndPassword(t *testing.T) {
	t.Parallel()
	if c := mustLoad(t); proxy.ClientIDPolicy(c.ClientID) != proxy.AnyClientID || bool(c.StripPassword) {
		t.Errorf("by default policy %d, passwords stripped: %t", c.ClientID, c.StripPassword)
	}
	for value, want := range map[string]proxy.ClientIDPolicy{
		"any": proxy.AnyClientID, "owner": proxy.OwnerClientID, "owner-prefix": proxy.OwnerPrefixClientID,
	} {
		if got := mustLoad(t, "VERNEGATE_CLIENT_ID="+value).ClientID; proxy.ClientIDPolicy(got) != want {
			t.Errorf("%s: got %d, want %d", value, got, want)
		}
	}
	for value, want := range map[string]bool{"keep": false, "strip": true} {
		if got := mustLoad(t, "VERNEGATE_PASSWORD="+value).StripPassword; bool(got) != want {
			t.Errorf("%s: got %t, want %t", value, got, want)
		}
	}
	wantMistake(t, "VERNEGATE_CLIENT_ID=owner_prefix", "expected any, owner or owner-prefix")
	wantMistake(t, "VERNEGATE_PASSWORD=drop", "expected keep or strip")
}
