// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package footprint keeps a process small that holds many idle sessions: how much garbage may lie around depends on
// how much is alive, memory that is not needed any more goes back to the system soon, and the limit of the control
// group is known to the collector.
//
// Go's default lets garbage double the heap, and gives it back minutes later. That is right for a program whose heap
// is small, and wrong for one whose heap is a hundred thousand sessions that wait.
package footprint

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	// minHeadroom is how much garbage there may be at least, in bytes: collecting a small heap for less costs more
	// than it brings.
	minHeadroom = 16 << 20
	// shareOfLive is how much garbage there may be in percent of what is alive. Half of Go's default takes a quarter
	// off the process, and makes the collector, which takes a few percent of what a handshake costs, work twice.
	shareOfLive = 40
	// mostPercent keeps the smallest heap that Go collects at all, 4 MiB in proportion to the percentage, within
	// minHeadroom.
	mostPercent = 400

	// look is how often the keeper looks. It collects by itself after quiet looks without a collection, or after one in
	// which less than this part of what is alive was allocated: a storm of devices is over then.
	look       = time.Second
	quiet      = 10
	calmOfLive = 128
	// minChurn is how many bytes have to have been allocated since, and churnOfLive which part of what is alive, so
	// that a process that does nothing is left alone.
	minChurn    = 4 << 20
	churnOfLive = 8
)

// Bound sets the memory limit of the process to that of its control group, if there is one and GOMEMLIMIT says nothing.
func Bound() {
	if os.Getenv("GOMEMLIMIT") == "" {
		if limit, ok := memoryLimit(memlimit.FromCgroup); ok {
			debug.SetMemoryLimit(limit)
		}
	}
}

// Keep keeps the process small until ctx is done. What GOGC says is left as it is. It sets properties of the whole
// process, so that one at a time may run.
func Keep(ctx context.Context) {
	k := keeper{fixed: os.Getenv("GOGC") != ""}
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for r := newReader(); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		percent, trim := k.look(r.read())
		if percent != 0 {
			debug.SetGCPercent(percent)
		}
		if trim {
			debug.FreeOSMemory()
		}
	}
}

// memoryLimit returns what Go may use of the memory of its control group, in bytes, ok = false if that has no limit or
// none that can be read.
func memoryLimit(group memlimit.Provider) (limit int64, ok bool) {
	n, err := group()
	if err != nil || n == 0 || n > math.MaxInt64 {
		return 0, false
	}
	return int64(n / 10 * 9), true // the rest is what Go does not count: its own binary, the kernel's share
}

// A sample is what the runtime tells, in bytes but for cycles.
type sample struct {
	live      uint64 // what the last collection found alive, with stacks and globals
	allocated uint64 // since the process began
	cycles    uint64 // how many collections there were
}

// A keeper decides from one sample after the other.
type keeper struct {
	fixed bool // the percentage is the user's

	percent int // as it was set; 0 = never
	cycles  uint64
	looks   int    // without a collection
	trimmed uint64 // what had been allocated when memory was given back
	seen    uint64 // what had been allocated at the last look
}

// look returns the percentage to set, 0 for none, and whether to collect and give back memory now.
func (k *keeper) look(s sample) (percent int, trim bool) {
	calm := s.allocated-k.seen < s.live/calmOfLive
	k.seen = s.allocated
	if s.cycles != k.cycles {
		k.cycles, k.looks = s.cycles, 0
		return k.pace(s), false
	}
	k.looks++
	churned := s.allocated-k.trimmed >= max(minChurn, s.live/churnOfLive)
	if !churned || !calm && k.looks < quiet {
		return 0, false
	}
	k.trimmed, k.looks = s.allocated, 0
	return 0, true
}

// pace returns the percentage that leaves room for headroom; 0 when the one that is set does so well enough, since to
// set it stops the world.
func (k *keeper) pace(s sample) int {
	if k.fixed || s.live == 0 {
		return 0
	}
	headroom := max(minHeadroom, s.live/100*shareOfLive)
	percent := min(int(headroom*100/s.live), mostPercent)
	if math.Abs(float64(percent-k.percent)) <= float64(k.percent)/10 {
		return 0
	}
	k.percent = percent
	return percent
}

// A reader reads samples.
type reader struct{ samples []metrics.Sample }

func newReader() *reader {
	r := new(reader)
	for _, name := range []string{
		"/gc/heap/live:bytes", "/gc/scan/stack:bytes", "/gc/scan/globals:bytes",
		"/gc/heap/allocs:bytes", "/gc/cycles/total:gc-cycles",
	} {
		r.samples = append(r.samples, metrics.Sample{Name: name})
	}
	return r
}

func (r *reader) read() sample {
	metrics.Read(r.samples)
	value := func(i int) uint64 { return r.samples[i].Value.Uint64() }
	return sample{live: value(0) + value(1) + value(2), allocated: value(3), cycles: value(4)}
}
