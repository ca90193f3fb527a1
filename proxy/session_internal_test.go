// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"reflect"
	"testing"
)

// Go's allocator has sizes for objects: the next one takes 128 bytes more for each session, and 32 for each certificate.
func TestSessionsFitTheSizesOfTheAllocator(t *testing.T) {
	t.Parallel()
	const header = 8 // in front of an object of more than 512 bytes that has pointers
	if size, fits := reflect.TypeFor[session]().Size(), uintptr(768-header); size > fits {
		t.Errorf("a session has %d bytes, %d fit", size, fits)
	}
	if size, fits := reflect.TypeFor[clientCert]().Size(), uintptr(320); size > fits {
		t.Errorf("a client certificate has %d bytes, %d fit", size, fits)
	}
}
