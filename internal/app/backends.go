// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"log/slog"

	"github.com/vernegate/vernegate/internal/backend"
	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/proxy"
)

// backendPool returns the brokers. It starts nothing.
func backendPool(cfg config.Config, log *slog.Logger) *backend.Pool {
	return backend.New(backend.Config{
		Addrs:   cfg.Backends,
		Balance: cfg.Balance,
		Probe:   backendProbe(cfg),
		Logger:  log,
	})
}

// backendProbe returns how brokers are asked whether they are well.
func backendProbe(cfg config.Config) backend.Probe {
	var hello []byte
	if cfg.BackendProxyProtocol != 0 {
		hello = proxy.LocalHeader()
	}
	dial := backend.DialProbe(hello)
	if cfg.BackendHealthURL != "" {
		return cfg.BackendHealthURL.Probe(dial)
	}
	return dial
}

// placeFunc lets the proxy use a pool.
func placeFunc(pool *backend.Pool) func(clientID string) proxy.Place {
	return func(clientID string) proxy.Place { return pool.Place(clientID) }
}
