// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package listen listens for clients, with the socket options that sessions need, and shares an address among processes
// where the system divides its connections. It accepts no connections.
package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// How long a peer may be gone before the kernel says so. The broker's own keep-alive ([MQTT-3.1.2-24]) finds
	// most clients sooner; probing devices behind radio links more often would cost them battery and traffic.
	keepAliveIdle     = 5 * time.Minute
	keepAliveInterval = 30 * time.Second
	keepAliveCount    = 4
	// userTimeout ends a client that acknowledges nothing, or takes nothing, of what was written to it for so
	// long (RFC 5482), so that one that stopped reading cannot hold its session for ever.
	userTimeout = time.Minute
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

// CanShare reports whether this system divides the connections to an address among the listeners that share it. Others
// let several listen, too, but give all connections to one of them.
const CanShare = sharePort != 0

// SharedTCP is TCP on an address that other sockets may listen on, in this process or in other ones, as long as
// each of them comes from SharedTCP and its process has the same effective user id. The kernel chooses the listener of a
// connection by a hash of its addresses and ports, whether or not that one accepts; what waits for a listener that is
// closed is reset, unless net.ipv4.tcp_migrate_req is set on Linux. So a process that shares an address by mistake
// takes a part of the connections without an error anywhere.
//
// Where CanShare is false, the error wraps errors.ErrUnsupported.
func SharedTCP(ctx context.Context, addr string) (net.Listener, error) {
	if !CanShare {
		return nil, fmt.Errorf("sharing %s on %s: %w", addr, runtime.GOOS, errors.ErrUnsupported)
	}
	return listen(ctx, addr, func(fd int) error {
		return errors.Join(setClientOptions(fd), unix.SetsockoptInt(fd, unix.SOL_SOCKET, sharePort, 1))
	})
}
