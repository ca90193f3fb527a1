// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"net"
	"syscall"
	"time"
)

// How long a client may be gone before the kernel says so. The broker's own keep-alive ([MQTT-3.1.2-24]) finds
// most of them sooner; probing devices behind radio links more often would cost them battery and traffic.
const (
	keepAliveIdle     = 5 * time.Minute
	keepAliveInterval = 30 * time.Second
	keepAliveCount    = 4
	// userTimeout ends a client that acknowledges nothing, or takes nothing, of what was written to it for so
	// long (RFC 5482), so that one that stopped reading cannot hold its session for ever.
	userTimeout = time.Minute
)

// Listen listens for clients on addr, host:port, with the socket options that sessions need. They are set on
// the listening socket, from which the accepted ones inherit them without a system call for each. While it
// listens nobody else can, and the error of who tries wraps syscall.EADDRINUSE.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
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
