// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crlfetch

import (
	"sync/atomic"
	"time"
)

// progress watches that bytes come fast enough.
type progress struct {
	bytes atomic.Int64 // since the window began
	timer *time.Timer
	ended atomic.Bool
}

// newProgress calls tooSlow once when a window of time ends in which too few bytes came.
func newProgress(tooSlow func()) *progress {
	p := new(progress)
	ready := make(chan struct{})
	p.timer = time.AfterFunc(slowWindow, func() {
		<-ready // p.timer is set
		switch {
		case p.ended.Load():
		case p.bytes.Swap(0) < minProgress:
			tooSlow()
		default:
			p.timer.Reset(slowWindow)
		}
	})
	close(ready)
	return p
}

func (p *progress) add(n int) { p.bytes.Add(int64(n)) }

func (p *progress) stop() {
	p.ended.Store(true)
	p.timer.Stop()
}
