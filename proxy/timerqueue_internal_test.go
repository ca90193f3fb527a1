// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The clock of the bubble is that which sleeps; the one on the wall is set forward meanwhile, as by NTP, or while a virtual
// machine was suspended.
func TestTimersFollowTheClockOnTheWall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var (
			mu    sync.Mutex
			ahead atomic.Int64 // the clock on the wall, of that which sleeps
			all   timers[string]
		)
		all.init(&mu)
		all.now = func() time.Time { return time.Now().Round(0).Add(time.Duration(ahead.Load())) }
		fired := make(chan string, 1)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go all.serve(ctx, func(about *string) { fired <- *about })

		what := "a certificate expires"
		mu.Lock()
		all.set(&timer[string]{about: &what}, all.now().Add(24*time.Hour))
		mu.Unlock()
		synctest.Wait() // serve sleeps
		ahead.Store(int64(24 * time.Hour))
		began := time.Now()
		if got := <-fired; got != what {
			t.Errorf("got %q, want %q", got, what)
		}
		if late := time.Since(began); late > time.Minute {
			t.Errorf("fired %v late, want a minute at most", late)
		}
	})
}
