// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/vernegate/vernegate/internal/app"
	"github.com/vernegate/vernegate/internal/app/apptest"
	"github.com/vernegate/vernegate/internal/config"
)

// running is a vernegate at work in this process.
type running struct {
	t              *testing.T
	logs           logLines
	admin, devices string // addresses
}

// start runs vernegate until the test ends, and returns when it takes devices.
func start(t *testing.T, w *apptest.World) *running {
	t.Helper()
	cfg, err := config.Load(w.Environ())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, logs: make(logLines, 1000)}
	log, ended := slog.New(slog.NewJSONHandler(r.logs, nil)), make(chan error, 1)
	go func() {
		ended <- app.New(cfg, app.Build{Version: "v1.2.3", Commit: "unknown", Go: "go1.26.0"}, log, log).Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	r.admin = r.await("listening")["address"].(string)
	r.devices = r.await("listening")["address"].(string)
	r.await("started")
	return r
}

// metrics returns what there is at /metrics, by name.
func (r *running) metrics() map[string]*dto.MetricFamily {
	r.t.Helper()
	resp, err := http.Get("http://" + r.admin + "/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return families
}

// await returns the next log line with this message, and drops those before it.
func (r *running) await(message string) map[string]any {
	r.t.Helper()
	patience := time.After(10 * time.Second)
	for {
		select {
		case line := <-r.logs:
			if line["msg"] == message {
				return line
			}
		case <-patience:
			r.t.Fatalf("waiting for %q in the log", message)
		}
	}
}

// logLines takes what a slog handler writes, a line at a time.
type logLines chan map[string]any

func (l logLines) Write(p []byte) (int, error) {
	var line map[string]any
	if err := json.Unmarshal(p, &line); err != nil {
		return 0, err
	}
	l <- line
	return len(p), nil
}
