// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"fmt"
	"testing"

	"github.com/vernegate/vernegate/internal/backend"
)

// What the choice among a hundred brokers costs, from taking a lease to releasing it.
func BenchmarkChoice(b *testing.B) {
	var addrs []string
	for i := range 100 {
		addrs = append(addrs, fmt.Sprintf("10.0.0.%d:1883", i))
	}
	for _, balance := range []backend.Balance{backend.LeastConnections, backend.ByClientID} {
		b.Run(balance.String(), func(b *testing.B) {
			pool := backend.New(backend.Config{Addrs: addrs, Balance: balance})
			b.ReportAllocs()
			for b.Loop() {
				p := pool.Lease("admin:efac3d", "admin:efac3d")
				if _, ok := p.Next(); !ok {
					b.Fatal("no broker to be had")
				}
				p.Succeeded(true)
				p.Release()
			}
		})
	}
}
