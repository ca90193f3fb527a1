// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/vernegate/vernegate/proxy"
)

// P-256 is what costs least, where the version of TLS leaves the choice to the server.
func TestCurveIsTheOneThatCostsLeast(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		version         uint16
		client, allowed []tls.CurveID // nil = Go's
		want            tls.CurveID
	}{
		"TLS 1.2":                           {tls.VersionTLS12, nil, nil, tls.CurveP256},
		"TLS 1.2 of a client without P-256": {tls.VersionTLS12, []tls.CurveID{tls.X25519, tls.CurveP384}, nil, tls.X25519},
		"TLS 1.2 where X25519 is demanded":  {tls.VersionTLS12, nil, []tls.CurveID{tls.X25519}, tls.X25519},
		"TLS 1.2 where P-256 is forbidden":  {tls.VersionTLS12, nil, []tls.CurveID{tls.X25519, tls.CurveP384}, tls.X25519},
		"TLS 1.2 where both are allowed":    {tls.VersionTLS12, nil, []tls.CurveID{tls.X25519, tls.CurveP256}, tls.CurveP256},
		"TLS 1.3":                           {tls.VersionTLS13, []tls.CurveID{tls.X25519, tls.CurveP256}, nil, tls.X25519},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startGate(t, func(c *proxy.Config) { c.TLS.CurvePreferences = test.allowed })
			config := clientConfig(testPKI().device)
			config.MinVersion, config.MaxVersion, config.CurvePreferences = test.version, test.version, test.client
			c, err := tls.Dial("tcp", g.addr, config)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if got := c.ConnectionState().CurveID; got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// A ClientHello of a version that does not exist is refused, and nothing else happens.
func TestClientHelloOfNoVersion(t *testing.T) {
	t.Parallel()
	g := startGate(t, nil)
	hello := []byte{
		22, 3, 1, 0, 45, // a record of the handshake
		1, 0, 0, 41, // ClientHello
		0, 0, // its version
	}
	hello = append(hello, make([]byte, 32)...) // random
	hello = append(hello,
		0,                // no session
		0, 2, 0xC0, 0x2B, // one cipher suite
		1, 0, // no compression
	)
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	write(t, c, hello)
	g.wantEnd(proxy.TLSHandshake)
	_ = c.Close()
}
