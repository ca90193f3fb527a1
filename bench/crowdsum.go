// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"slices"
	"time"

	"github.com/vernegate/vernegate/bench/chart"
	"github.com/vernegate/vernegate/bench/load"
)

// A crowdSum is the reports of all workers together.
type crowdSum struct {
	connected, lost int
	cpu             float64 // seconds
	memory          int64
	trips, connects []uint32 // µs
	elapsed         time.Duration
	arrivals        []arrival
}

// An arrival is how many devices were connected after so long.
type arrival struct {
	after     time.Duration
	connected int
}

// tenths returns how many seconds it took until each tenth of those who are connected in the end was there to stay.
func tenths(arrivals []arrival) (took []float64) {
	all := arrivals[len(arrivals)-1].connected
	for tenth := 1; tenth <= 10; tenth++ {
		i := len(arrivals) - 1
		for i > 0 && arrivals[i-1].connected*10 >= all*tenth {
			i--
		}
		took = append(took, arrivals[i].after.Seconds())
	}
	return took
}

// draw writes the picture.
func (c *crowd) draw() error {
	var percent []float64
	for tenth := 1; tenth <= 10; tenth++ {
		percent = append(percent, float64(10*tenth))
	}
	return os.WriteFile(comingFile, chart.Lines(chart.LineChart{
		Title: "Time until so many of 100 000 devices were connected, s", XName: "% of the devices", X: percent, Lines: c.coming,
	}), 0o644)
}

// comingFile is the picture of how the devices of a crowd connect.
const comingFile = "docs/scale-coming.svg"

func (s *crowdSum) add(r *crowdReport) {
	s.connected += r.Connected
	s.lost += r.Lost
	s.cpu += r.CPU
	s.memory += r.Memory
	s.trips, s.connects = append(s.trips, r.RoundTrips...), append(s.connects, r.Connects...)
}

// record adds what others have recorded.
func (s *crowdSum) record(o crowdSum) {
	s.trips, s.connects = append(s.trips, o.trips...), append(s.connects, o.connects...)
}

func seconds(s float64) string { return number(s) + " s" }

// quantile returns the time, of times in µs in any order, within which that share was done.
func quantile(took []uint32, share float64) time.Duration {
	sorted := make([]time.Duration, len(took))
	for i, t := range took {
		sorted[i] = time.Duration(t) * time.Microsecond
	}
	slices.Sort(sorted)
	return load.Percentile(sorted, share)
}

func quantiles(took []uint32, shares ...float64) string {
	var text string
	for _, share := range shares {
		if text != "" {
			text += " / "
		}
		text += milliseconds(quantile(took, share))
	}
	return text + " ms"
}
