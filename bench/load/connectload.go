// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/vernegate/vernegate/bench/wire"
)

// A ConnectLoad connects devices, and records how long each takes from its TCP connection to its CONNACK.
type ConnectLoad struct {
	*timeline
	fleet  *Fleet
	atOnce int
}

// NewConnectLoad makes a ConnectLoad of so many devices of a fleet at a time. If they are to resume their TLS sessions,
// each must have been connected before.
func NewConnectLoad(f *Fleet, atOnce int) *ConnectLoad {
	return &ConnectLoad{timeline: newTimeline(atOnce), fleet: f, atOnce: atOnce}
}

// Reconnect has the devices connect and leave, one after the other. It counts connections.
func (c *ConnectLoad) Reconnect() Load {
	return func(ctx context.Context, done *atomic.Int64) error {
		var next atomic.Int64
		return each(ctx, c.atOnce, func(i int) error {
			return c.reconnect(i, int(next.Add(1))-1, done)
		})
	}
}

// reconnect connects and disconnects the n-th device, as the i-th of those at a time.
func (c *ConnectLoad) reconnect(i, n int, done *atomic.Int64) error {
	began := time.Since(c.began)
	session, err := c.fleet.Connect(n)
	if err != nil {
		return err
	}
	c.add(i, began)
	if resumed := session.ConnectionState().DidResume; resumed != c.fleet.Resume {
		return fmt.Errorf("device %d resumed its TLS session: %t, want %t", n, resumed, c.fleet.Resume)
	}
	_, err = session.Write(wire.DisconnectPacket)
	done.Add(1)
	return errors.Join(err, session.Close())
}
