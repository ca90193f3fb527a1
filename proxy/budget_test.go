// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package proxy_test

import (
	"io"
	"testing"

	"github.com/vernegate/vernegate/proxy"
)

// TestBudgetOfMessages holds how often memory is allocated for a message there and back, by the gate and by the client,
// which has one of them: crypto/tls allocates in each read from a connection. Being a whole number, it has no noise.
func TestBudgetOfMessages(t *testing.T) {
	// Not parallel: AllocsPerRun counts what the whole process allocates.
	g := startGate(t, echoBroker(t))
	client := g.device(connect311)
	wantBytes(t, client, connack311)
	const budget = proxy.MessageAllocations + 1
	for _, size := range []int{64, 16 << 10} {
		message := publish(size)
		got := testing.AllocsPerRun(2000, func() {
			write(t, client, message)
			if _, err := io.ReadFull(client, message); err != nil {
				t.Fatal(err)
			}
		})
		switch {
		case got > budget:
			t.Errorf("a message of %d bytes there and back makes %v allocations, want at most %v", size, got, budget)
		case got < budget:
			t.Logf("a message of %d bytes there and back makes %v allocations: the budget of %v can be lowered", size, got, budget)
		}
	}
}
