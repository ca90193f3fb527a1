// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack_test

import (
	"sync"
	"testing"

	"github.com/vernegate/vernegate/e2e/stack"
)

func TestFreeAddrReturnsEachAddressOnce(t *testing.T) {
	t.Parallel()
	var seen sync.Map
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 100 {
				addr, err := stack.FreeAddr()
				if err != nil {
					t.Error(err)
					return
				}
				if _, before := seen.LoadOrStore(addr, true); before {
					t.Errorf("got %s twice", addr)
				}
			}
		})
	}
	callers.Wait()
}
