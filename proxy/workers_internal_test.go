// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
)

func TestWorkerPoolKeepsSomeAndRunsAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		p := newWorkerPool(ctx, &running)
		for range 2 { // the second time, the first ones work again
			const all = 2 * idleWorkers
			var working sync.WaitGroup
			working.Add(all)
			done := make(chan struct{})
			for range all {
				p.run(func() { working.Done(); <-done })
			}
			working.Wait() // which it would for ever if one waited for another
			if n := p.idle.Load(); n != 0 {
				t.Errorf("got %d idle goroutines while there is work for all, want none", n)
			}
			close(done)
			synctest.Wait()
			if n := p.idle.Load(); n != idleWorkers {
				t.Errorf("got %d idle goroutines after the work, want %d", n, idleWorkers)
			}
		}
		cancel()
		running.Wait()
	})
}

func TestWorkerPoolThatIsToEndKeepsNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var running sync.WaitGroup
		ran := make(chan struct{}, 1)
		newWorkerPool(ctx, &running).run(func() { ran <- struct{}{} })
		<-ran
		running.Wait()
	})
}
