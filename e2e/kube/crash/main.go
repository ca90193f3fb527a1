// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Command crash ends the first process of its PID namespace without letting it drain. It
// is for a debugging container beside a vernegate, whose image has nothing to kill with.
//
// A first process gets only signals that it has a handler for. The Go runtime has one for
// SIGQUIT, and ends the program there and then.
package main

import (
	"fmt"
	"os"
	"syscall"
)

func main() {
	if err := syscall.Kill(1, syscall.SIGQUIT); err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}
