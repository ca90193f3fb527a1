// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && !portable && !386 && !s390x

package relay

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// watchInterval is how often the loops are looked at.
	watchInterval = time.Second
	// hangLimit is how many looks in a row a loop may be found in the same pump. A pump takes a millisecond when there is a
	// lot to carry; one that takes this long never ends, or the machine does not run the process at all.
	hangLimit = 10
	// stackSize bounds the stack that is logged, in bytes.
	stackSize = 4 << 10
)

// A pulse is the heartbeat of a loop. The loop changes it; anybody may read it.
type pulse struct{ count atomic.Uint64 } // odd while the loop is awake

func (p *pulse) wake()  { p.count.Add(1) }
func (p *pulse) sleep() { p.count.Add(1) }
func (p *pulse) beat()  { p.count.Add(2) }

var errHung = errors.New("a loop that carries sessions hangs")

// Hung returns an error while a loop hangs: its sessions are frozen, and only a restart of the process helps them.
func (ls *Loops) Hung() error {
	if ls.hung.Load() > 0 {
		return errHung
	}
	return nil
}

// watch looks at the loops until they are closed, and logs when one begins to hang, and when it goes on.
func (ls *Loops) watch(loops []*loop) {
	ticker := time.NewTicker(ls.watchInterval)
	defer ticker.Stop()
	watches := make([]hangWatch, len(loops))
	for {
		select {
		case <-ls.closing:
			return
		case <-ticker.C:
		}
		for i, l := range loops {
			switch hangs, changed := watches[i].look(l.pulse.count.Load()); {
			case changed && hangs:
				ls.hung.Add(1)
				ls.log.Error("a relay loop hangs", "for", hangLimit*ls.watchInterval, "stack", stackOf("relay.(*loop).run"))
			case changed:
				ls.hung.Add(-1)
				ls.log.Warn("a relay loop that hung goes on")
			}
		}
	}
}

// A hangWatch decides whether one loop hangs.
type hangWatch struct {
	last uint64 // count of the pulse
	same int    // looks in a row that found it unchanged in a loop that is awake
}

// look takes the count of the pulse. It reports whether the loop hangs, and whether that is new.
func (w *hangWatch) look(count uint64) (hangs, changed bool) {
	hung := w.same >= hangLimit
	if awake := count%2 == 1; awake && count == w.last {
		w.same++
	} else {
		w.same = 0
	}
	w.last = count
	hangs = w.same >= hangLimit
	return hangs, hangs != hung
}

// stackOf returns the stacks of the goroutines that are in a function and do not wait, bounded.
func stackOf(function string) string {
	all := make([]byte, 1<<20)
	all = all[:runtime.Stack(all, true)]
	stacks := slices.DeleteFunc(strings.Split(string(all), "\n\n"), func(stack string) bool {
		return !strings.Contains(stack, function) || strings.Contains(stack, "[IO wait")
	})
	text := strings.Join(stacks, "\n\n")
	return text[:min(len(text), stackSize)]
}
