// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net"
	"sync"
)

// An echo is a broker that lets everybody in and sends back whatever comes behind
// the CONNECT, so that what goes up comes down.
type echo struct {
	net.Listener
	running sync.WaitGroup
}

func startEcho() (*echo, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	e := &echo{Listener: l}
	e.running.Go(e.accept)
	return e, nil
}

func (e *echo) accept() {
	for {
		conn, err := e.Accept()
		if err != nil {
			return // closed
		}
		e.running.Go(func() {
			defer conn.Close()
			_ = serve(conn) // which ends when vernegate does not want more
		})
	}
}

// stop returns when all connections have ended, which is when vernegate has.
func (e *echo) stop() {
	e.Close()
	e.running.Wait()
}

func serve(conn net.Conn) error {
	header := make([]byte, 2) // the CONNECT has fewer than 128 bytes behind it
	if _, err := io.ReadFull(conn, header); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, conn, int64(header[1])); err != nil {
		return err
	}
	if _, err := conn.Write(connack); err != nil {
		return err
	}
	_, err := io.Copy(conn, conn)
	return err
}
