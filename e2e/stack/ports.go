// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports for programs that must be told one lie below the ranges that kernels hand
// out to outgoing connections, so that none of those takes a port between the
// moment it was found free and the moment the program listens on it.
const (
	firstPort = 15000
	lastPort  = 32000
)

// FreeAddr returns a loopback address that nothing listens on at the moment.
// Another program may take it before it is used: who can try again, does.
func FreeAddr() (string, error) {
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if l, err := net.Listen("tcp", addr); err == nil {
			return addr, l.Close()
		}
	}
	return "", errors.New("looking for a free port: none in a hundred tries")
}
