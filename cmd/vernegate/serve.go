// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"strings"
	"syscall"

	"github.com/vernegate/vernegate/internal/footprint"
)

// serve takes devices until ctx ends or SIGINT or SIGTERM comes, and returns
// the exit code. A second signal finds no handler any more, and kills.
func serve(ctx context.Context, environ []string, stderr io.Writer) int {
	cfg, err := loadConfig(environ)
	if err != nil {
		return reportMistakes(stderr, errors.Join(err, cfg.tryFiles(ctx)))
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	log, audit := newLoggers(stderr, cfg.LogFormat, slog.Level(cfg.LogLevel))
	footprint.Bound() // before what is derived from it
	go footprint.Keep(ctx)
	g := newGate(cfg, log, audit)
	cfg.inherited.warn(g.log)
	err = g.run(ctx)
	if mistake, is := errors.AsType[*filesError](err); is {
		return reportMistakes(stderr, mistake)
	}
	if err != nil {
		g.log.Error("stopped", "err", err)
		return exitFailed
	}
	g.log.Info("stopped")
	return exitOK
}

// reportMistakes prints one mistake a line and returns the exit code for them.
func reportMistakes(w io.Writer, err error) int {
	fmt.Fprintf(w, "vernegate: wrong configuration:\n  %s\n", strings.ReplaceAll(err.Error(), "\n", "\n  "))
	return exitMistake
}
