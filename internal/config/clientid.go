// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"

	"github.com/vernegate/vernegate/proxy"
)

// A clientIDPolicy says which client ids an owner may use.
type clientIDPolicy proxy.ClientIDPolicy

// UnmarshalText parses "any", "owner" or "owner-prefix".
func (p *clientIDPolicy) UnmarshalText(text []byte) error {
	policy, ok := map[string]proxy.ClientIDPolicy{
		"any":          proxy.AnyClientID,
		"owner":        proxy.OwnerClientID,
		"owner-prefix": proxy.OwnerPrefixClientID,
	}[string(text)]
	if !ok {
		return errors.New("expected any, owner or owner-prefix")
	}
	*p = clientIDPolicy(policy)
	return nil
}

// A passwordPolicy reports whether passwords of clients are kept from brokers.
type passwordPolicy bool

// UnmarshalText parses "keep" or "strip".
func (p *passwordPolicy) UnmarshalText(text []byte) error {
	switch string(text) {
	case "keep":
		*p = false
	case "strip":
		*p = true
	default:
		return errors.New("expected keep or strip")
	}
	return nil
}
