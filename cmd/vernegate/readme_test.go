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

// page reads a page of the documentation.
func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// variableRow matches a row of the tables of variables.
var variableRow = regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| (?:`([^`]*)` )?\\| (.+) \\|$")

func TestConfigurationPageHasAllVariablesWithTheirDefaults(t *testing.T) {
	t.Parallel()
	var want, got [][2]string
	params, err := env.GetFieldParams(&config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range params {
		want = append(want, [2]string{p.Key, p.DefaultValue})
	}
	for _, row := range variableRow.FindAllStringSubmatch(page(t, "configuration.md"), -1) {
		got = append(got, [2]string{row[1], row[2]})
	}
	if !slices.Equal(got, want) {
		t.Errorf("docs/configuration.md has, with their defaults:\n%q\nwant:\n%q", got, want)
	}
}

func TestEndingsPageHasAllReasons(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("| reason | level | CONNACK 3.1, 3.1.1 | CONNACK 5.0 | DISCONNECT 5.0 | meaning |\n|---|---|---|---|---|---|\n")
	for _, r := range proxy.Reasons() {
		fmt.Fprintf(&b, "| `%v` | %s | %s | %s | %s | %s |\n", r, strings.ToLower(r.Level().String()),
			codeOrNone("%d", r.ReturnCode()), codeOrNone("0x%02x", r.ReasonCode()), codeOrNone("0x%02x", r.DisconnectCode()), r.Meaning())
	}
	wantSection(t, "endings.md", "endings", b.String())
}

// codeOrNone writes the code of a packet, or that there is no packet.
func codeOrNone[T ~byte](format string, code T) string {
	if code == 0 {
		return "–"
	}
	return fmt.Sprintf(format, byte(code))
}

func TestMetricsPageHasAllMetrics(t *testing.T) {
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
	wantSection(t, "metrics.md", "metrics", b.String())
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

// wantSection fails unless the marked part of a page is the wanted one, and
// prints what to paste.
func wantSection(t *testing.T, file, name, want string) {
	t.Helper()
	begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->\n"
	before, rest, _ := strings.Cut(page(t, file), begin)
	got, after, found := strings.Cut(rest, end)
	if found && *update {
		if err := os.WriteFile("../../docs/"+file, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !found || got != want {
		t.Errorf("in docs/%s, between %s and %s belongs (go test -update writes it):\n%s", file, begin, end, want)
	}
}

// wantLoggedKeysExplained fails for an attribute of a connection's log line that
// docs/operations.md does not explain.
func wantLoggedKeysExplained(t *testing.T, line logLine) {
	t.Helper()
	text := page(t, "operations.md")
	for key := range line {
		if slices.Contains([]string{slog.TimeKey, slog.LevelKey, slog.MessageKey}, key) {
			continue
		}
		if !strings.Contains(text, "`"+key+"`") {
			t.Errorf("docs/operations.md does not say what the attribute %q of a log line means", key)
		}
	}
}
