// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"bytes"
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/proxy"
)

// crypto/tls does not take a server name with a dot at its end. The log says so.
func TestServerNameWithADotAtItsEndIsExplained(t *testing.T) {
	t.Parallel()
	g := startGate(t, nil)
	raw, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	config := clientConfig(testPKI().device)
	config.ServerName = "localhostX"
	client := tls.Client(&renamer{raw}, config)
	defer func() { _ = client.Close() }()
	if err := client.Handshake(); err == nil {
		t.Fatal("crypto/tls takes such a name now: answer it like the name without the dot")
	}
	line := g.wantEnd(proxy.TLSHandshake)
	if detail, _ := line["err"].(string); !strings.Contains(detail, "a dot at its end") {
		t.Errorf("the log says %q", detail)
	}
}

// A renamer writes another server name of the same length.
type renamer struct{ net.Conn }

func (r *renamer) Write(p []byte) (int, error) {
	return r.Conn.Write(bytes.ReplaceAll(p, []byte("localhostX"), []byte("localhost.")))
}
