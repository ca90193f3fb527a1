// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
)

func TestCrewKeepsSomeAndRunsAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var members sync.WaitGroup
		c := newCrew(ctx, &members)
		for range 2 { // the second time, the first ones work again
			const all = 2 * crewSize
			var working sync.WaitGroup
			working.Add(all)
			done := make(chan struct{})
			for range all {
				c.run(func() { working.Done(); <-done })
			}
			working.Wait() // which it would for ever if one waited for another
			if n := c.idle.Load(); n != 0 {
				t.Errorf("got %d idle goroutines while there is work for all, want none", n)
			}
			close(done)
			synctest.Wait()
			if n := c.idle.Load(); n != crewSize {
				t.Errorf("got %d idle goroutines after the work, want %d", n, crewSize)
			}
		}
		cancel()
		members.Wait()
	})
}

func TestCrewThatIsToEndKeepsNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var members sync.WaitGroup
		ran := make(chan struct{}, 1)
		newCrew(ctx, &members).run(func() { ran <- struct{}{} })
		<-ran
		members.Wait()
	})
}
