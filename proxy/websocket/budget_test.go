// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package websocket_test

import (
	"strings"
	"testing"
)

// A message allocates nothing, in both directions. Being a whole number, it has no noise.
func TestBudgetOfMessages(t *testing.T) {
	// Not parallel: AllocsPerRun counts what the whole process allocates.
	l := open(t, nil)
	l.sent.Grow(1 << 20)
	for _, size := range []int{2, 64, 16 << 10} {
		message := strings.Repeat("m", size)
		wire := frame(final|binaryFrame, message)
		room := make([]byte, len(wire))
		got := testing.AllocsPerRun(500, func() {
			n, err := l.Decode(room, room[:copy(room, wire)])
			if n != size || err != nil {
				t.Fatalf("got %d bytes and %v", n, err)
			}
			l.sent.Reset()
			if _, err := l.Write(room[:n]); err != nil {
				t.Fatal(err)
			}
		})
		if got > 0 {
			t.Errorf("a message of %d bytes makes %v allocations, want none", size, got)
		}
	}
}
