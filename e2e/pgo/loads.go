// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"io"

	"golang.org/x/sync/errgroup"
)

// comers is how many devices come and go at a time.
const comers = 8

// loads are what the profile is of, with about the same weight.
var loads = []struct {
	name string
	run  func(s *fixture, ctx context.Context) error
}{
	{"full handshakes", func(s *fixture, ctx context.Context) error { return s.reconnect(ctx, false) }},
	{"resumed handshakes", func(s *fixture, ctx context.Context) error { return s.reconnect(ctx, true) }},
	{"small messages", func(s *fixture, ctx context.Context) error { return s.exchange(ctx, 100, 64) }},
	{"large messages", func(s *fixture, ctx context.Context) error { return s.exchange(ctx, 4, 64<<10) }},
}

// reconnect has devices come and go, most with TLS 1.3.
func (s *fixture) reconnect(ctx context.Context, resume bool) error {
	tasks, ctx := errgroup.WithContext(ctx)
	for i := range comers {
		tasks.Go(func() error {
			version := uint16(tls.VersionTLS13)
			if i%4 == 3 {
				version = tls.VersionTLS12
			}
			config := s.clientTLS(i, version)
			if resume {
				config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			}
			for ctx.Err() == nil {
				conn, err := s.join(ctx, config)
				if err != nil {
					return err
				}
				conn.Close()
			}
			return nil
		})
	}
	return tasks.Wait()
}

// exchange has n devices begin a session, and in it send a message and wait until it
// has come back, again and again until ctx ends.
func (s *fixture) exchange(ctx context.Context, n, size int) error {
	tasks, ctx := errgroup.WithContext(ctx)
	for i := range n {
		tasks.Go(func() error {
			conn, err := s.join(ctx, s.clientTLS(i, tls.VersionTLS13))
			if err != nil {
				return err
			}
			defer conn.Close()
			for message := publish(size); ctx.Err() == nil; {
				if _, err := conn.Write(message); err != nil {
					return err
				}
				if _, err := io.ReadFull(conn, message); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return tasks.Wait()
}
