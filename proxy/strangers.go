// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Strangers, whose connections end before their owner is known, decide how many lines there are about them. So these
// are limited, and what was left out is counted in a line from time to time. Metrics count all.
const (
	strangersPerSecond = 100
	strangersAtOnce    = 1000
	suppressedInterval = 10 * time.Second
)

// A strangerLog limits the lines about strangers. Its methods may be called concurrently.
type strangerLog struct {
	limiter *rate.Limiter

	mu         sync.Mutex
	suppressed [endOfReasons]int
}

func newStrangerLog() *strangerLog {
	return &strangerLog{limiter: rate.NewLimiter(strangersPerSecond, strangersAtOnce)}
}

// allow reports whether there may be a line about the end of a connection; else it counts it.
func (l *strangerLog) allow(reason Reason) bool {
	if l.limiter.Allow() {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.suppressed[reason]++
	return false
}

// flush writes a line that counts what was left out since the last one, if there is something.
func (l *strangerLog) flush(to *slog.Logger) {
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
