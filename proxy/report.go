// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"
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

// maxUntrusted bounds what a stranger can write into one log attribute, in bytes before escaping.
const maxUntrusted = 512

// printable makes text of a client, its certificate or certificate-acl, or of an error that may quote one of
// them, fit for a log: bounded and escaped, it cannot forge a line, colour a terminal or fill a disk. Printable
// text stays as it is, so that operators can search for it.
func printable(s string) string {
	if isPlain(s) {
		return s
	}
	more := ""
	if len(s) > maxUntrusted {
		s, more = s[:maxUntrusted], "…"
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String() + more
}

// isPlain tells whether s is short printable ASCII, as nearly all is.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) <= maxUntrusted
}
