// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && !portable && !386 && !s390x

package relay

import (
	"crypto/tls"
	"io"
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

// What came with the CONNECT must not be kept for as long as a session is idle, whether or not more came with it.
func TestIdleSessionKeepsNoRecord(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]string{"a CONNECT alone": "", "one with a PINGREQ behind": "\xc0\x00"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newUpward(t, tls.VersionTLS13)
			const first = "CONNECT"
			if _, err := u.client.Raw.Write(u.client.Record(tlstest.Application, []byte(first+more))); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(u.srcTLS, make([]byte, len(first))); err != nil {
				t.Fatal(err)
			}
			shrink(u.srcTLS)
			if r := u.pump(newScratch()); !r.dry || r.Cause != None {
				t.Fatalf("got %+v, want nothing more to read", r)
			}
			passed := make([]byte, len(more))
			if _, err := io.ReadFull(u.broker, passed); err != nil || string(passed) != more {
				t.Errorf("the broker got %q and %v, want %q", passed, err, more)
			}
			if size := inputField.in(u.srcTLS).Size(); size != 0 {
				t.Errorf("crypto/tls still refers to %d bytes that were read", size)
			}
			if size := rawInput(u.srcTLS).Cap(); size != 0 {
				t.Errorf("crypto/tls still has room for %d bytes", size)
			}
		})
	}
}

// crypto/tls remembers a TLS session together with the certificates of the server, and takes it for granted that they are
// there when it resumes the session: a ticket can come when the session is idle.
func TestShrunkBuffersLeaveTheServersCertificates(t *testing.T) {
	t.Parallel()
	clientSide, serverSide := sockets(t)
	server := tls.Server(serverSide, serverConfig())
	client := tls.Client(clientSide, &tls.Config{InsecureSkipVerify: true})
	shaken := make(chan error, 1)
	go func() { shaken <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	shrinkBuffers(client)
	if got := len(client.ConnectionState().PeerCertificates); got == 0 {
		t.Error("the certificates are gone")
	}
}
