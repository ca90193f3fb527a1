// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package e2e_test runs the real binary between real clients and a real broker.
//
// The broker is a Mosquitto of its own, or the one that E2E_BROKER names as
// host:port: it must let everybody in and leave all topics open (VerneMQ with
// allow_anonymous = on). Tests that read Mosquitto's log are skipped then and say
// which other test shows the same.
//
// E2E_SESSIONS sets how many live sessions the largest test holds; each takes two
// descriptors of the test process, two of vernegate, and about 7 ms to begin.
package e2e_test

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
)

// Built and started once, by TestMain.
var (
	program   string           // path of the vernegate under test
	mosquitto *stack.Mosquitto // nil when E2E_BROKER names another broker
	broker    string           // host:port of the broker
)

// parallel is how many tests run at once: these wait much more than they work.
const parallel = "8"

func TestMain(m *testing.M) {
	if addr := os.Getenv(stormAt); addr != "" {
		os.Exit(storm(addr, os.Getenv(stormFiles)))
	}
	if err := flag.Set("test.parallel", parallel); err != nil {
		panic(err)
	}
	os.Exit(testMain(m))
}

// testMain is TestMain with deferred calls that run.
func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "vernegate-e2e-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // a cold build cache takes its time
	defer cancel()
	if program, err = stack.Build(ctx, dir); err != nil {
		return fail(err)
	}
	if broker = os.Getenv("E2E_BROKER"); broker == "" {
		if mosquitto, err = stack.StartMosquitto(ctx, dir, ""); err != nil {
			return fail(err)
		}
		defer mosquitto.Kill()
		broker = mosquitto.Addr
	}
	return m.Run()
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// noteInputs reads what the results of these tests depend on, for the go command's
// memory of results: it knows only what is read while a test runs. Without this, a
// changed program would be passed by remembering that the one before had passed. Of a
// binary that VERNEGATE_BIN names it knows the name alone: run that with -count=1.
func noteInputs(t testing.TB) {
	t.Helper()
	os.Getenv("VERNEGATE_BIN")
	os.Getenv("E2E_BROKER")
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && slices.Contains([]string{".git", "bin"}, entry.Name()) {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// within is a context for one test that ends after d.
func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// eventually asks until done says yes, and fails the test after d.
func eventually(t testing.TB, d time.Duration, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(d); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", d, what)
		}
	}
}

// listenAgain has certificate-acl listen again. A process that is just being started
// may hold a copy of its old listener, which is gone in a moment.
func listenAgain(acl *stack.ACL) (err error) {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = acl.Up(); !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
	return err
}

// must is for steps that are not under test: must(open())(t) is what open returns,
// or fails the test.
func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// unique is a short name that no other test and no earlier run has used, so that
// client ids and topics do not meet on a shared broker.
func unique() string { return strings.ToLower(rand.Text()[:12]) }
