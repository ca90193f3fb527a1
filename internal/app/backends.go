// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/vernegate/vernegate/internal/backend"
	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/packets"
	"github.com/vernegate/vernegate/proxy"
)

// backendPool returns the brokers. It starts nothing.
func backendPool(cfg config.Config, log *slog.Logger) *backend.Pool {
	return backend.New(backend.Config{
		Addrs:   cfg.Backends,
		Balance: cfg.Balance,
		Probe:   backendProbe(cfg),

		ProbeDecides: cfg.BackendHealthURL != "",
		Logger:       log,
	})
}

// backendProbe returns how brokers are asked whether they are well.
func backendProbe(cfg config.Config) backend.Probe {
	var hello []byte
	if cfg.BackendProxyProtocol != 0 {
		hello = proxy.LocalHeader()
	}
	dial := backend.DialProbe(hello, nil)
	if cfg.BackendHealthURL != "" {
		return cfg.BackendHealthURL.Probe(dial)
	}
	return dial
}

// probeOnce asks the broker at addr whether it is well.
func probeOnce(ctx context.Context, cfg config.Config, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(cfg.DialTimeout))
	defer cancel()
	return backendProbe(cfg)(ctx, addr)
}

// tryBroker is a client of the broker at addr for a moment. It returns the code
// of the CONNACK.
func tryBroker(ctx context.Context, cfg config.Config, addr string) (packets.ReturnCode, error) {
	return proxy.TryBroker(ctx, proxy.Config{
		BackendProxyProtocol: byte(cfg.BackendProxyProtocol),
		DialTimeout:          time.Duration(cfg.DialTimeout),
		ConnackTimeout:       time.Duration(cfg.ConnackTimeout),
	}, addr)
}

// leaseFunc lets the proxy use a pool.
func leaseFunc(pool *backend.Pool) func(owner, clientID string) proxy.Lease {
	return func(owner, clientID string) proxy.Lease { return pool.Lease(owner, clientID) }
}
