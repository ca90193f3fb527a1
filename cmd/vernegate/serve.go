// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/vernegate/vernegate/internal/app"
	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/internal/footprint"
	"github.com/vernegate/vernegate/internal/sdnotify"
)

// serve takes devices until ctx ends or SIGINT or SIGTERM comes, and returns
// the exit code. A second signal kills.
func serve(ctx context.Context, environ []string, stderr io.Writer) int {
	vars := config.Map(environ)
	stderr = orJournal(stderr, vars["JOURNAL_STREAM"])
	cfg, err := config.Load(environ)
	if err != nil {
		return reportMistakes(stderr, errors.Join(err, app.TryFiles(ctx, cfg)))
	}
	// When the reader of the log goes away, there is no log any more. That is no
	// reason to cut every session, which is what Go does at a write to stderr.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := untilSignal(ctx, die)
	defer stop()

	log, audit := newLoggers(stderr, cfg.LogFormat, slog.Level(cfg.LogLevel))
	footprint.Bound() // before what is derived from it
	go footprint.Keep(ctx)
	cfg.LogLegacy(log)
	vernegate := app.New(cfg, thisBuild(), log, audit)
	manager, err := sdnotify.New(vars, os.Getpid())
	if err != nil {
		log.Warn("the service manager cannot be told everything", "err", err)
	}
	vernegate.ReportTo(manager)
	err = vernegate.Run(ctx)
	if mistake, is := errors.AsType[*app.FilesError](err); is {
		return reportMistakes(stderr, mistake)
	}
	if err != nil {
		log.Error("stopped", "err", err)
		return exitFailed
	}
	log.Info("stopped")
	return exitOK
}

// reportMistakes prints one mistake a line and returns the exit code for them.
func reportMistakes(w io.Writer, err error) int {
	fmt.Fprintf(w, "vernegate: wrong configuration:\n  %s\n", strings.ReplaceAll(err.Error(), "\n", "\n  "))
	return exitMistake
}
