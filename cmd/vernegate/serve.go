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

	"github.com/vernegate/vernegate/truststore"
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

	g := newGate(cfg, newLogger(stderr, cfg.LogFormat, slog.Level(cfg.LogLevel)))
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

// filesError is what is wrong with the trust files at the start, one mistake a line.
type filesError struct{ err error }

func (e *filesError) Error() string { return e.err.Error() }

// tryFiles reads the trust files once and returns what is wrong with them. It
// has nothing to say when the variables that name them are wrong themselves.
func (c config) tryFiles(ctx context.Context) error {
	if len(c.TLSCert) == 0 || len(c.TLSKey) != len(c.TLSCert) || len(c.TLSCA) == 0 || len(c.TLSCRL) == 0 {
		return nil
	}
	_, err := truststore.Open(ctx, c.trustConfig(nil))
	return err
}
