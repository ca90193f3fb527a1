// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of the admin server. Whoever reaches it is slow or broken rather than
// hostile, but a hanging scraper must not collect connections.
const (
	adminReadTimeout  = 10 * time.Second // the whole request, which has no body
	adminWriteTimeout = 30 * time.Second // answering; Prometheus gives up after 10 s by default
	adminIdleTimeout  = 2 * time.Minute  // longer than the usual scrape intervals
	adminMaxHeader    = 8 << 10          // bytes
)

// Why vernegate does not take devices.
var (
	errNoGeneration = errors.New("waiting for a first good set of trust files")
	errShuttingDown = errors.New("shutting down")
)

// readiness is whether devices may be sent here. Its zero value is ready. It
// may be used from several goroutines.
type readiness struct {
	reason atomic.Pointer[error] // nil or points to nil: ready
}

// set records the reason for not being ready, or nil.
func (r *readiness) set(reason error) { r.reason.Store(&reason) }

// err returns why devices should not be sent here, nil if they may.
func (r *readiness) err() error {
	if reason := r.reason.Load(); reason != nil {
		return *reason
	}
	return nil
}

// newAdminServer returns the server that operators and their machines ask:
//
//	/livez    200 while the process answers
//	/readyz   200 while devices may come, else 503 and the reason
//	/metrics  what was counted, for Prometheus
//
// It changes nothing, and shows nothing that is secret.
func newAdminServer(ready *readiness, metrics prometheus.Gatherer, log *slog.Logger) *http.Server {
	complaints := slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready.err(); err != nil {
			answer(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		answer(w, http.StatusOK, "ok")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		ErrorLog:      complaints,
		ErrorHandling: promhttp.ContinueOnError, // most of a scrape is better than none
	}))
	return &http.Server{
		Handler:        mux,
		ReadTimeout:    adminReadTimeout,
		WriteTimeout:   adminWriteTimeout,
		IdleTimeout:    adminIdleTimeout,
		MaxHeaderBytes: adminMaxHeader,
		ErrorLog:       complaints,
	}
}

// answer writes one line of text that nobody is to keep.
func answer(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprintln(w, line)
}
