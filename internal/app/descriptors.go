// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"math"
	"runtime"
	"runtime/debug"
	"syscall"
)

// reservedDescriptors are for what is not a connection of a device or to a
// broker: certificate-acl, the admin server, files, and the runtime. Each processor takes one more, for its epoll instance.
const reservedDescriptors = 128

// maxHandshakes returns how many connections may be on their way through the
// handshake; 0 = no limit.
func (a *App) maxHandshakes(descriptors int) int {
	return a.cfg.MaxHandshakes.Number(debug.SetMemoryLimit(-1), descriptors)
}

// connectionDescriptors returns how many descriptors connections may use:
// what the process is allowed without a reserve. Go has raised the soft limit
// to the hard one before main begins.
func connectionDescriptors() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	return withoutReserve(int(min(limit.Cur, math.MaxInt32)), runtime.GOMAXPROCS(0)), nil
}

// withoutReserve returns how many descriptors of a limit connections may use.
func withoutReserve(limit, processors int) int {
	return max(2, limit-reservedDescriptors-processors)
}
