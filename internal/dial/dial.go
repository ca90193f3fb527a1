// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package dial connects to brokers. An address is host:port, or "unix:" and the path of a Unix socket.
package dial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Unix is what the address of a Unix socket begins with.
const Unix = "unix:"

// IsUnix reports whether an address is that of a Unix socket.
func IsUnix(addr string) bool { return strings.HasPrefix(addr, Unix) }

// maxUnixPath is how long the path of a Unix socket may be on all systems, in bytes (unix(7): 108 with a zero at the end;
// 104 on others).
const maxUnixPath = 103

// CheckUnix says why the address of a Unix socket is none; nil = it is one.
func CheckUnix(addr string) error {
	path := strings.TrimPrefix(addr, Unix)
	switch {
	case !filepath.IsAbs(path):
		return errors.New("the path of a Unix socket begins with a slash, as in unix:/run/vernemq/mqtt.sock")
	case len(path) > maxUnixPath:
		return errors.New("the path of a Unix socket has more than 103 bytes")
	}
	return nil
}

// IsHere reports whether an address is on this host whatever its name servers say.
func IsHere(addr string) bool {
	if IsUnix(addr) {
		return true
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// A Dialer connects to brokers. Its methods may be called concurrently.
type Dialer struct {
	remote net.Dialer // for brokers on other hosts: finds out when one is gone
	here   net.Dialer // for those on this host, where the kernel knows
}

// New makes a Dialer that finds out by keepAlive when the host of a broker is gone.
func New(keepAlive net.KeepAliveConfig) *Dialer {
	return &Dialer{
		remote: net.Dialer{KeepAliveConfig: keepAlive},
		here:   net.Dialer{KeepAlive: -1},
	}
}

// Dial connects to the broker at an address, before ctx is done. The connection is the caller's to close.
func (d *Dialer) Dial(ctx context.Context, addr string) (net.Conn, error) {
	if path, ok := strings.CutPrefix(addr, Unix); ok {
		return d.unix(ctx, path)
	}
	dialer := &d.remote
	if IsHere(addr) {
		dialer = &d.here
	}
	// Not DialTCP, which would save the detour by the resolver: it binds a local port first, which connections to different
	// brokers cannot share then. Once many ports wait for the end of older connections, to find one takes milliseconds.
	return dialer.DialContext(ctx, "tcp", addr)
}

// busyPause is between two attempts at a Unix socket that is busy: at first, and at most.
const (
	busyPause    = time.Millisecond
	maxBusyPause = 50 * time.Millisecond
)

// unix connects to a Unix socket. When more devices come at a time than its listener has room for, a connection does not
// wait in the kernel, as with TCP, but fails with EAGAIN (connect(2)).
func (d *Dialer) unix(ctx context.Context, path string) (net.Conn, error) {
	to := &net.UnixAddr{Name: path, Net: "unix"}
	for pause := busyPause; ; pause = min(2*pause, maxBusyPause) {
		conn, err := d.here.DialUnix(ctx, "unix", nil, to)
		if err == nil {
			return conn, nil
		}
		if !errors.Is(err, syscall.EAGAIN) {
			return nil, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, err
		}
	}
}
