// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/vernegate/vernegate/bench/chart"
)

// Where the curves go.
const (
	memoryFile  = "docs/scale-memory.svg"
	messageFile = "docs/scale-messages.svg"
)

// underWay is how many messages are under way at any time, whatever the number of sessions. What is done next depends
// on what has been done, so that a busy machine makes all of it slower and changes nothing else.
const underWay = 16

// sessions has more and more sessions, and one more vernegate for each that is full.
func (s *scaling) sessions(ctx context.Context) (_ grid, err error) {
	var followers []*follower
	defer func() {
		for _, f := range followers {
			err = errors.Join(err, f.end())
		}
	}()
	g := grid{head: []string{"sessions", "processes", "memory, MB", "memory of a session, kB", "a message, µs", "round trip p99, ms"}}
	var empty int64
	var x, memory, message []float64
	for _, n := range s.effort.steps {
		for len(followers)*s.effort.full < n {
			f, err := startFollower(ctx, s.options)
			if err != nil {
				return grid{}, err
			}
			followers = append(followers, f)
			a, err := f.order(order{})
			if err != nil {
				return grid{}, err
			}
			empty += a.Memory
		}
		a, err := orderAll(followers, n, s.effort.full)
		if err != nil {
			return grid{}, err
		}
		each, cost := float64(a.Memory-empty)/float64(n), a.CPU/float64(a.Messages)
		if n <= s.effort.full {
			s.known.session, s.known.message = each, cost
		}
		x, memory, message = append(x, float64(n)), append(memory, each*kilo), append(message, cost*micro)
		g.add(strconv.Itoa(n), strconv.Itoa(len(followers)), number(float64(a.Memory)*mega), number(each*kilo),
			number(cost*micro), number(a.P99*1e3))
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

// orderAll divides sessions among the processes, as many to each as it can have, and then has all talk at the same
// time. It returns the sum of their accounts, and the largest P99.
func orderAll(followers []*follower, sessions, full int) (sum account, err error) {
	for i, f := range followers {
		if _, err := f.order(order{Sessions: min(full, sessions-i*full)}); err != nil {
			return sum, err
		}
	}
	accounts := make([]account, len(followers))
	var talking errgroup.Group
	for i, f := range followers {
		talking.Go(func() (err error) {
			accounts[i], err = f.order(order{UnderWay: max(1, underWay/len(followers))})
			return err
		})
	}
	err = talking.Wait()
	for _, a := range accounts {
		sum.Memory += a.Memory
		sum.CPU += a.CPU
		sum.Messages += a.Messages
		sum.P99 = max(sum.P99, a.P99)
	}
	return sum, err
}
