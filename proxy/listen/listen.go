// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package listen listens for clients, with the socket options that sessions need, and shares an address among processes
// where the system divides its connections. It accepts no connections.
package listen

import (
	"context"
	"net"
	"syscall"
	"time"
)

const (
	// How long a peer may be gone before the kernel says so. The broker's own keep-alive ([MQTT-3.1.2-24]) finds
	// most clients sooner; probing devices behind radio links more often would cost them battery and traffic.
	keepAliveIdle     = 5 * time.Minute
	keepAliveInterval = 30 * time.Second
	keepAliveCount    = 4
	// userTimeout ends a client that acknowledges nothing, or takes nothing, of what was written to it for so
	// long (RFC 5482), so that one that stopped reading cannot hold its session for ever. It is as long as an idle one may
	// be gone: with this option Linux counts no probes, but ends a connection at the first unanswered one once nothing has
	// come for so long.
	userTimeout = keepAliveIdle + keepAliveCount*keepAliveInterval
)

// KeepAlive is what accepted connections inherit, for connections that are dialed.
func KeepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: keepAliveIdle, Interval: keepAliveInterval, Count: keepAliveCount}
}

// TCP listens for clients on addr, host:port. The options are set on the listening socket, from which the accepted
// ones inherit them without a system call for each. No other socket can listen on addr meanwhile: the error of an attempt
// wraps syscall.EADDRINUSE.
func TCP(ctx context.Context, addr string) (net.Listener, error) {
	return listen(ctx, addr, setClientOptions)
}

// listen listens on addr with what setOptions sets on the socket before it is bound.
func listen(ctx context.Context, addr string, setOptions func(fd int) error) (net.Listener, error) {
	config := net.ListenConfig{
		KeepAlive: -1, // no option on each accepted socket
		Control: func(_, _ string, c syscall.RawConn) error {
			var err error
			if cerr := c.Control(func(fd uintptr) { err = setOptions(int(fd)) }); cerr != nil {
				return cerr
			}
			return err
		},
	}
	config.SetMultipathTCP(false) // Go's default for listeners; costs more and passes on fewer options
	return config.Listen(ctx, "tcp", addr)
}
