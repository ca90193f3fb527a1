// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Drain stops accepting and ends the sessions evenly over a time, so that their devices come to another server
// one after the other and not all at once. It returns when the last one has been told, or when ctx is done;
// Shutdown waits for them and ends what came in between.
func (s *Server) Drain(ctx context.Context, over time.Duration) {
	s.stopAccepting()
	began := time.Now()
	leaving := s.snapshot()
	for i, c := range leaving {
		due := began.Add(share(over, i, len(leaving)))
		for s.has(c) && time.Now().Before(due) {
			if !sleepUntil(ctx, earlier(due, time.Now().Add(drainTick))) {
				return
			}
		}
		c.stop(Shutdown, nil)
	}
}

// share is i parts of a time that is divided into n, where over times i may be more than a Duration holds.
func share(over time.Duration, i, n int) time.Duration {
	part, rest := over/time.Duration(n), over%time.Duration(n)
	return part*time.Duration(i) + rest*time.Duration(i)/time.Duration(n)
}

// drainTick is how soon Drain notices that the session that is next has ended by itself.
const drainTick = 50 * time.Millisecond

// sleepUntil is false when ctx was done first.
func sleepUntil(ctx context.Context, t time.Time) bool {
	wait := time.Until(t)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Shutdown stops accepting, ends every session, and returns when all have ended. What a session has read from
// one side is still written to the other. When ctx is done first, the connections are cut and Shutdown returns
// ctx's error; it then waits cutTimeout at most, so that it returns even when something hangs.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopAccepting()
	s.mu.Lock()
	for c := range s.sessions {
		c.stop(Shutdown, nil) // before what a session waits for fails, lest that be taken for the reason
	}
	s.cancel(errClosing)
	s.mu.Unlock()

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.running.Wait()
		s.sampling.flush(s.cfg.Audit)
		s.loops.Close()
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	go func() {
		for _, c := range s.snapshot() {
			c.cut()
		}
	}()
	select {
	case <-ended:
		return ctx.Err()
	case <-time.After(cutTimeout):
		return fmt.Errorf("%w, and %d connections did not end when they were cut", ctx.Err(), len(s.snapshot()))
	}
}

// cutTimeout is how long connections may take to end that were cut.
const cutTimeout = 5 * time.Second

// Hung returns an error while what carries sessions hangs, so that only a restart of the process helps.
func (s *Server) Hung() error { return s.loops.Hung() }

// has reports whether a connection is still there.
func (s *Server) has(c *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, is := s.sessions[c]
	return is
}

// snapshot returns the connections there are, in no order.
func (s *Server) snapshot() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.sessions))
}

// stopAccepting ends every Serve.
func (s *Server) stopAccepting() {
	s.closing.Store(true)
	s.descriptors.Close()
	s.pending.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.listeners {
		_ = l.Close()
	}
}
