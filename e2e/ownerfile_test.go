// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
)

// writeManyOwners writes a file with an owner on each of so many lines; those of two versions differ in every owner.
func writeManyOwners(t *testing.T, path string, lines, version int) {
	t.Helper()
	f := must(os.Create(path))(t)
	w := bufio.NewWriter(f)
	for i := range lines {
		fmt.Fprintf(w, "%x acme:device-%d-%d\n", sha256.Sum256([]byte(strconv.Itoa(i))), i, version)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMillionOwnersBesideLiveTraffic replaces a file of a million owners, beside sessions that make round trips, and whose owners stay the
// same. The figures are told, and not judged: they are those of a machine that does other things, too.
func TestMillionOwnersBesideLiveTraffic(t *testing.T) {
	const sessions = 200
	lines, turns := 1_000_000, 3
	if stack.Race { // the detector's memory and time are not what is looked at
		lines, turns = 100_000, 1
	}
	fake := startFakeBroker(t)
	s := prepareFixture(t)
	dir := t.TempDir()
	path, next := filepath.Join(dir, "owners"), filepath.Join(dir, "next")
	writeManyOwners(t, path, lines, 0)
	s.startBefore(t, fake.Addr, "VERNEGATE_IDENTITY", "file,certificate-acl", "VERNEGATE_IDENTITY_FILE", path)
	ctx := within(t, 8*time.Minute)
	crowd := crowdOf(ctx, t, s, sessions, s.pki.Root)
	for turn := range turns {
		quiet := make(chan struct{})
		time.AfterFunc(3*time.Second, func() { close(quiet) })
		without := feel(ctx, t, crowd, quiet)

		writeManyOwners(t, next, lines, turn+1)
		loaded := s.sum(t, "vernegate_identity_file_loaded_timestamp_seconds")
		began, inUse := time.Now(), make(chan struct{})
		if err := os.Rename(next, path); err != nil {
			t.Fatal(err)
		}
		var took time.Duration
		go func() {
			defer close(inUse)
			often := time.NewTicker(100 * time.Millisecond)
			defer often.Stop()
			for ctx.Err() == nil && took == 0 {
				<-often.C
				m, err := s.Metrics(ctx)
				if err == nil && m.Sum("vernegate_identity_file_loaded_timestamp_seconds") > loaded {
					took = time.Since(began)
				}
			}
		}()
		with := feel(ctx, t, crowd, inUse)
		t.Logf("without: %v; while %d lines are read, which takes %v: %v", without, lines, took.Round(time.Millisecond), with)
	}
	if n := s.sum(t, "vernegate_identity_file_lines"); n != float64(lines) {
		t.Errorf("%v lines are in use, want %d", n, lines)
	}
	if ended := s.sum(t, "vernegate_connections_ended_total"); ended != 0 {
		t.Errorf("%v sessions have ended", ended)
	}
}
