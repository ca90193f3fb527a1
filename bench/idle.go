// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"time"

	"github.com/vernegate/vernegate/bench/peer"
)

// idleFigures are those of sessions that are there and silent.
var idleFigures = []figure{
	{"idle session, memory", "kB", kilo},
	{"… after it has echoed 16 KiB", "kB", kilo},
	{"memory kept 60 s after all have ended", "MB", mega},
}

// idle measures what silent sessions hold, of one proxy after the other; how much of it is given back is read when all
// others have been measured, too. The values are by proxy and figure.
func (s *testbed) idle(ctx context.Context, kinds []*peer.Kind, e *effort) (values [][]float64, err error) {
	values = make([][]float64, len(kinds))
	trials := make([]*trial, len(kinds))
	ends := make([]time.Time, len(kinds))
	for i, k := range kinds {
		if trials[i], err = s.startTrial(ctx, k, s.ecdsa, e, nil); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, trials[i].end()) }()
		if values[i], err = trials[i].hold(ctx); err != nil {
			return nil, err
		}
		ends[i] = time.Now()
	}
	for i, t := range trials {
		kept, err := t.memoryAfter(ctx, time.Until(ends[i].Add(e.forget)))
		if err != nil {
			return nil, err
		}
		values[i] = append(values[i], kept)
	}
	return values, nil
}

// hold returns the bytes of a session, before and after it has said something large.
func (t *trial) hold(ctx context.Context) ([]float64, error) {
	n := t.effort.idle
	before, err := t.memoryAfter(ctx, t.effort.settle)
	if err != nil {
		return nil, err
	}
	sessions, err := t.fleet(n).Open(0, n)
	if err != nil {
		return nil, err
	}
	defer sessions.Close()
	silent, err := t.memoryAfter(ctx, t.effort.settle)
	if err != nil {
		return nil, err
	}
	if err := sessions.Prime(primeSize); err != nil {
		return nil, err
	}
	primed, err := t.memoryAfter(ctx, t.effort.settle)
	return []float64{(silent - before) / float64(n), (primed - before) / float64(n)}, err
}

// memoryAfter waits and then returns the bytes that the proxy holds.
func (t *trial) memoryAfter(ctx context.Context, d time.Duration) (float64, error) {
	if err := wait(ctx, d, nil); err != nil {
		return 0, err
	}
	m, err := t.proxy.Memory()
	return float64(m), err
}
