// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/internal/config"
)

// The level is for what happens at work; who was refused is told in any case.
func TestAuditDoesNotDependOnTheLevel(t *testing.T) {
	t.Parallel()
	for _, format := range []config.LogFormat{config.LogJSON, config.LogText} {
		var out bytes.Buffer
		work, audit := newLoggers(&out, format, slog.LevelError)
		work.With("a", 1).WithGroup("g").Warn("unheard")
		audit.Debug("unheard, too")
		audit.Info("refused")
		got := out.String()
		if strings.Contains(got, "unheard") || strings.Count(got, "\n") != 1 || !strings.Contains(got, "refused") ||
			!strings.Contains(got, "logger") || !strings.Contains(got, "audit") {
			t.Errorf("%s: got %q, want one line of the audit", format, got)
		}
	}
	var out bytes.Buffer
	work, _ := newLoggers(&out, config.LogJSON, slog.LevelDebug)
	work.Debug("heard")
	if !strings.Contains(out.String(), "heard") {
		t.Errorf("got %q at level debug", out.String())
	}
}
