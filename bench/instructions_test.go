// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package main

import (
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/vernegate/vernegate/bench/peer"
)

// instructionsFile has how many thousand instructions connections may take.
const instructionsFile = "testdata/instructions.json"

// What is counted is the difference of two runs, so that the start and the end of the process are not.
const (
	fewConnections  = 50
	manyConnections = 250
)

// counted is how valgrind says how many instructions a thread has executed.
var counted = regexp.MustCompile(`Total instructions: (\d+)`)

// TestBudgetOfInstructions holds how many instructions the real binary executes in user space for a connection. Unlike
// time, their number does not depend on what else a machine does. valgrind counts them, with the instructions of a
// processor that has AVX2.
func TestBudgetOfInstructions(t *testing.T) {
	// Not parallel: others would only wait for it.
	if _, err := exec.LookPath("valgrind"); err != nil {
		t.Skip("needs valgrind: ", err)
	}
	bin, s := budgetTestbed(t)
	c := counter{meter{t: t, trial: &trial{testbed: s, effort: &brief, files: s.ecdsa}, found: map[string]float64{}}, bin}
	c.connections("TLS 1.3", tls.VersionTLS13, false)
	c.connections("TLS 1.3 resumed", tls.VersionTLS13, true)
	c.connections("TLS 1.2", tls.VersionTLS12, false)
	settleBudget(t, instructionsFile, c.found)
}

// A counter finds numbers of instructions.
type counter struct {
	meter
	bin string // vernegate
}

// connections counts what whole connections take.
func (c *counter) connections(name string, version uint16, resume bool) {
	c.t.Helper()
	few := c.run(version, resume, fewConnections)
	many := c.run(version, resume, manyConnections)
	c.found[name+" connection, thousand instructions"] = (many - few) / (manyConnections - fewConnections) / 1000
}

// run counts the instructions of a vernegate that has n connections in its life.
func (c *counter) run(version uint16, resume bool, n int) (count float64) {
	c.t.Helper()
	dir := c.t.TempDir()
	log, script := filepath.Join(dir, "valgrind.log"), filepath.Join(dir, "vernegate")
	command := fmt.Sprintf("#!/bin/sh\nGOMAXPROCS=1 exec valgrind --tool=exp-bbv --instr-count-only=yes --bb-out-file=%s/bb --log-file=%s %s \"$@\"\n", dir, log, c.bin)
	if err := os.WriteFile(script, []byte(command), 0o755); err != nil {
		c.t.Fatal(err)
	}
	trial, err := c.trial.startTrial(c.t.Context(), peer.Kinds(script, "")[0], c.trial.files, c.trial.effort, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	f := trial.fleet(16)
	f.Version, f.Resume = version, resume
	c.come(f, n)
	if err := trial.end(); err != nil {
		c.t.Fatal(err)
	}
	said, err := os.ReadFile(log)
	if err != nil {
		c.t.Fatal(err)
	}
	threads := counted.FindAllSubmatch(said, -1)
	if threads == nil {
		c.t.Fatalf("valgrind counted nothing:\n%s", said)
	}
	for _, thread := range threads {
		n, err := strconv.ParseFloat(string(thread[1]), 64)
		if err != nil {
			c.t.Fatal(err)
		}
		count += n
	}
	return count
}
