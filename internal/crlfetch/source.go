// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crlfetch

import (
	"context"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// firstRetry is how long after the first failure a server is asked again. Each
	// further failure doubles it, up to the refresh interval.
	firstRetry = time.Second

	// soonest is the least time between two requests.
	soonest = time.Second

	// jitterPart is the part of an interval by which it may be shorter, so that the
	// replicas of a deployment do not ask all at once.
	jitterPart = .1
)

// Status is what is known of a source.
type Status struct {
	Source
	File         string            // the path of the copy, whether or not there is one
	Data         []byte            // the copy, if it is in memory as it cannot be written to File; else nil. It does not change
	SHA256       [sha256.Size]byte // of Data
	NotKept      string            // why the copy, or what is known of it, cannot be written; "" if it can be, or was not tried
	Held         bool              // there is a copy
	Size         int64             // of the copy, in bytes
	Changed      time.Time         // when the copy was replaced; zero if there is none
	LastSuccess  time.Time         // when the server last said that the copy is its list, or gave it; zero if never
	LastAttempt  time.Time         // zero if there was none since the start
	Due          time.Time         // when the list is to be replaced by its publisher; zero if that is not known
	Next         time.Time         // when the server is asked again; zero if it is not followed
	Err          string            // why the last attempt failed; "" if it did not
	FailingSince time.Time         // zero if it is not failing
}

// source is a Source, its copy, and how asking its server goes.
type source struct {
	Source
	copy copyFile
	now  chan struct{} // asks the server at once

	conditional bool // the request under way is for what is newer than the copy

	stop context.CancelFunc // ends following it; nil if it is not followed

	mu       sync.Mutex
	status   Status
	asking   bool          // a request is under way
	compared bool          // as note.isCompared
	failures int           // in a row
	wait     time.Duration // that the server has asked for
}

func newSource(of Source, dir string, m *memory) *source {
	s := &source{Source: of, copy: copyIn(dir, of.Name, m), now: make(chan struct{}, 1)}
	s.status = Status{Source: of, File: s.copy.path}
	if s.copy.load() {
		s.keep()
	}
	return s
}

// keep notes that the copy is as its note says.
func (s *source) keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.copy.note
	s.compared = n.isCompared()
	s.status.Held, s.status.Size, s.status.Due = true, n.Size, n.Due
	s.status.Changed, s.status.LastSuccess = n.Changed, n.Confirmed
	s.status.Data, s.status.SHA256, s.status.NotKept = s.copy.data, s.copy.sum, ""
	if s.copy.notKept != nil {
		s.status.NotKept = s.copy.notKept.Error()
	}
}

// writeAgain has the disk take what it has not taken before. The server may never say that the copy is its list, as where that
// is a part of its answer.
func (s *source) writeAgain() {
	if s.copy.held && s.copy.notKept != nil {
		s.copy.write()
		s.keep()
	}
}

// giveUp goes on without a copy. The file stays until another one takes its place.
func (s *source) giveUp() {
	s.copy.held, s.copy.note = false, note{}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.compared = false
	s.status.Held, s.status.Size, s.status.Changed, s.status.Due = false, 0, time.Time{}, time.Time{}
}

// fetchNow has the server asked at once.
func (s *source) fetchNow() {
	select {
	case s.now <- struct{}{}:
	default: // it is about to be asked
	}
}

// setAsking notes whether a request is under way.
func (s *source) setAsking(asking bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking = asking
}

// mayLackComparison reports whether there is a copy, or is about to be one, that was not compared with what is in use.
func (s *source) mayLackComparison() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return (s.status.Held || s.asking) && !s.compared
}

func (s *source) snapshot() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// finish notes how a request went.
func (s *source) finish(now time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.LastAttempt, s.wait = now, 0
	if err == nil {
		s.failures = 0
		s.status.Err, s.status.FailingSince = "", time.Time{}
		return
	}
	if s.failures++; s.failures == 1 {
		s.status.FailingSince = now
	}
	s.status.Err = err.Error()
	if busy := (*busyError)(nil); errors.As(err, &busy) {
		s.wait = busy.retryAfter
	}
}

// untilNext returns how long to wait for the next request: until the refresh interval is
// over or the list is due to be replaced, and after a failure for an interval that grows. The
// last request began at a time from which on what is due may not have been in its answer.
func (s *source) untilNext(began, now time.Time, refresh time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait := refresh - jitter(refresh)
	switch due := max(0, s.status.Due.Sub(now)); {
	case s.failures > 0:
		wait = min(refresh, max(backOff(s.failures), s.wait))
		wait -= jitter(wait)
	case s.status.Due.After(began) && due < wait:
		wait = due + jitter(min(refresh, 10*time.Second)) // never before: it would be asked for twice
	}
	wait = max(wait, min(soonest, refresh))
	s.status.Next = now.Add(wait)
	return wait
}

// backOff returns how long to wait after so many failures in a row.
func backOff(failures int) time.Duration {
	const most = 24 * time.Hour // which bounds the shift
	if failures > 17 {
		return most
	}
	return firstRetry << (failures - 1)
}

func jitter(d time.Duration) time.Duration {
	return time.Duration(rand.Float64() * jitterPart * float64(d))
}
