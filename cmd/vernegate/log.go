// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"github.com/vernegate/vernegate/internal/config"
)

// newLoggers returns a logger for what happens at work, from a level on, and
// one for the audit, whose lines carry logger=audit and do not depend on the
// level. Both write JSON lines to w, or text for people if they asked for it or
// w is a terminal. Only a terminal gets colours.
func newLoggers(w io.Writer, format config.LogFormat, level slog.Level) (work, audit *slog.Logger) {
	handler := newHandler(w, format, min(level, slog.LevelInfo))
	return slog.New(threshold{handler, level}), slog.New(handler).With("logger", "audit")
}

// newHandler returns a handler that writes whole lines, one at a time, to the
// journal with their priority.
func newHandler(w io.Writer, format config.LogFormat, level slog.Level) slog.Handler {
	if j, is := w.(*journal); is {
		return j.handler(func(w io.Writer) slog.Handler { return newHandler(w, format, level) })
	}
	terminal := isTerminal(w)
	if format == config.LogJSON || format == config.LogAuto && !terminal {
		return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})
	}
	return tint.NewTextHandler(w, &tint.Options{
		Level:      level,
		TimeFormat: time.DateTime,
		NoColor:    !terminal,
	})
}

// A threshold lets through to a handler what has at least some level.
type threshold struct {
	slog.Handler
	level slog.Level
}

// Enabled implements slog.Handler.
func (t threshold) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= t.level && t.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (t threshold) WithAttrs(attrs []slog.Attr) slog.Handler {
	return threshold{t.Handler.WithAttrs(attrs), t.level}
}

// WithGroup implements slog.Handler.
func (t threshold) WithGroup(name string) slog.Handler {
	return threshold{t.Handler.WithGroup(name), t.level}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
