// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && !portable && !386 && !s390x

package proxy_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// A server with a loop that hangs says so, with the stack in the log, and can still be shut down.
func TestHangingLoopIsNoticedAndShutDown(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	end := make(chan struct{})
	g := startGate(t, brokers(b))
	g.TestingOnlyStall(func() { <-end }) // the loops begin with the first session
	t.Cleanup(func() { close(end) })     // before the server is stopped
	client, backend := session(g, b)
	if err := g.Hung(); err != nil {
		t.Errorf("got %v before anything hangs", err)
	}
	await(t, "a loop to hang", func() bool { write(t, client, pingreq); return g.Hung() != nil })
	line := g.logs.await(t, func(l map[string]any) bool { return l["msg"] == "a relay loop hangs" })
	if stack, _ := line["stack"].(string); !strings.Contains(stack, "proxy_test.TestHangingLoop") {
		t.Errorf("the stack in the log does not say where it hangs: %q", stack)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := g.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutting down: got %v, want that its time has passed", err)
	}
	if _, err := io.Copy(io.Discard, backend); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the broker does not see the end")
	}
}
