// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Command pgo writes the profile that vernegate is compiled by: where the real
// binary, as it is built now, spends its time under loads of each kind. The file
// that it is told to write is for "go build -pgo".
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// share is how long each load lasts. The profiler takes 100 samples a
	// second and processor.
	share = 10 * time.Second

	// token is for taking profiles.
	token = "of-a-vernegate-for-half-a-minute"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: pgo FILE")
		os.Exit(2)
	}
	if err := run(ctx, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "pgo:", err)
		os.Exit(1)
	}
}

// run writes the profile to a file.
func run(ctx context.Context, file string) error {
	dir, err := os.MkdirTemp("", "vernegate-pgo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := setUp(ctx, dir)
	if err != nil {
		return err
	}
	defer s.tearDown()

	var profile []byte
	ctx, cancel := context.WithTimeout(ctx, time.Duration(len(loads)+1)*share)
	defer cancel()
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() (err error) {
		profile, err = s.gate.Profile(ctx, time.Duration(len(loads))*share, token)
		return err
	})
	tasks.Go(func() error { return s.runLoads(ctx) })
	if err := tasks.Wait(); err != nil {
		return err
	}
	return os.WriteFile(file, profile, 0o644)
}

// runLoads runs one load after the other, each for its share of the time.
func (s *fixture) runLoads(ctx context.Context) error {
	for _, load := range loads {
		fmt.Println(load.name)
		within, cancel := context.WithTimeout(ctx, share)
		err := load.run(s, within)
		cancel()
		if err != nil && within.Err() == nil { // else it was only cut short
			return fmt.Errorf("%s: %w", load.name, err)
		}
	}
	return ctx.Err()
}
