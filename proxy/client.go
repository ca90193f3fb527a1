// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net"
	"net/netip"

	"github.com/vernegate/vernegate/proxy/relay"
)

// A clientConn is the accepted connection under the TLS connection. Its addresses are those of the client's own
// connection, also where a proxy stands between: of the socket until a PROXY header has told better.
type clientConn struct {
	relay.Conn
	proxied *addresses     // what a PROXY header has told; nil = nothing
	slot    *handshakeSlot // nil once something was written after the handshake
}

// addresses are those of the two ends of a connection.
type addresses struct{ remote, local net.Addr }

// RemoteAddr is the client's address. It implements net.Conn.
func (c *clientConn) RemoteAddr() net.Addr {
	if c.proxied != nil {
		return c.proxied.remote
	}
	return c.Conn.RemoteAddr()
}

// LocalAddr is the address that the client has connected to. It implements net.Conn.
func (c *clientConn) LocalAddr() net.Addr {
	if c.proxied != nil {
		return c.proxied.local
	}
	return c.Conn.LocalAddr()
}

// ipOf returns the IP address in a, IPv4 as IPv4 even on a socket of IPv6; the zero Addr, which is in no prefix,
// when there is none.
func ipOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}
