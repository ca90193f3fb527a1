// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux || portable || 386 || s390x

package relay

import (
	"bytes"
	"crypto/tls"
	"syscall"
)

// In the portable build crypto/tls reads records by itself and keeps its memory.
const feedsRecords = false

func rawInput(*tls.Conn) *bytes.Buffer  { return nil }
func decrypted(*tls.Conn) int           { return 0 }
func setRawInput(*tls.Conn, []byte)     {}
func unfinishedHandshake(*tls.Conn) int { return 0 }
func shrink(*tls.Conn)                  {}
func shrinkBuffers(*tls.Conn)           {}

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
