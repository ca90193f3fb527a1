// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/vernegate/vernegate/internal/backend"
	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/packets"
	"github.com/vernegate/vernegate/proxy"
)

// brokers are how the brokers are chosen and spoken to.
type brokers struct {
	cfg   config.Config
	pool  *backend.Pool
	tls   func(addr string) *tls.Config // nil = plain TCP
	probe backend.Probe
}

// newBrokers returns the brokers. It starts nothing.
func newBrokers(cfg config.Config, files clientFiles, log *slog.Logger) *brokers {
	b := &brokers{cfg: cfg}
	b.tls = files.brokerTLS(cfg, func(addr string) string { return b.pool.Host(addr) })
	b.probe = backendProbe(cfg, b.tls)
	b.pool = backend.New(backend.Config{
		Addrs:   cfg.Backends,
		Balance: cfg.Balance,
		Probe:   b.probe,
		Confirm: func(ctx context.Context, addr string, hold time.Duration) error {
			_, err := b.try(ctx, addr, hold)
			return err
		},
		ConfirmTimeout: time.Duration(cfg.ConnackTimeout),

		ProbeDecides: cfg.BackendHealthURL != "",
		Logger:       log,
	})
	return b
}

// backendProbe returns how brokers are asked whether they are well.
func backendProbe(cfg config.Config, tlsOf func(addr string) *tls.Config) backend.Probe {
	var hello []byte
	if cfg.BackendProxyProtocol != 0 {
		hello = proxy.LocalHeader()
	}
	dial := backend.DialProbe(hello, tlsOf)
	if cfg.BackendHealthURL != "" {
		return cfg.BackendHealthURL.Probe(dial, tlsOf)
	}
	return dial
}

// probeOnce asks the broker at addr whether it is well.
func (b *brokers) probeOnce(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(b.cfg.DialTimeout))
	defer cancel()
	return b.probe(ctx, addr)
}

// try is a client of the broker at addr, for a moment or until its session has lasted
// for hold. It returns the code of the CONNACK.
func (b *brokers) try(ctx context.Context, addr string, hold time.Duration) (packets.ReturnCode, error) {
	return proxy.TryBroker(ctx, proxy.Config{
		BackendProxyProtocol: byte(b.cfg.BackendProxyProtocol),
		BackendTLS:           b.tls,
		DialTimeout:          time.Duration(b.cfg.DialTimeout),
		ConnackTimeout:       time.Duration(b.cfg.ConnackTimeout),
	}, addr, hold)
}

// lease lets the proxy use the pool.
func (b *brokers) lease(owner, clientID string) proxy.Lease { return b.pool.Lease(owner, clientID) }
