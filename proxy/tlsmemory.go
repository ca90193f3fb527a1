// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !portable

package proxy

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"reflect"
	"unsafe"
)

// crypto/tls keeps, for as long as a connection lives, the largest buffer that it ever needed for a record, which is
// up to 18 KB, what it received of the handshake, and the client's certificates, parsed. There is no way to ask for any
// of it back; so this file knows where it is. All of that is half of what an idle session would hold.
//
// Should a version of Go name or type the fields differently, they are left alone, which costs memory and time and
// nothing else; a test tells.
var (
	rawInputField = fieldOf[bytes.Buffer]("rawInput") // records as received
	handField     = fieldOf[bytes.Buffer]("hand")     // handshake messages as received
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

// in returns the field of a connection; nil = not known.
func (f field[T]) in(c *tls.Conn) *T {
	if !f.known {
		return nil
	}
	return (*T)(unsafe.Add(unsafe.Pointer(c), f.offset))
}

// clear sets the field of a connection to its zero value.
func (f field[T]) clear(c *tls.Conn) {
	if p := f.in(c); p != nil {
		*p = *new(T)
	}
}

// rawInput is what crypto/tls has received and not yet decrypted; nil = not known. It is only for who calls Read, and
// between two calls.
func rawInput(c *tls.Conn) *bytes.Buffer { return rawInputField.in(c) }

// shrink makes crypto/tls hold what it needs to read and write, and no more. It is only for who calls Read, between
// two calls, and when nobody asks for the ConnectionState any more.
func shrink(c *tls.Conn) {
	for _, f := range []field[bytes.Buffer]{rawInputField, handField} {
		if b := f.in(c); b != nil {
			fit(b)
		}
	}
	peerField.clear(c)
	chainsField.clear(c)
	exporterField.clear(c)
}
