// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"runtime/debug"
	"syscall"
)

// reservedDescriptors are for what is not a connection of a device or to a
// broker: certificate-acl, the admin server, files, and the runtime.
const reservedDescriptors = 128

// maxHandshakes returns how many connections may be on their way through the
// handshake; 0 = no limit.
func (c config) maxHandshakes(descriptors int) int {
	if c.MaxHandshakes != autoHandshakes {
		return int(c.MaxHandshakes)
	}
	return automaticHandshakes(debug.SetMemoryLimit(-1), descriptors)
}

// handshakeMemory is what a connection takes on its way through the handshake,
// in bytes: 13 kB of a silent one, 24 kB of one after its ClientHello, and what
// the kernel needs.
const handshakeMemory = 32 << 10

// automaticHandshakes gives handshakes a quarter of the memory limit, in bytes
// and math.MaxInt64 when there is none, but at most half of the descriptors.
func automaticHandshakes(memory int64, descriptors int) int {
	return int(max(1, min(memory/4/handshakeMemory, int64(descriptors/2))))
}

// connectionDescriptors returns how many descriptors connections may use:
// what the process is allowed without a reserve. Go has raised the soft limit
// to the hard one before main begins.
func connectionDescriptors() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	return max(2, int(min(limit.Cur, math.MaxInt32))-reservedDescriptors), nil
}
