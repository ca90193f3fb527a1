// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/bench/load"
	"github.com/vernegate/vernegate/bench/peer"
	"github.com/vernegate/vernegate/e2e/stack"
)

var update = flag.Bool("update", false, "write the budget instead of holding it")

// budgetFile has what each of the figures may be: counts and bytes, which do not depend on how fast or how busy a
// machine is.
const budgetFile = "testdata/budget.json"

// The noise that a figure can have: what a runtime does in the background, divided by what is measured.
const (
	budgetMargin = 1.15 // of the budget; beside it, for budgets that are next to nothing:

	allocationsSlack = 0.9 // less than one; the test in proxy counts them one by one
	stackSlack       = 512 // bytes: a quarter of the smallest stack of a goroutine
)

// slack is that of a figure, by its name.
func slack(name string) float64 {
	switch {
	case strings.HasSuffix(name, "allocations"):
		return allocationsSlack
	case strings.HasSuffix(name, "stacks"):
		return stackSlack
	}
	return 0
}

// How much is done for each figure; the more, the less the noise counts.
const (
	budgetMessages    = 10_000
	budgetConnections = 1000
	budgetSessions    = 1000
)

// TestBudget holds what the real binary, with all of its defaults, allocates and keeps against the committed budget.
func TestBudget(t *testing.T) {
	// Not parallel: what else this process does would not disturb it, but it would disturb others.
	bin, s := budgetTestbed(t)
	m := &meter{t: t, found: map[string]float64{}}
	var err error
	m.trial, err = s.startTrial(t.Context(), peer.Kinds(bin, "")[0], s.ecdsa, &brief, map[string]string{
		"VERNEGATE_ADMIN_TOKEN": adminToken,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.trial.end(); err != nil {
			t.Error(err)
		}
	})
	m.connections("TLS 1.3", tls.VersionTLS13, false)
	m.connections("TLS 1.3 resumed", tls.VersionTLS13, true)
	m.connections("TLS 1.2", tls.VersionTLS12, false)
	m.messages()
	m.sessions()

	settleBudget(t, budgetFile, m.found)
}

// settleBudget holds what was found against the budget in a file, or makes it the budget.
func settleBudget(t *testing.T, file string, found map[string]float64) {
	t.Helper()
	if *update {
		writeBudget(t, file, found)
		return
	}
	holdBudget(t, file, found)
}

// budgetTestbed builds vernegate, and makes what it is measured on.
func budgetTestbed(t *testing.T) (bin string, s *testbed) {
	t.Helper()
	bin, err := stack.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if s, err = newTestbed(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.close() })
	return bin, s
}

// A meter finds figures of one vernegate.
type meter struct {
	t     *testing.T
	trial *trial
	found map[string]float64
}

// metrics scrapes vernegate.
func (m *meter) metrics() stack.Metrics {
	m.t.Helper()
	got, err := m.trial.proxy.Metrics(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	return got
}

// quiet waits until no session is left.
func (m *meter) quiet() {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		now := m.metrics()
		accepted, ended := now.Sum("vernegate_connections_accepted_total"), now.Sum("vernegate_connections_ended_total")
		if accepted == ended {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			m.t.Fatalf("%v connections accepted and %v ended", accepted, ended)
		}
	}
}

// spent returns what vernegate allocates for one of n things that f has it do, without what the asking costs.
func (m *meter) spent(n float64, f func()) (allocations, bytes float64) {
	m.t.Helper()
	const mallocs, size = "go_memstats_mallocs_total", "go_memstats_alloc_bytes_total"
	calm, before := m.metrics(), m.metrics()
	f()
	after := m.metrics()
	of := func(name string) float64 { return (after[name] - before[name] - (before[name] - calm[name])) / n }
	return of(mallocs), of(size)
}

// connections counts what whole connections allocate.
func (m *meter) connections(name string, version uint16, resume bool) {
	m.t.Helper()
	f := m.trial.fleet(16)
	f.Version, f.Resume = version, resume
	m.come(f, 32) // certificate-acl is asked, and tickets are given
	m.quiet()
	allocations, bytes := m.spent(budgetConnections, func() {
		m.come(f, budgetConnections)
		m.quiet()
	})
	m.found[name+" connection, allocations"], m.found[name+" connection, bytes allocated"] = allocations, bytes
}

// come has n devices connect and leave, one after the other.
func (m *meter) come(f *load.Fleet, n int) {
	m.t.Helper()
	for i := range n {
		sessions, err := f.Open(i, 1)
		if err != nil {
			m.t.Fatal(err)
		}
		sessions.Close()
	}
}

// messages counts what messages allocate in the steady state.
func (m *meter) messages() {
	m.t.Helper()
	sessions := m.open(1)
	defer sessions.Close()
	for name, size := range map[string]int{"64 B": messageSize, "16 KiB": primeSize} {
		m.say(sessions, size, budgetMessages/10)
		m.found["message of "+name+" there and back, allocations"], _ = m.spent(budgetMessages, func() {
			m.say(sessions, size, budgetMessages)
		})
	}
}

func (m *meter) say(sessions load.Sessions, size, times int) {
	m.t.Helper()
	for range times {
		if err := sessions.Prime(size); err != nil {
			m.t.Fatal(err)
		}
	}
}

// sessions counts what silent sessions keep.
func (m *meter) sessions() {
	m.t.Helper()
	m.quiet()
	before := m.live()
	sessions := m.open(budgetSessions)
	defer sessions.Close()
	m.keep("silent session", before)
	m.say(sessions, primeSize, 1)
	m.keep("session that has echoed 16 KiB", before)
}

func (m *meter) keep(name string, before stack.Live) {
	m.t.Helper()
	now := m.live()
	m.found[name+", bytes of heap"] = (now.Heap - before.Heap) / budgetSessions
	m.found[name+", bytes of stacks"] = (now.Stacks - before.Stacks) / budgetSessions
}

func (m *meter) open(n int) load.Sessions {
	m.t.Helper()
	sessions, err := m.trial.fleet(n).Open(0, n)
	if err != nil {
		m.t.Fatal(err)
	}
	return sessions
}

func (m *meter) live() stack.Live {
	m.t.Helper()
	l, err := m.trial.proxy.Live(m.t.Context(), adminToken)
	if err != nil {
		m.t.Fatal(err)
	}
	return l
}

func holdBudget(t *testing.T, file string, found map[string]float64) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var budget map[string]float64
	if err := json.Unmarshal(text, &budget); err != nil {
		t.Fatal(err)
	}
	for name, got := range found {
		may, ok := budget[name]
		switch {
		case !ok:
			t.Errorf("%s: %.2f, and there is no budget for it", name, got)
		case got > may*budgetMargin+slack(name):
			t.Errorf("%s: %.2f, the budget is %.2f", name, got, may)
		case got < may/budgetMargin-slack(name):
			t.Logf("%s: %.2f, the budget of %.2f can be lowered (make budget UPDATE=1)", name, got, may)
		}
	}
	for name := range budget {
		if _, ok := found[name]; !ok {
			t.Errorf("there is a budget for %s, which nobody measures", name)
		}
	}
}

func writeBudget(t *testing.T, file string, found map[string]float64) {
	t.Helper()
	for name, v := range found {
		found[name] = math.Round(v*10) / 10
	}
	text, err := json.MarshalIndent(found, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
