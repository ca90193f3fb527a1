// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// CanShare reports whether this system divides the connections to an address among the listeners that share it. Others
// let several listen, too, but give all connections to one of them.
const CanShare = sharePort != 0

// Shared is a listener at an address that other sockets may listen on, see SharedTCP. The kernel chooses the listener of a
// connection by a hash of its addresses and ports, whether or not that one accepts. So a process that has no room has to
// stop listening: see Pause.
//
// Methods may be called concurrently.
type Shared struct {
	addr net.Addr

	mu      sync.Mutex
	changed sync.Cond    // with mu; signals !paused, or closed
	socket  net.Listener // nil = none, as it is or was paused
	paused  bool
	closed  bool
}

// SharedTCP is TCP on an address that other sockets may listen on, in this process or in other ones, as long as
// each of them comes from SharedTCP and its process has the same effective user id. A process that shares an address by
// mistake takes a part of the connections without an error anywhere.
//
// Where CanShare is false, the error wraps errors.ErrUnsupported.
func SharedTCP(ctx context.Context, addr string) (*Shared, error) {
	if !CanShare {
		return nil, fmt.Errorf("sharing %s on %s: %w", addr, runtime.GOOS, errors.ErrUnsupported)
	}
	socket, err := listenShared(ctx, addr)
	if err != nil {
		return nil, err
	}
	l := &Shared{addr: socket.Addr(), socket: socket}
	l.changed.L = &l.mu
	return l, nil
}

func listenShared(ctx context.Context, addr string) (net.Listener, error) {
	return listen(ctx, addr, func(fd int) error {
		return errors.Join(setClientOptions(fd), unix.SetsockoptInt(fd, unix.SOL_SOCKET, sharePort, 1))
	})
}

// Pause closes the socket, so that the kernel gives connections to the others who share the address, or refuses them
// where there are none. Those that have not been accepted are reset, unless net.ipv4.tcp_migrate_req is set on Linux: their
// clients learn at once that they have to try again. Accept waits until Resume or Close.
func (l *Shared) Pause() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = true
	l.closeSocket()
}

// Resume lets Accept listen again.
func (l *Shared) Resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = false
	l.changed.Broadcast()
}

// Accept waits for the next connection. When listening again after Pause fails, it returns that error, and the next call
// tries again. After Close, the error is net.ErrClosed.
func (l *Shared) Accept() (net.Conn, error) {
	for {
		socket, err := l.open()
		if err != nil {
			return nil, err
		}
		conn, err := socket.Accept()
		if !errors.Is(err, net.ErrClosed) {
			return conn, err
		}
		// closed or paused: open tells which
	}
}

// open returns the socket, as soon as there may be one.
func (l *Shared) open() (net.Listener, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.paused && !l.closed {
		l.changed.Wait()
	}
	if l.closed {
		return nil, net.ErrClosed
	}
	if l.socket == nil {
		socket, err := listenShared(context.Background(), l.addr.String())
		if err != nil {
			return nil, err
		}
		l.socket = socket
	}
	return l.socket, nil
}

// Addr returns the address, also while nothing listens there.
func (l *Shared) Addr() net.Addr { return l.addr }

// Close ends every Accept.
func (l *Shared) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.changed.Broadcast()
	return l.closeSocket()
}

// closeSocket closes the socket if there is one. mu must be held.
func (l *Shared) closeSocket() error {
	if l.socket == nil {
		return nil
	}
	err := l.socket.Close()
	l.socket = nil
	return err
}
