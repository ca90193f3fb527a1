// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux || 386 || s390x

package proxy

import "syscall"

// receiveNow reads what a non-blocking socket has. The error is a syscall.Errno: EAGAIN when there is nothing.
func receiveNow(fd int, p []byte) (n int, err error) {
	for {
		if n, err = syscall.Read(fd, p); err != syscall.EINTR {
			return n, err
		}
	}
}

// sendNow writes what a non-blocking socket takes. The error is a syscall.Errno: EAGAIN when that is nothing.
func sendNow(fd int, p []byte) (n int, err error) {
	for {
		if n, err = syscall.Write(fd, p); err != syscall.EINTR {
			return n, err
		}
	}
}
