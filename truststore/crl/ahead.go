// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import "github.com/vernegate/vernegate/internal/pace"

// WithRevoked returns a list, with a delta or without, that also revokes what deltas revoke that do not apply to it yet. What
// they remove stays: it may have been revoked in between. The result is of the number and times of the list; it copies what
// is on the deltas, and takes no other one.
func (l *List) WithRevoked(ahead []*List, t *pace.Throttle) *List {
	together := &List{removed: new(serialSet)}
	if l.delta != nil {
		together.removed = l.delta.removed
		ahead = append([]*List{l.delta}, ahead...)
	}
	var revoked serialList
	i := 0
	for _, delta := range ahead {
		for serial := range delta.revoked.all() {
			if i++; i%batch == 0 {
				t.Yield()
			}
			revoked.add(serial)
		}
	}
	together.revoked = revoked.set(t)
	c := *l
	c.delta = together
	for serial := range together.revoked.all() {
		if i++; i%batch == 0 {
			t.Yield()
		}
		if !l.HasBytes(serial) {
			c.Entries++
		}
	}
	return &c
}
