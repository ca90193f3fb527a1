// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package pace spreads long computations over time, so that live sessions do not
// feel them.
package pace

import (
	"runtime"
	"time"
)

const (
	// workTime is how long a throttled goroutine computes without a pause: what a message of a live session may have
	// to wait for it where there is one processor for both. Where there are more, another one is rarely busy at that moment.
	workTime     = 500 * time.Microsecond
	workTimeMore = time.Millisecond

	// Pause is long enough for other goroutines to be served.
	Pause = time.Millisecond
)

// A Throttle spreads a long computation over time, so that nothing else in the process is held up by it: Go takes
// the processor from a computing goroutine after 10 ms only, which a million revoked certificates need many times.
// The zero value pauses at every Yield; nil never pauses. It belongs to one goroutine.
type Throttle struct {
	work  time.Duration
	began time.Time
	hurry <-chan struct{}
}

// NewThrottle returns a Throttle that does not pause any more once hurry is closed. A nil hurry never is.
func NewThrottle(hurry <-chan struct{}) *Throttle {
	t := &Throttle{work: workTime, hurry: hurry}
	if runtime.GOMAXPROCS(0) > 1 {
		t.work = workTimeMore
	}
	return t
}

// Yield pauses if the goroutine has computed for long enough. It is called at least twice in workTime.
func (t *Throttle) Yield() {
	if t == nil {
		return
	}
	now := time.Now()
	if t.began.IsZero() {
		t.began = now
	}
	if now.Sub(t.began) < t.work {
		return
	}
	select {
	case <-t.hurry:
	default:
		time.Sleep(Pause)
	}
	t.began = time.Now()
}
