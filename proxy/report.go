// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// report counts the end of a connection, writes its one line, and tells who wants to know of refusals.
//
// There is one line for each connection, not two: that of a refusal or a forced ending is the audit's.
func (s *session) report() {
	cfg := &s.server.cfg
	cfg.Metrics.ended[s.role][s.reason].Inc()
	if s.live.id != 0 {
		cfg.Metrics.over[s.role][s.disconnect()].Inc()
	}
	cfg.Metrics.traffic.settle(s)

	level, log := s.reason.Level(), cfg.Logger
	if errors.Is(s.err, errSaidNothing) {
		level = slog.LevelDebug
	}
	forced := s.reason.Forced()
	if forced {
		log = cfg.Audit
		if cfg.CountForced != nil {
			cfg.CountForced(s.reason)
		}
	}
	logged, told := log.Enabled(context.Background(), level), forced && cfg.OnForced != nil
	if !logged && !told || s.live.id == 0 && !s.server.sampling.allow(s.reason) {
		return
	}
	c := s.describeEnd()
	if logged {
		c.log(log, level)
	}
	if told {
		cfg.OnForced(c)
	}
}

// log writes the line. It does what Logger.LogAttrs does, but for looking up from where in the source it was
// called, which is always here.
func (c *SessionInfo) log(to *slog.Logger, level slog.Level) {
	var attrs [maxAttrs]slog.Attr
	line := slog.NewRecord(c.Ended, level, "connection ended", 0)
	line.AddAttrs(c.appendAttrs(attrs[:0])...)
	_ = to.Handler().Handle(context.Background(), line) // as with LogAttrs, there is nowhere to tell that it failed
}

// suppressedInterval is how often what was left out of the log is counted there.
const suppressedInterval = 10 * time.Second

// A sampling bounds the lines about connections that did not become sessions, for each reason by itself: clients decide how
// many of them there are, and a flood of one kind must not hide the others. What was left out is counted in a line from time
// to time. A session that has lived always has its line, and metrics count all. Its methods may be called concurrently.
type sampling struct {
	limiters [endOfReasons]*rate.Limiter // nil = no bound

	mu         sync.Mutex
	suppressed [endOfReasons]int
}

// newSampling allows so many lines in a second for each reason; 0 = no limit.
func newSampling(perSecond int) *sampling {
	l := &sampling{}
	if perSecond > 0 {
		for _, reason := range Reasons() {
			l.limiters[reason] = rate.NewLimiter(rate.Limit(perSecond), perSecond)
		}
	}
	return l
}

// allow reports whether there may be a line about the end of a connection; else it counts it.
func (l *sampling) allow(reason Reason) bool {
	if limiter := l.limiters[reason]; limiter == nil || limiter.Allow() {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.suppressed[reason]++
	return false
}

// flush writes a line that counts what was left out since the last one, if there is something.
func (l *sampling) flush(to *slog.Logger) {
	l.mu.Lock()
	suppressed := l.suppressed
	l.suppressed = [endOfReasons]int{}
	l.mu.Unlock()
	total := 0
	var byReason []slog.Attr
	for _, reason := range Reasons() {
		if n := suppressed[reason]; n > 0 {
			total += n
			byReason = append(byReason, slog.Int(reason.String(), n))
		}
	}
	if total > 0 {
		to.LogAttrs(context.Background(), slog.LevelWarn, "connections ended without a line of their own",
			slog.Int("suppressed", total), slog.GroupAttrs("reasons", byReason...))
	}
}
