// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"

	"github.com/vernegate/vernegate/bench/broker"
)

// socketColumns are what is measured with a broker at a loopback port and at a Unix socket.
var socketColumns = []struct {
	name    string
	factor  float64
	measure func(context.Context, *trial) ([]float64, error)
}{
	{"TLS 1.3 full, µs", micro, connects(tls.VersionTLS13, false)},
	{"resumed, µs", micro, connects(tls.VersionTLS13, true)},
	{"1000 × 10 messages/s, µs", micro, echo},
	{"one message in flight, µs", micro, pingPong},
	{"bulk to the broker, s/GB", giga, bulkUp},
	{"bulk to clients, s/GB", giga, bulkDown},
}

// A way is one to a broker on the same host.
type way struct {
	name  string
	start func() (*broker.Broker, error)
	found [][]float64 // by column and round
}

// socket compares the ways to a broker on the same host, in turns. The figures are medians.
func (s *scaling) socket(ctx context.Context) (grid, error) {
	g := grid{head: []string{"broker at"}}
	for _, c := range socketColumns {
		g.head = append(g.head, c.name)
	}
	if err := s.makeTestbed(); err != nil {
		return g, err
	}
	dir, err := os.MkdirTemp("", "bench") // the path of a socket has to be short
	if err != nil {
		return g, err
	}
	defer os.RemoveAll(dir)
	ways := []*way{
		{name: "127.0.0.1", start: broker.Start},
		{name: "a Unix socket", start: func() (*broker.Broker, error) {
			return broker.StartAtSocket(filepath.Join(dir, "mqtt.sock"))
		}},
	}
	for range s.effort.rounds {
		for _, w := range ways {
			if err := s.measureWay(ctx, w); err != nil {
				return g, err
			}
		}
	}
	for _, w := range ways {
		row := []string{w.name}
		for _, values := range w.found {
			middle, _ := median(values)
			row = append(row, number(middle))
		}
		g.add(row...)
	}
	return g, nil
}

// measureWay adds a round.
func (s *scaling) measureWay(ctx context.Context, w *way) (err error) {
	b, err := w.start()
	if err != nil {
		return err
	}
	t, err := s.testbed.startTrialFor(ctx, b, "", s.kind, s.testbed.ecdsa, &s.effort, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.end()) }()
	if w.found == nil {
		w.found = make([][]float64, len(socketColumns))
	}
	for i, c := range socketColumns {
		values, err := c.measure(ctx, t)
		if err != nil {
			return err
		}
		w.found[i] = append(w.found[i], values[0]*c.factor)
	}
	return nil
}
