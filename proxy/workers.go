// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"sync"
	"sync/atomic"
)

// idleWorkers is how many goroutines a workerPool keeps that have nothing to do.
const idleWorkers = 32

// A workerPool runs functions on goroutines of its own, of which it keeps some for those to come. A TLS handshake needs
// a large stack; one that begins on a small stack has it copied to a larger one several times. The garbage
// collector takes the stacks of those that are kept back to a small size when there is little to do.
type workerPool struct {
	ctx     context.Context // no idle worker is kept when it is done
	running *sync.WaitGroup // counts the workers
	work    chan func()     // to idle workers
	idle    atomic.Int32
}

func newWorkerPool(ctx context.Context, running *sync.WaitGroup) *workerPool {
	return &workerPool{ctx: ctx, running: running, work: make(chan func())}
}

// run begins f at once, on another goroutine. The caller has to be counted by running, too.
func (p *workerPool) run(f func()) {
	select {
	case p.work <- f:
	default:
		p.running.Go(func() { p.worker(f) })
	}
}

// worker runs f and then what else there is to do, until enough others are idle.
func (p *workerPool) worker(f func()) {
	for f != nil {
		f()
		f = p.await()
	}
}

// await returns what to do next, or nil.
func (p *workerPool) await() (f func()) {
	defer p.idle.Add(-1)
	if p.idle.Add(1) > idleWorkers {
		return nil
	}
	select {
	case f = <-p.work:
	case <-p.ctx.Done():
	}
	return f
}
