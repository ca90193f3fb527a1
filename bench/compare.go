// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/vernegate/vernegate/bench/peer"
)

// Where compare writes what it has found.
const (
	compareMark = "bench" // in documentFile
	compareFile = "docs/bench.svg"
)

// compare measures all proxies in turns.
func compare(ctx context.Context, o *options, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "vernegate-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	kinds, err := installed(ctx, o, dir, out)
	if err != nil {
		return err
	}
	s, err := newPinnedTestbed(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()

	env, err := newEnvironment()
	if err != nil {
		return err
	}
	found := newTable(kinds)
	if err := s.measure(ctx, o, kinds, found, out); err != nil {
		return err
	}
	described, err := env.describe(kinds)
	if err != nil {
		return err
	}
	report := fmt.Sprintf("%s\n%s Medians of %d rounds in turns, idle sessions once.\n", found.markdown(), described, o.effort.rounds)
	fmt.Fprintf(out, "\n%s", report)
	if !o.write {
		return nil
	}
	return errors.Join(
		os.WriteFile(compareFile, found.chart(), 0o644),
		rewrite(documentFile, compareMark, report),
	)
}

// installed returns the proxies that are installed, and prints which are not.
func installed(ctx context.Context, o *options, dir string, out io.Writer) ([]*peer.Kind, error) {
	iocopy := filepath.Join(dir, "iocopy")
	build := exec.CommandContext(ctx, "go", "build", "-o", iocopy, "./bench/iocopy")
	if said, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the io.Copy proxy: %w\n%s", err, said)
	}
	var there []*peer.Kind
	for _, k := range peer.Kinds(o.vernegate, iocopy, o.haproxies...) {
		switch {
		case k.Missing == "":
			there = append(there, k)
		case k.Name == peer.Vernegate:
			return nil, fmt.Errorf("there is no %s: %s", o.vernegate, k.Missing)
		case k.Asked:
			return nil, fmt.Errorf("%s=%q: cannot be run", peerVariable, k.Name)
		default:
			fmt.Fprintf(out, "%s is left out, it needs %s (make peers)\n", k.Name, k.Missing)
		}
	}
	return there, nil
}

// measure runs the rounds. In each, another proxy begins.
func (s *testbed) measure(ctx context.Context, o *options, kinds []*peer.Kind, found *table, out io.Writer) error {
	for round := range o.effort.rounds {
		for i := range kinds {
			k := kinds[(round+i)%len(kinds)]
			for _, r := range rows {
				if !o.rows.MatchString(r.key) {
					continue
				}
				values, err := s.measureUndisturbed(ctx, k, &r, &o.effort)
				if err != nil {
					return fmt.Errorf("measuring %s of %s: %w", r.key, k.Name, err)
				}
				found.add(k.Name, r.figures, values)
				fmt.Fprintf(out, "round %d  %-16s %s\n", round+1, k.Name, summary(r.figures, values))
			}
		}
	}
	if !o.rows.MatchString("idle") {
		return nil
	}
	e := o.effort
	if err := e.fit(); err != nil {
		return err
	}
	values, err := s.idle(ctx, kinds, &e)
	for i, v := range values {
		found.add(kinds[i].Name, idleFigures, v)
		fmt.Fprintf(out, "%d idle  %-16s %s\n", e.idle, kinds[i].Name, summary(idleFigures, v))
	}
	return err
}

// maxOtherLoad is how many processors others may keep busy while something is measured. A proxy that has to wait for its
// processor finds more to do at a time and so does it with less, and what its clients wait is not its doing.
const maxOtherLoad = 0.15

// measureUndisturbed measures one row of one proxy, and again while other programs disturb it, at most
// effort.tries times. The least disturbed try counts.
func (s *testbed) measureUndisturbed(ctx context.Context, k *peer.Kind, r *row, e *effort) (values []float64, err error) {
	least := math.Inf(1)
	for try := 0; try < e.tries && least > maxOtherLoad; try++ {
		env, err := newEnvironment()
		if err != nil {
			return nil, err
		}
		got, err := s.once(ctx, k, r, e)
		if err != nil {
			return nil, err
		}
		others, err := env.otherLoad()
		if err != nil {
			return nil, err
		}
		if others < least {
			least, values = others, got
		}
	}
	return values, nil
}

// once measures one row of one proxy.
func (s *testbed) once(ctx context.Context, k *peer.Kind, r *row, e *effort) (values []float64, err error) {
	t, err := s.startTrial(ctx, k, r.files(s), e, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.end()) }()
	return r.measure(ctx, t)
}

// fit makes the idle sessions so few that a process has descriptors for two connections of each: this one has the ends
// of devices and broker, vernegate those between, and keeps one in thirty-two in reserve.
func (e *effort) fit() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	e.idle = min(e.idle, int(min(limit.Cur, 1<<20))*9/20)
	return nil
}
