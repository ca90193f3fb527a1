// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"sync"
	"sync/atomic"
)

// crewSize is how many goroutines a crew keeps that have nothing to do.
const crewSize = 32

// A crew runs functions on goroutines of its own, of which it keeps some for those to come. A TLS handshake needs
// a large stack; one that begins on a small stack has it copied to a larger one several times. The garbage
// collector takes the stacks of those that are kept back to a small size when there is little to do.
type crew struct {
	ctx     context.Context // nobody is kept when it is done
	members *sync.WaitGroup
	work    chan func() // to those who wait for it
	idle    atomic.Int32
}

func newCrew(ctx context.Context, members *sync.WaitGroup) *crew {
	return &crew{ctx: ctx, members: members, work: make(chan func())}
}

// run begins f at once, on another goroutine. The caller is one that members waits for, too.
func (c *crew) run(f func()) {
	select {
	case c.work <- f:
	default:
		c.members.Go(func() { c.member(f) })
	}
}

// member runs f and then what else there is to do, until there are enough others.
func (c *crew) member(f func()) {
	for f != nil {
		f()
		f = c.await()
	}
}

// await returns what to do next, or nil.
func (c *crew) await() (f func()) {
	defer c.idle.Add(-1)
	if c.idle.Add(1) > crewSize {
		return nil
	}
	select {
	case f = <-c.work:
	case <-c.ctx.Done():
	}
	return f
}
