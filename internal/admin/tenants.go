// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// A tenant owns devices, or is a service.
type tenant struct {
	Name     string
	Service  bool
	Owners   int // devices with sessions; of a service 1
	Sessions int
	Share    int // of all sessions, in percent, rounded
}

// topTenants adds up owners, "tenant:device" or the name of a service, and
// returns those with most sessions and how many others there are.
func topTenants(owners iter.Seq2[string, int]) (top []tenant, others int) {
	tenants := make(map[string]*tenant)
	all := 0
	for owner, sessions := range owners {
		name, _, device := strings.Cut(owner, ":")
		key := name
		if device {
			key += ":" // lest a service is taken for the tenant of its name
		}
		t := tenants[key]
		if t == nil {
			t = &tenant{Name: name, Service: !device}
			tenants[key] = t
		}
		t.Owners++
		t.Sessions += sessions
		all += sessions
	}
	for _, t := range tenants {
		t.Share = (200*t.Sessions + all) / (2 * all)
		top = append(top, *t)
	}
	slices.SortFunc(top, func(a, b tenant) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.Name, b.Name))
	})
	shown := min(len(top), shownTenants)
	return top[:shown], len(top) - shown
}
