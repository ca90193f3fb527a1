// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"log/slog"
)

// report counts the end of a connection, writes its one line, and tells who wants to know of refusals.
//
// There is one line for each connection, not two: that of a refusal or a forced ending is the audit's.
func (s *session) report() {
	cfg := &s.server.cfg
	cfg.Metrics.ended[s.role][s.reason].Inc()
	cfg.Metrics.traffic.settle(s)

	level, log := s.reason.Level(), cfg.Logger
	if errors.Is(s.err, errSaidNothing) {
		level = slog.LevelDebug
	}
	forced := s.reason.Forced()
	if forced {
		log = cfg.Audit
	}
	logged, told := log.Enabled(context.Background(), level), forced && cfg.OnForced != nil
	if !logged && !told || s.owner == "" && !s.server.strangers.allow(s.reason) {
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
func (c *Connection) log(to *slog.Logger, level slog.Level) {
	var attrs [maxAttrs]slog.Attr
	line := slog.NewRecord(c.Ended, level, "connection ended", 0)
	line.AddAttrs(c.appendAttrs(attrs[:0])...)
	_ = to.Handler().Handle(context.Background(), line) // as with LogAttrs, there is nowhere to tell that it failed
}
