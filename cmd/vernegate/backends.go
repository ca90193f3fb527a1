// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"

	"github.com/vernegate/vernegate/backend"
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

// leaseFunc lets the proxy use a pool.
func leaseFunc(pool *backend.Pool) func(owner, clientID string) proxy.Lease {
	return func(owner, clientID string) proxy.Lease { return pool.Lease(owner, clientID) }
}
