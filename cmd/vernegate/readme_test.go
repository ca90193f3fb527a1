// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caarlos0/env/v11"
	dto "github.com/prometheus/client_model/go"

	"github.com/vernegate/vernegate/proxy"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// variableRow matches a row of the table of variables.
var variableRow = regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| (?:`([^`]*)` )?\\| (.+) \\|$")

func TestReadmeHasAllVariablesWithTheirDefaults(t *testing.T) {
	t.Parallel()
	var want, got [][2]string
	params, err := env.GetFieldParams(&config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range params {
		want = append(want, [2]string{p.Key, p.DefaultValue})
	}
	for _, row := range variableRow.FindAllStringSubmatch(readme(t), -1) {
		got = append(got, [2]string{row[1], row[2]})
	}
	if !slices.Equal(got, want) {
		t.Errorf("the README has, with their defaults:\n%q\nwant:\n%q", got, want)
	}
}

func TestReadmeHasAllEndings(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("| reason | level | CONNACK 3.1, 3.1.1 | CONNACK 5.0 | DISCONNECT 5.0 | meaning |\n|---|---|---|---|---|---|\n")
	for _, r := range proxy.Reasons() {
		fmt.Fprintf(&b, "| `%v` | %s | %s | %s | %s | %s |\n", r, strings.ToLower(r.Level().String()),
			codeOrNone("%d", r.ReturnCode()), codeOrNone("0x%02x", r.ReasonCode()), codeOrNone("0x%02x", r.DisconnectCode()), r.Meaning())
	}
	wantSection(t, "endings", b.String())
}

// codeOrNone writes the code of a packet, or that there is no packet.
func codeOrNone[T ~byte](format string, code T) string {
	if code == 0 {
		return "–"
	}
	return fmt.Sprintf(format, byte(code))
}

func TestReadmeHasAllMetrics(t *testing.T) {
	t.Parallel()
	families, err := newTestGate(t).registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "vernegate_") {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), labelsOf(f), f.GetHelp())
		}
	}
	wantSection(t, "metrics", b.String())
}

// labelsOf lists the labels of a metric.
func labelsOf(f *dto.MetricFamily) string {
	names := map[string]bool{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			names["`"+l.GetName()+"`"] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), ", ")
}

// wantSection fails unless the marked part of the README is the wanted one,
// and prints what to paste.
func wantSection(t *testing.T, name, want string) {
	t.Helper()
	_, rest, _ := strings.Cut(readme(t), "<!-- begin "+name+" -->\n")
	got, _, found := strings.Cut(rest, "<!-- end "+name+" -->\n")
	if !found || got != want {
		t.Errorf("between <!-- begin %s --> and <!-- end %s --> belongs:\n%s", name, name, want)
	}
}

// wantLoggedKeysInReadme fails for an attribute of a connection's log line that
// the README does not explain.
func wantLoggedKeysInReadme(t *testing.T, line logLine) {
	t.Helper()
	text := readme(t)
	for key := range line {
		if slices.Contains([]string{slog.TimeKey, slog.LevelKey, slog.MessageKey}, key) {
			continue
		}
		if !strings.Contains(text, "`"+key+"`") {
			t.Errorf("the README does not say what the attribute %q of a log line means", key)
		}
	}
}
