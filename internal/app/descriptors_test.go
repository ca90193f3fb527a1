// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import "testing"

// However many processors there are, their epoll instances take nothing from certificate-acl and files.
func TestConnectionsLeaveAReserve(t *testing.T) {
	t.Parallel()
	for _, processors := range []int{1, 64, 256} {
		if used := withoutReserve(20_000, processors); 20_000-used-processors < reservedDescriptors {
			t.Errorf("with %d processors connections may use %d descriptors", processors, used)
		}
	}
	if used := withoutReserve(100, 8); used != 2 {
		t.Errorf("with few descriptors connections may use %d, want 2", used)
	}
}
