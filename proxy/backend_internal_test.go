// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/packets"
)

// A server that stops between the dialing of a broker and the CONNECT does not wait for the broker's answer.
func TestStoppingIsSeenBeforeTheConnect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn, broker := net.Pipe()
		defer func() { _ = errors.Join(conn.Close(), broker.Close()) }()
		go func() { _, _ = io.Copy(io.Discard, broker) }()
		ctx, stop := context.WithCancel(t.Context())
		stop()
		began := time.Now()
		_, err := exchange(ctx, conn, bufio.NewReader(conn), packets.AppendConnect(nil, "c1", ""), packets.V311, began.Add(5*time.Second))
		if !errors.Is(err, context.Canceled) || time.Since(began) > 0 {
			t.Errorf("got %v after %v, want the end at once", err, time.Since(began))
		}
	})
}
