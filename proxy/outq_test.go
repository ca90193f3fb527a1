// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import "golang.org/x/sys/unix"

// outq is the number of bytes in a socket's send queue.
func outq(fd int) (int, error) { return unix.IoctlGetInt(fd, unix.TIOCOUTQ) }
