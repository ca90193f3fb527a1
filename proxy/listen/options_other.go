// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package listen

import "golang.org/x/sys/unix"

// setClientOptions leaves the details of keep-alive to systems whose options differ from Linux's.
func setClientOptions(fd int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
}
