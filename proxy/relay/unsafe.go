// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && !portable && !386 && !s390x

package relay

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"reflect"
	"syscall"
	"unsafe"
)

// This file is all that vernegate does with package unsafe. It hands bytes over and gives memory back; nothing here decides
// whom to trust. The portable build does without it.
//
// Fields of tls.Conn: crypto/tls keeps, for as long as a connection lives, the largest buffer that it ever needed for a
// record, which is up to 18 KB, what it received of the handshake, and the client's certificates, parsed. There is no way to
// ask for any of it back. That is half of what an idle session would hold. Every access is for the goroutine that calls
// Read, between two calls of it. A field that a version of Go names or types differently is not known: then crypto/tls reads
// by itself and keeps what it keeps, and a test says so.
var (
	rawInputField = fieldOf[bytes.Buffer]("rawInput") // records as received, not yet decrypted
	inputField    = fieldOf[bytes.Reader]("input")    // what is left of the last record, decrypted; keeps its memory when that is nothing
	handField     = fieldOf[bytes.Buffer]("hand")     // handshake messages as received

	// Read by ConnectionState alone, once the handshake is over.
	peerField     = fieldOf[[]*x509.Certificate]("peerCertificates")
	chainsField   = fieldOf[[][]*x509.Certificate]("verifiedChains")
	exporterField = fieldOf[func(string, []byte, int) ([]byte, error)]("ekm")
)

// A field is a place in a tls.Conn that holds a T.
type field[T any] struct {
	offset uintptr
	known  bool
}

// fieldOf finds the field with a name, if it has the type T.
func fieldOf[T any](name string) field[T] {
	f, found := reflect.TypeFor[tls.Conn]().FieldByName(name)
	return field[T]{f.Offset, found && f.Type == reflect.TypeFor[T]()}
}

// in returns the field of a connection. It must be known.
func (f field[T]) in(c *tls.Conn) *T { return (*T)(unsafe.Add(unsafe.Pointer(c), f.offset)) }

// clear sets the field of a connection to its zero value, if it is known.
func (f field[T]) clear(c *tls.Conn) {
	if f.known {
		*f.in(c) = *new(T)
	}
}

// feedsRecords reports whether crypto/tls can be given records.
var feedsRecords = rawInputField.known && inputField.known && handField.known

// rawInput is what c has received and not yet decrypted; only if feedsRecords.
func rawInput(c *tls.Conn) *bytes.Buffer { return rawInputField.in(c) }

// decrypted returns how many bytes c has decrypted that have not been read; only if feedsRecords.
func decrypted(c *tls.Conn) int { return inputField.in(c).Len() }

// setRawInput makes b all that c has received and not yet decrypted; only if feedsRecords and nothing is decrypted. c may
// write to b, up to its capacity, until it is called again.
func setRawInput(c *tls.Conn, b []byte) {
	*rawInputField.in(c) = *bytes.NewBuffer(b)
	inputField.clear(c)
}

// unfinishedHandshake returns how many bytes c holds of a handshake message that is not complete.
func unfinishedHandshake(c *tls.Conn) int { return handField.in(c).Len() }

// shrink makes c, the server of a connection, hold what it needs to read and write, and no more. From then on
// ConnectionState knows no certificates.
//
// It is not for the client of a connection: a session ticket can still come, and crypto/tls remembers it together with the
// server's certificates, which it expects to find when it resumes the session.
func shrink(c *tls.Conn) {
	shrinkBuffers(c)
	peerField.clear(c)
	chainsField.clear(c)
	exporterField.clear(c)
}

// shrinkBuffers makes c keep no memory for what it has received and decrypted, beyond what that takes now.
func shrinkBuffers(c *tls.Conn) {
	for _, f := range []field[bytes.Buffer]{rawInputField, handField} {
		if f.known {
			b := f.in(c)
			*b = *bytes.NewBuffer(bytes.Clone(b.Bytes()))
		}
	}
	if inputField.known && decrypted(c) == 0 {
		inputField.clear(c)
	}
}

// System calls that do not wait are made without telling Go's scheduler. To tell it would be right for a call that may take
// long. For one that does not, on a process that was idle, it wakes the runtime's monitor thread: two switches of threads and
// four system calls for a message that itself takes three. The memory passed is the caller's for as long as the call takes,
// which is all that the kernel needs it for.

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

// epollNow takes what an epoll instance has to announce, without waiting. The error is a syscall.Errno.
func epollNow(fd int, events []syscall.EpollEvent) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
