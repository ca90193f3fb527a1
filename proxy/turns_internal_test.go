// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"io"
	"runtime"
	"sync/atomic"
	"testing"
)

// endless is a client that keeps bytes coming.
type endless struct{ reads atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	if e.reads.Add(1) > 1000 {
		return 0, io.EOF
	}
	return copy(p, "x"), nil
}

// A client that keeps bytes coming before its session exists lets others have their turn.
func TestReadsBeforeTheSessionTakeTurns(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	client := new(endless)
	turns, ok := new(session).reader().(*turnReader)
	if !ok {
		t.Fatal("a session reads without taking turns")
	}
	turns.Reader = client
	go func() { _, _ = io.Copy(io.Discard, turns) }()
	for last := int64(0); last < 1000; {
		runtime.Gosched()
		now := client.reads.Load()
		if now-last > 100 {
			t.Fatalf("read %d times in one turn", now-last)
		}
		last = now
	}
}
