// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/vernegate/vernegate/backend"
	"github.com/vernegate/vernegate/packets"
	"github.com/vernegate/vernegate/proxy"
)

// backendPool returns the brokers. It starts nothing.
func (c config) backendPool(log *slog.Logger) *backend.Pool {
	return backend.New(backend.Config{
		Addrs:   c.Backends,
		Balance: c.Balance,
		Probe:   c.backendProbe(),

		ProbeDecides: c.BackendHealthURL != "",
		Logger:       log,
	})
}

// backendProbe returns how brokers are asked whether they are well.
func (c config) backendProbe() backend.Probe {
	var hello []byte
	if c.BackendProxyProtocol != 0 {
		hello = proxy.LocalHeader()
	}
	dial := backend.DialProbe(hello)
	if c.BackendHealthURL != "" {
		return c.BackendHealthURL.Probe(dial)
	}
	return dial
}

// probeOnce asks the broker at addr whether it is well.
func (c config) probeOnce(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.DialTimeout))
	defer cancel()
	return c.backendProbe()(ctx, addr)
}

// tryBroker is a client of the broker at addr for a moment. It returns the code
// of the CONNACK.
func (c config) tryBroker(ctx context.Context, addr string) (packets.ReturnCode, error) {
	return proxy.TryBroker(ctx, proxy.Config{
		BackendProxyProtocol: byte(c.BackendProxyProtocol),
		DialTimeout:          time.Duration(c.DialTimeout),
		ConnackTimeout:       time.Duration(c.ConnackTimeout),
	}, addr)
}

// leaseFunc lets the proxy use a pool.
func leaseFunc(pool *backend.Pool) func(owner, clientID string) proxy.Lease {
	return func(owner, clientID string) proxy.Lease { return pool.Lease(owner, clientID) }
}
