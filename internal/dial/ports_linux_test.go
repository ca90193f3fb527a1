// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package dial_test

import (
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/vernegate/vernegate/internal/dial"
)

// A local port that is chosen when a socket connects serves connections to many brokers. One that was bound before serves
// this connection alone, and is hard to find once many ports wait for the end of older connections. Linux keeps the two
// apart: of its range, connecting takes every second port from the first one on, and binding the others, as long as there
// are some (inet_hashtables.c, inet_connection_sock.c).
func TestDialLeavesTheLocalPortToTheConnection(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		t.Skip(err)
	}
	var first, last int
	if _, err := fmt.Sscan(string(text), &first, &last); err != nil {
		t.Fatal(err)
	}
	addr := listenAt(t, "tcp", "127.0.0.1:0").Addr().String()
	const dials = 20
	bound := 0
	for range dials {
		conn, err := dial.New(net.KeepAliveConfig{}).Dial(t.Context(), addr)
		if err != nil {
			t.Fatal(err)
		}
		if port := conn.LocalAddr().(*net.TCPAddr).Port; (port-first)%2 != 0 {
			bound++
		}
		_ = conn.Close()
	}
	if bound == dials {
		t.Errorf("all %d local ports are such as are bound", dials)
	}
}
