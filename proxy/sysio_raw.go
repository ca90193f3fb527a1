// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && !386 && !s390x

package proxy

import (
	"syscall"
	"unsafe"
)

// System calls that do not wait are made without telling Go's scheduler. To tell it would be right for a call that may
// take long. For one that does not, on a process that was idle, it wakes the runtime's monitor thread: two switches of
// threads and four system calls for a message that itself takes three.

// receiveNow reads what a socket has, without waiting. The error is a syscall.Errno: EAGAIN when there is nothing.
func receiveNow(fd int, p []byte) (int, error) {
	return transfer(syscall.SYS_RECVFROM, fd, p, syscall.MSG_DONTWAIT)
}

// sendNow writes what a socket takes, without waiting. The error is a syscall.Errno: EAGAIN when that is nothing.
func sendNow(fd int, p []byte) (int, error) {
	return transfer(syscall.SYS_SENDTO, fd, p, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
}

func transfer(call uintptr, fd int, p []byte, flags uintptr) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
