// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestDrainStopsAnotherVernegateInAnOrderlyWay(t *testing.T) {
	t.Parallel()
	skipWithoutProc(t)
	p := newWorld(t).launch()
	p.await("started")
	var stderr bytes.Buffer
	if code := drain(p.cmd.Process.Pid, &stderr); code != exitOK {
		t.Fatalf("it ends with %d: %s", code, &stderr)
	}
	if status := p.end(); status.ExitStatus() != exitOK {
		t.Errorf("vernegate ended with %v, want %d", status, exitOK)
	}
}

// Kubernetes may run a hook more than once, and sends SIGTERM behind it.
func TestDrainGoesOnWhenItIsBegunAgain(t *testing.T) {
	t.Parallel()
	skipWithoutProc(t)
	w := newWorld(t)
	w.Vars["VERNEGATE_DRAIN_DELAY"] = "1s"
	p := w.launch()
	p.await("started")
	for range 3 {
		if code := drain(p.cmd.Process.Pid, io.Discard); code != exitOK {
			t.Fatalf("it ends with %d", code)
		}
	}
	p.await("stopping")
	p.signal(syscall.SIGTERM)
	if status := p.end(); !status.Exited() || status.ExitStatus() != exitOK {
		t.Errorf("vernegate ended with %#x, want exit code %d", status, exitOK)
	}
}

func TestDrainLeavesOtherProgramsAlone(t *testing.T) {
	t.Parallel()
	skipWithoutProc(t)
	for pid, want := range map[int]string{
		os.Getppid(): "is not vernegate",
		1 << 30:      "looking at process",
	} {
		var stderr bytes.Buffer
		if code := drain(pid, &stderr); code != exitFailed || !strings.Contains(stderr.String(), want) {
			t.Errorf("with process %d it ends with %d and %q, want %d and %q", pid, code, &stderr, exitFailed, want)
		}
	}
}

func skipWithoutProc(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
}
