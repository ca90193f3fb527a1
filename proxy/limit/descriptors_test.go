// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package limit_test

import (
	"testing"
	"testing/synctest"

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

// displaced is a connection whose place others may take.
type displaced struct{}

func (displaced) Displace() {}

// A newcomer waits while all that are not through their handshake wait for us, and no longer.
func TestDescriptorsAreTakenOnceAConnectionYields(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := limit.NewDescriptors(1, nil)
		p := limit.NewPendingHandshakes(0, d.MayYield)
		h := &limit.Handshake{Conn: displaced{}}
		d.Wait(p.AnyWaits)
		p.Add(h)
		p.WaitsForUs(h)
		taken := false
		go func() { _, taken = d.Wait(p.AnyWaits) }()
		synctest.Wait()
		if taken {
			t.Fatal("it is taken while nobody yields")
		}
		p.WaitsForClient(h)
		synctest.Wait()
		if !taken {
			t.Error("it waits although a connection could be closed for it")
			d.Close()
		}
	})
}

func TestDescriptorsWithoutLimitAreNeverOverdrawn(t *testing.T) {
	t.Parallel()
	d := limit.NewDescriptors(0, nil)
	if open, overdrawn := d.Wait(func() bool { return false }); !open || overdrawn || d.Overdrawn() {
		t.Error("they are overdrawn, or closed")
	}
}
