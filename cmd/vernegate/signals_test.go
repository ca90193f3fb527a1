// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"syscall"
	"testing"
)

func TestSecondSignalKillsHoweverSoonItComes(t *testing.T) {
	// Not parallel: signals are the whole process's.
	for range 200 {
		killed := make(chan syscall.Signal, 1)
		ctx, stop := untilSignal(t.Context(), func(s syscall.Signal) { killed <- s })
		for i, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			if err := syscall.Kill(os.Getpid(), s); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				<-ctx.Done()
			}
		}
		if s := <-killed; s != syscall.SIGINT {
			t.Fatalf("killed by %v, want the second signal", s)
		}
		stop()
	}
}
