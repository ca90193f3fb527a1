// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package limit_test

import (
	"testing"

	"github.com/vernegate/vernegate/proxy/limit"
)

// What was overdrawn when it was taken is covered as soon as another one is given back.
func TestDescriptorsAreOverdrawnUntilOneIsGivenBack(t *testing.T) {
	t.Parallel()
	const n = 10
	d := limit.NewDescriptors(n, nil)
	yields := func() bool { return true }
	for i := range n {
		if open, overdrawn := d.Wait(yields); !open || overdrawn || d.Overdrawn() {
			t.Fatalf("%d of %d are taken, and they are overdrawn", i+1, n)
		}
	}
	if open, overdrawn := d.Wait(yields); !open || !overdrawn || !d.Overdrawn() {
		t.Fatalf("%d of %d are taken, and they are not overdrawn", n+1, n)
	}
	d.Give()
	if d.Overdrawn() {
		t.Errorf("%d of %d are taken, and they are overdrawn", n, n)
	}
}

func TestDescriptorsWithoutLimitAreNeverOverdrawn(t *testing.T) {
	t.Parallel()
	d := limit.NewDescriptors(0, nil)
	if open, overdrawn := d.Wait(func() bool { return false }); !open || overdrawn || d.Overdrawn() {
		t.Error("they are overdrawn, or closed")
	}
}
