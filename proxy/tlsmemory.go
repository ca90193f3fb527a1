// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !portable

package proxy

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// crypto/tls keeps, for as long as a connection lives, the largest buffer that it ever needed for a record, which is
// up to 18 KB, and what it received of the handshake. There is no way to ask for it back; so this file knows where
// those buffers are. Both are ordinary bytes.Buffers, and are touched only between two calls of Read, by who calls
// Read, and so that the bytes in them stay the same.
//
// Should a version of Go name or type them differently, they are left alone, which costs memory and nothing else; a
// test tells.
var (
	rawInputField = fieldOf[bytes.Buffer]("rawInput") // records as received
	handField     = fieldOf[bytes.Buffer]("hand")     // handshake messages as received
)

// A field is a place in a tls.Conn.
type field struct {
	offset uintptr
	known  bool
}

// fieldOf finds the field with a name, if it has the type T.
func fieldOf[T any](name string) field {
	f, found := reflect.TypeFor[tls.Conn]().FieldByName(name)
	return field{f.Offset, found && f.Type == reflect.TypeFor[T]()}
}

func (f field) buffer(of *tls.Conn) *bytes.Buffer {
	if !f.known {
		return nil
	}
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(of), f.offset))
}

// rawInput is what crypto/tls has received and not yet decrypted; nil = not known.
func rawInput(c *tls.Conn) *bytes.Buffer { return rawInputField.buffer(c) }

// shrink makes crypto/tls hold what it needs between two calls of Read, and no more.
func shrink(c *tls.Conn) {
	for _, f := range []field{rawInputField, handField} {
		if b := f.buffer(c); b != nil {
			fit(b)
		}
	}
}
