// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/vernegate/vernegate/bench/chart"
	"github.com/vernegate/vernegate/e2e/stack"
)

// Where the curves go.
const (
	memoryFile  = "docs/scale-memory.svg"
	messageFile = "docs/scale-messages.svg"
)

// underWay is how many messages are under way at any time, whatever the number of sessions. What is done next depends
// on what has been done, so that a busy machine makes all of it slower and changes nothing else.
const underWay = 16

// sessions has more and more sessions: as many as one vernegate takes in one, and more in several that share an address.
func (s *scaling) sessions(ctx context.Context) (_ grid, err error) {
	dir, err := os.MkdirTemp(s.dir, "sessions")
	if err != nil {
		return grid{}, err
	}
	bed, err := newTestbed(dir)
	if err != nil {
		return grid{}, err
	}
	defer func() { err = errors.Join(err, bed.close()) }()

	alone, together := s.effort.steps, []int(nil)
	if i := slices.IndexFunc(alone, func(n int) bool { return n > s.effort.full }); i >= 0 {
		alone, together = alone[:i], alone[i:]
	}
	points, err := s.grow(ctx, bed, 1, alone)
	if err != nil {
		return grid{}, err
	}
	if len(together) > 0 {
		more, err := s.grow(ctx, bed, processesFor(slices.Max(together), s.effort.full), together)
		if err != nil {
			return grid{}, err
		}
		points = append(points, more...)
	}
	return s.render(points)
}

// processesFor is how many share so many sessions: one more than would be full, as the kernel divides them by chance
// and knows of no limit.
func processesFor(sessions, full int) int { return (sessions+full-1)/full + 1 }

// A point is what one number of sessions costs, in seconds and bytes.
type point struct {
	sessions, processes int
	memory              int64
	each                float64 // memory of a session
	message             float64 // processor time
	p99                 float64 // of the round trips, the largest of all workers
}

// grow measures the points of a curve, one after the other, with so many workers at one address.
func (s *scaling) grow(ctx context.Context, bed *testbed, processes int, steps []int) (_ []point, err error) {
	var all workerProcesses
	defer func() { err = errors.Join(err, all.end()) }()
	if all, err = s.startWorkers(ctx, bed, processes, steps[len(steps)-1]); err != nil {
		return nil, err
	}
	empty, err := all.doAll(func(int) command { return command{} })
	if err != nil {
		return nil, err
	}
	var points []point
	for _, n := range steps {
		a, err := all.hold(n)
		if err != nil {
			return nil, err
		}
		points = append(points, point{
			sessions: n, processes: processes, memory: a.Memory,
			each: float64(a.Memory-empty.Memory) / float64(n), message: a.CPU / float64(a.Messages), p99: a.P99,
		})
	}
	return points, nil
}

// startWorkers starts workers at one address, with devices for so many sessions in all. The caller ends those that are
// returned, also with an error.
func (s *scaling) startWorkers(ctx context.Context, bed *testbed, processes, sessions int) (all workerProcesses, err error) {
	addr, err := stack.FreeAddr()
	if err != nil {
		return nil, err
	}
	bed.devices = bed.issueDevices(bed.ca, bed.devices, sessions)
	devices, err := encodeIdentities(bed.devices)
	if err != nil {
		return nil, err
	}
	for i := range processes {
		own := part(sessions, i, processes)
		f, err := startWorker(ctx, s.options, "worker", &workerConfig{
			Addr: addr, Files: bed.ecdsa, ACLURL: bed.acl.URL, Devices: devices[:own],
		})
		if err != nil {
			return all, err
		}
		all, devices = append(all, f), devices[own:]
	}
	return all, nil
}

// part is how many of n are the i-th one's of so many.
func part(n, i, of int) int {
	if i < n%of {
		return n/of + 1
	}
	return n / of
}

// render makes the points a table and, if that is asked for, pictures.
func (s *scaling) render(points []point) (grid, error) {
	g := grid{head: []string{"sessions", "processes", "memory, MB", "memory of a session, kB", "a message, µs", "round trip p99, ms"}}
	var x, memory, message []float64
	for _, p := range points {
		x, memory, message = append(x, float64(p.sessions)), append(memory, p.each*kilo), append(message, p.message*micro)
		g.add(strconv.Itoa(p.sessions), strconv.Itoa(p.processes), number(float64(p.memory)*mega), number(p.each*kilo),
			number(p.message*micro), number(p.p99*1e3))
	}
	if !s.write {
		return g, nil
	}
	return g, errors.Join(
		s.draw(memoryFile, "Memory of an idle session, kB", x, memory),
		s.draw(messageFile, "Processor time of a message there and back, µs", x, message),
	)
}

func (s *scaling) draw(file, title string, x, y []float64) error {
	svg := chart.Lines(chart.LineChart{
		Title: title, XName: "sessions", X: x, Lines: []chart.Line{{Name: "vernegate", Y: y}},
	})
	return os.WriteFile(file, svg, 0o644)
}

// workerProcesses share one address.
type workerProcesses []*workerProcess

// hold opens so many sessions, evenly divided among the workers, and then runs the echo load on all of them.
func (all workerProcesses) hold(sessions int) (report, error) {
	_, err := all.doAll(func(i int) command { return command{Sessions: part(sessions, i, len(all))} })
	if err != nil {
		return report{}, err
	}
	return all.doAll(func(int) command { return command{UnderWay: max(1, underWay/len(all))} })
}

// doAll sends a command to each worker at the same time. It returns the sum of their reports, and the largest P99.
func (all workerProcesses) doAll(commandFor func(i int) command) (sum report, err error) {
	reports := make([]report, len(all))
	var working errgroup.Group
	for i, f := range all {
		working.Go(func() (err error) {
			reports[i], err = f.do(commandFor(i))
			return err
		})
	}
	err = working.Wait()
	for _, a := range reports {
		sum.Memory += a.Memory
		sum.CPU += a.CPU
		sum.Messages += a.Messages
		sum.P99 = max(sum.P99, a.P99)
	}
	return sum, err
}

func (all workerProcesses) end() error {
	var errs []error
	for _, f := range all {
		errs = append(errs, f.end())
	}
	return errors.Join(errs...)
}
