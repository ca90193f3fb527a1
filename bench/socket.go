// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"slices"

	"github.com/vernegate/vernegate/bench/broker"
)

// relaying is what a proxy does for sessions that are open.
var relaying = []column{
	{"1000 × 10 messages/s, µs", micro, echo},
	{"one message in flight, µs", micro, pingPong},
	{"bulk to the broker, s/GB", giga, bulkUp},
	{"bulk to clients, s/GB", giga, bulkDown},
}

// socket compares a broker at a loopback port with one at a Unix socket.
func (s *scaling) socket(ctx context.Context) (grid, error) {
	if err := s.makeTestbed(); err != nil {
		return grid{}, err
	}
	dir, err := os.MkdirTemp("", "bench") // the path of a socket has to be short
	if err != nil {
		return grid{}, err
	}
	defer os.RemoveAll(dir)
	at := func(name string, start func() (*broker.Broker, error)) *contender {
		return &contender{name: name, start: func(ctx context.Context) (*trial, error) {
			b, err := start()
			if err != nil {
				return nil, err
			}
			return s.testbed.startTrialFor(ctx, b, "", s.kind, s.testbed.ecdsa, &s.effort, nil)
		}}
	}
	columns := slices.Concat([]column{
		{"TLS 1.3 full, µs", micro, connects(tls.VersionTLS13, false)},
		{"resumed, µs", micro, connects(tls.VersionTLS13, true)},
	}, relaying)
	return s.inTurns(ctx, "broker at", columns, []*contender{
		at("127.0.0.1", broker.Start),
		at("a Unix socket", func() (*broker.Broker, error) { return broker.StartAtSocket(filepath.Join(dir, "mqtt.sock")) }),
	})
}
