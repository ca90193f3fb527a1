// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && !portable && !386 && !s390x

package relay

import (
	"crypto/tls"
	"testing"

	"github.com/vernegate/vernegate/internal/tlstest"
)

// With another version of Go than this was written for, sessions may take more memory and time than they have to.
func TestMemoryOfCryptoTLSIsKnown(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]bool{
		"rawInput":         rawInputField.known,
		"input":            inputField.known,
		"hand":             handField.known,
		"peerCertificates": peerField.known,
		"verifiedChains":   chainsField.known,
		"ekm":              exporterField.known,
	} {
		if !known {
			t.Errorf("crypto/tls.Conn has no field %s of the expected type", name)
		}
	}
}

// What a session has received before it is idle must not be kept for as long as it is idle.
func TestShrinkLetsGoOfTheLastRecord(t *testing.T) {
	t.Parallel()
	u := newUpward(t, tls.VersionTLS13)
	if _, err := u.client.Raw.Write(u.client.Record(tlstest.Application, []byte("hello"))); err != nil {
		t.Fatal(err)
	}
	server := u.srcTLS
	if _, err := server.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	shrink(server)
	if size := inputField.in(server).Size(); size != 0 {
		t.Errorf("crypto/tls still refers to %d bytes that were read", size)
	}
	if size := rawInput(server).Cap(); size != 0 {
		t.Errorf("crypto/tls still has room for %d bytes", size)
	}
}
