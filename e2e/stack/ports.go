// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports for programs that must be told one lie below the ranges that kernels hand
// out to outgoing connections, so that none of those takes a port between the
// moment it was found free and the moment the program listens on it.
const (
	firstPort = 15000
	lastPort  = 32000
)

// handedOut has the ports that were given away or probed, so that no two callers in this process get the same one,
// whenever they begin to listen, and none finds it taken by the probe of another.
var handedOut sync.Map // of port numbers

// FreeAddr returns a loopback address that nothing listens on at the moment, and each one once. A program outside of this
// process may take it before it is used: callers that can try again, do. It may be called concurrently.
func FreeAddr() (string, error) {
	l, err := listenFree()
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// listenFree listens on an address that FreeAddr could return.
func listenFree() (net.Listener, error) {
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if _, taken := handedOut.LoadOrStore(port, true); taken {
			continue
		}
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return l, nil
		}
	}
	return nil, errors.New("looking for a free port: none in a hundred tries")
}
