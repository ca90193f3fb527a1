// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

// What docs/performance.md calls the floor: cryptography without the rest of TLS.
func BenchmarkFloor(b *testing.B) {
	for _, p := range primitives {
		b.Run(p.name, func(b *testing.B) {
			op, err := p.make()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := op(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
