// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// ask sends a request to an admin server that is in this state.
func ask(state error, method, path string) *httptest.ResponseRecorder {
	var ready readiness
	ready.set(state)
	server := newAdminServer(&ready, newRegistry(), slog.New(slog.DiscardHandler))
	w := httptest.NewRecorder()
	server.Handler.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestAdminAnswersByState(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		state  error
		path   string
		status int
		body   string
	}{
		{nil, "/livez", http.StatusOK, "ok\n"},
		{nil, "/readyz", http.StatusOK, "ok\n"},
		{errNoGeneration, "/livez", http.StatusOK, "ok\n"},
		{errNoGeneration, "/readyz", http.StatusServiceUnavailable, "waiting for a first good set of trust files\n"},
		{errShuttingDown, "/livez", http.StatusOK, "ok\n"},
		{errShuttingDown, "/readyz", http.StatusServiceUnavailable, "shutting down\n"},
		{nil, "/", http.StatusNotFound, "404 page not found\n"},
		{nil, "/livez/x", http.StatusNotFound, "404 page not found\n"},
	} {
		got := ask(row.state, http.MethodGet, row.path)
		if got.Code != row.status || got.Body.String() != row.body {
			t.Errorf("GET %s when %v: %d %q, want %d %q", row.path, row.state, got.Code, got.Body, row.status, row.body)
		}
	}
}

func TestAdminChangesNothing(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		if got := ask(nil, http.MethodPost, path).Code; got != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d, want %d", path, got, http.StatusMethodNotAllowed)
		}
	}
}

func TestAdminServesMetrics(t *testing.T) {
	t.Parallel()
	got := ask(nil, http.MethodGet, "/metrics")
	if got.Code != http.StatusOK || !strings.Contains(got.Body.String(), "\nvernegate_build_info{") {
		t.Errorf("GET /metrics: %d %q", got.Code, got.Body)
	}
}

func TestReadinessTellsTheLatestReason(t *testing.T) {
	t.Parallel()
	var r readiness
	if err := r.err(); err != nil {
		t.Errorf("a zero readiness is not ready: %v", err)
	}
	for _, reason := range []error{errNoGeneration, nil, errShuttingDown} {
		r.set(reason)
		if got := r.err(); !errors.Is(got, reason) {
			t.Errorf("got %v, want %v", got, reason)
		}
	}
}
