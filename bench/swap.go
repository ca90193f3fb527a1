// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/vernegate/vernegate/bench/load"
)

// pollInterval is how often vernegate is asked for its generation. That costs it, so it is asked as often when nothing happens.
const pollInterval = 100 * time.Millisecond

// afterSwap is how long a swap may be felt after it is over.
const afterSwap = time.Second

// swapTime is how long a swap may take.
const swapTime = time.Minute

// swapAll has sessions send messages while one list after the other takes the place of the one before, and compares their round
// trips then with those in quiet spans in between.
func (t *trial) swapAll(ctx context.Context, c *load.EchoLoad, entries int, lists []string) (grid, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var done atomic.Int64
	ended := make(chan error, 1)
	go func() { ended <- c.OpenLoop(float64(perSession*t.effort.activeSessions))(ctx, &done) }()

	var lasted []float64 // seconds
	var busy, calm []window
	for _, list := range lists {
		if err := wait(ctx, t.effort.settle, ended); err != nil { // for what has gone before
			return grid{}, err
		}
		w, err := t.watchFor(ctx, c, t.effort.settle, ended)
		if err != nil {
			return grid{}, err
		}
		calm = append(calm, w)
		needed, w, err := t.swapOne(ctx, c, list, ended)
		if err != nil {
			return grid{}, err
		}
		lasted, busy = append(lasted, needed.Seconds()), append(busy, w)
	}
	stop()
	if err := <-ended; err != nil {
		return grid{}, err
	}
	g := grid{head: []string{"entries", "swaps", "until it counts, s", "p50, ms", "p99, ms", "p50 without, ms", "p99 without, ms", "÷ without"}}
	usual, _ := median(lasted)
	with, without := took(c, busy), took(c, calm)
	p99, calm99 := load.Percentile(with, .99), load.Percentile(without, .99)
	g.add(strconv.Itoa(entries), strconv.Itoa(len(lists)), number(usual), milliseconds(load.Percentile(with, .5)), milliseconds(p99),
		milliseconds(load.Percentile(without, .5)), milliseconds(calm99), number(float64(p99)/float64(calm99)))
	return g, nil
}

func milliseconds(d time.Duration) string { return number(d.Seconds() * 1e3) }

// A window is from one moment of an EchoLoad to another.
type window struct{ from, to time.Duration }

func took(c *load.EchoLoad, windows []window) []time.Duration {
	var all []time.Duration
	for _, w := range windows {
		all = append(all, c.Durations(w.from, w.to)...)
	}
	slices.Sort(all)
	return all
}

// swapOne puts a list in the place of the one in use, and returns how long it took until that counted. The window goes on
// for the time in which what was there before is let go.
func (t *trial) swapOne(ctx context.Context, c *load.EchoLoad, list string, ended <-chan error) (time.Duration, window, error) {
	before, err := t.generation(ctx)
	if err != nil {
		return 0, window{}, err
	}
	begin := c.Elapsed()
	if err := os.Rename(list, t.files.CRL); err != nil {
		return 0, window{}, err
	}
	for now := before; now == before; {
		if c.Elapsed()-begin > swapTime {
			return 0, window{}, fmt.Errorf("%s does not count after %v", list, swapTime)
		}
		if err := wait(ctx, pollInterval, ended); err != nil {
			return 0, window{}, err
		}
		if now, err = t.generation(ctx); err != nil {
			return 0, window{}, err
		}
	}
	counts := c.Elapsed()
	_, err = t.watchFor(ctx, c, afterSwap, ended)
	return counts - begin, window{begin, c.Elapsed()}, err
}

// watchFor lets time pass in which only the generation is read.
func (t *trial) watchFor(ctx context.Context, c *load.EchoLoad, d time.Duration, ended <-chan error) (window, error) {
	w := window{from: c.Elapsed()}
	for c.Elapsed()-w.from < d {
		if err := wait(ctx, pollInterval, ended); err != nil {
			return w, err
		}
		if _, err := t.generation(ctx); err != nil {
			return w, err
		}
	}
	w.to = c.Elapsed()
	return w, nil
}

// generation is the number of the trust files in use.
func (t *trial) generation(ctx context.Context) (float64, error) {
	m, err := t.proxy.Metrics(ctx)
	if err != nil {
		return 0, err
	}
	n, ok := m["vernegate_trust_generation"]
	if !ok {
		return 0, errors.New("there is no metric vernegate_trust_generation")
	}
	return n, nil
}
