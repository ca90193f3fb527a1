// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
)

// containersProcess is the id of the process that a container was started for.
const containersProcess = 1

// drain has the vernegate with this process id do what it does at SIGTERM, does
// not wait for it, and returns the exit code. It is for a preStop hook in an
// image that has nothing else to send a signal with: Kubernetes sends SIGTERM
// to a native sidecar when the broker beside it is gone, which is too late. To
// repeat it changes nothing.
func drain(pid int, stderr io.Writer) int {
	if err := sendDrain(pid); err != nil {
		fmt.Fprintf(stderr, "vernegate: draining: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// sendDrain sends drainSignal to a process of this very program and to no other:
// outside of a container, process 1 is the whole system.
func sendDrain(pid int) error {
	ours, err := os.Stat("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("looking for /proc, which Linux has: %w", err)
	}
	theirs, err := os.Stat("/proc/" + strconv.Itoa(pid) + "/exe")
	if err != nil {
		return fmt.Errorf("looking at process %d: %w", pid, err)
	}
	if !os.SameFile(ours, theirs) {
		return fmt.Errorf("process %d is not vernegate", pid)
	}
	return syscall.Kill(pid, drainSignal)
}
