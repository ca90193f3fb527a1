// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import "time"

const (
	// stretch is how long a pace works without a rest: what a message of a live
	// session may have to wait for it where there is one processor for both.
	stretch = 500 * time.Microsecond

	// rest is long enough for those who wait to be served.
	rest = time.Millisecond
)

// A pace spreads a long computation over time, so that what else the process
// does is not held up by it: Go takes a processor from who computes after 10 ms
// only, which a million revoked certificates need many times. The zero value
// rests whenever it breathes; nil never rests. It belongs to one goroutine.
type pace struct {
	stretch time.Duration
	began   time.Time
	hurry   <-chan struct{} // closed when there is to be no rest any more
}

func newPace(hurry <-chan struct{}) *pace { return &pace{stretch: stretch, hurry: hurry} }

// breathe is called at least twice in a stretch, and rests when it is over.
func (p *pace) breathe() {
	if p == nil {
		return
	}
	now := time.Now()
	if p.began.IsZero() {
		p.began = now
	}
	if now.Sub(p.began) < p.stretch {
		return
	}
	select {
	case <-p.hurry:
	default:
		time.Sleep(rest)
	}
	p.began = time.Now()
}
