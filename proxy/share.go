// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"

	"golang.org/x/sys/unix"
)

// CanShare tells whether this system divides the connections to an address among those who share it. Others
// let several listen, too, but give all connections to one of them.
const CanShare = sharePort != 0

// ListenShared is Listen on an address that others may listen on, in this process or in other ones, as long as
// each of them calls ListenShared and has the same effective user id. The kernel chooses who gets a connection
// by a hash of its addresses and ports, whether or not that one accepts; what waits for a listener that is
// closed is reset, unless net.ipv4.tcp_migrate_req is set on Linux. So whoever shares an address by mistake
// takes a part of the connections without an error anywhere.
//
// Where CanShare is false, the error wraps errors.ErrUnsupported.
func ListenShared(ctx context.Context, addr string) (net.Listener, error) {
	if !CanShare {
		return nil, fmt.Errorf("sharing %s on %s: %w", addr, runtime.GOOS, errors.ErrUnsupported)
	}
	return listen(ctx, addr, func(fd int) error {
		return errors.Join(setClientOptions(fd), unix.SetsockoptInt(fd, unix.SOL_SOCKET, sharePort, 1))
	})
}
