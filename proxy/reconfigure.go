// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !portable

package proxy

import (
	"crypto/tls"
	"reflect"
	"unsafe"
)

var configField, configKnown = func() (uintptr, bool) {
	f, found := reflect.TypeFor[tls.Conn]().FieldByName("config")
	return f.Offset, found && f.Type == reflect.TypeFor[*tls.Config]()
}()

// reconfigure has a handshake go on with another configuration, and returns the one that it had; nil = it goes on as it
// did. Call it only from the goroutine that runs the handshake.
func reconfigure(c *tls.Conn, config *tls.Config) (before *tls.Config) {
	if configKnown {
		p := (**tls.Config)(unsafe.Add(unsafe.Pointer(c), configField))
		before, *p = *p, config
	}
	return before
}
