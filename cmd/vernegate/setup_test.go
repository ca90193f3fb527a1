// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/app/apptest"
)

// world is a world in which commands run.
type world struct {
	*apptest.World
	t *testing.T
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{apptest.NewWorld(t), t}
}

// serve runs "vernegate serve" to its end and returns its exit code and what
// it printed.
func (w *world) serve() (code int, printed string) {
	var out bytes.Buffer
	code = run(w.t.Context(), []string{"serve"}, w.Environ(), io.Discard, &out)
	return code, out.String()
}

// running is a vernegate at work in this process.
type running struct {
	t    *testing.T
	logs logLines
	stop func() int // ends it and returns its exit code; may be called again
}

// start runs vernegate until stop is called or the test ends.
func (w *world) start() *running {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	logs, exit := make(logLines, 1000), make(chan int, 1)
	go func() { exit <- run(ctx, nil, w.Environ(), io.Discard, logs) }()
	stop := sync.OnceValue(func() int {
		cancel()
		return <-exit
	})
	w.t.Cleanup(func() { stop() })
	return &running{t: w.t, logs: logs, stop: stop}
}

// logLine is a log line in JSON.
type logLine map[string]any

// logLines takes what a slog handler writes, a line at a time.
type logLines chan logLine

func (l logLines) Write(p []byte) (int, error) {
	var line logLine
	if err := json.Unmarshal(p, &line); err != nil {
		return 0, err
	}
	l <- line
	return len(p), nil
}

// await returns the next log line with this message, and drops those before it.
func (r *running) await(message string) logLine {
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
