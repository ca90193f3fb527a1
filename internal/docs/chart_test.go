// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/proxy"
)

// chartFile returns a file of the Helm chart, whose own tests are beside it.
func chartFile(t *testing.T, path ...string) string {
	t.Helper()
	return read(t, filepath.Join(append([]string{"../../charts/vernegate"}, path...)...))
}

// TestChartTakesAllVariables: the schema of its values lists, under env, ours and no
// others, so that a misspelt one is refused before it reaches a pod.
func TestChartTakesAllVariables(t *testing.T) {
	t.Parallel()
	var schema struct {
		Properties struct {
			Env struct {
				Properties           map[string]any
				AdditionalProperties bool
			}
		}
	}
	schema.Properties.Env.AdditionalProperties = true // what it is unless said otherwise
	if err := json.Unmarshal([]byte(chartFile(t, "values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	got, want := slices.Sorted(maps.Keys(schema.Properties.Env.Properties)), slices.Sorted(slices.Values(config.Variables()))
	if !slices.Equal(got, want) {
		t.Errorf("env in values.schema.json has\n%q\nwant\n%q", got, want)
	}
	if schema.Properties.Env.AdditionalProperties {
		t.Error("env in values.schema.json takes any other")
	}
}

// TestChartRefusesVariablesThatItSets compares the two lists of them in the templates.
func TestChartRefusesVariablesThatItSets(t *testing.T) {
	t.Parallel()
	refused := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^  "(VERNEGATE_\w+)" "`).FindAllStringSubmatch(chartFile(t, "templates", "_checks.tpl"), -1) {
		refused[match[1]] = true
	}
	// Secrets have no place in a manifest; set are those that name a file.
	set := map[string]bool{"VERNEGATE_ADMIN_TOKEN": true, "VERNEGATE_ADMIN_READ_TOKEN": true}
	_, own, _ := strings.Cut(chartFile(t, "templates", "_gate.tpl"), `{{- define "vernegate.ownVariables" -}}`)
	own, _, _ = strings.Cut(own, "{{- define ")
	for _, text := range []string{own, chartFile(t, "templates", "_certificates.tpl")} {
		for _, name := range regexp.MustCompile(`VERNEGATE_[A-Z_]+[A-Z]\b`).FindAllString(text, -1) {
			set[name] = true
		}
	}
	delete(set, "VERNEGATE_TLS") // VERNEGATE_TLS_*, in a comment
	if got, want := slices.Sorted(maps.Keys(refused)), slices.Sorted(maps.Keys(set)); !slices.Equal(got, want) {
		t.Errorf("env refuses\n%q\nand the chart sets\n%q", got, want)
	}
}

var (
	// usedMetric matches a metric in an expression of Prometheus.
	usedMetric = regexp.MustCompile(`\b(vernegate|go|process)_[a-z0-9_]+\b`)
	// usedMatcher matches what follows a metric in braces, one at a time: the label, and the values.
	usedMatcher = regexp.MustCompile(`(\w+)(=|!=|=~|!~)"([^"]*)"`)
	// targetLabels are the scrape's, not ours.
	targetLabels = []string{"namespace", "pod"}
)

// TestAlertsAndDashboardUseMetricsThatThereAre, and labels of them, and for these the
// values that they can have.
func TestAlertsAndDashboardUseMetricsThatThereAre(t *testing.T) {
	t.Parallel()
	families := gathered(t)
	for file, expressions := range map[string][]string{
		"alerts.yaml":    {withoutAnnotations(chartFile(t, "files", "alerts.yaml"))},
		"dashboard.json": dashboardExpressions(t),
	} {
		used := 0
		for _, expr := range expressions {
			for _, at := range usedMetric.FindAllStringIndex(expr, -1) {
				used++
				wantMetric(t, file, families, expr[at[0]:at[1]], expr[at[1]:])
			}
		}
		if used < 16 { // one for each alert
			t.Errorf("only %d metrics are found in %s", used, file)
		}
	}
}

// TestDashboardShowsEveryMetric of ours, so that a new one gets its panel.
func TestDashboardShowsEveryMetric(t *testing.T) {
	t.Parallel()
	shown := strings.Join(dashboardExpressions(t), "\n")
	for name, family := range gathered(t) {
		if !strings.HasPrefix(name, "vernegate_") || family.GetName() != name {
			continue
		}
		if !regexp.MustCompile(`\b` + name + `(_bucket|_count|_sum)?\b`).MatchString(shown) {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// wantMetric fails unless there is a metric with this name and the labels in the braces
// that rest may begin with.
func wantMetric(t *testing.T, file string, families map[string]*dto.MetricFamily, name, rest string) {
	t.Helper()
	family, exists := families[name]
	if !exists {
		t.Errorf("%s uses %s, which does not exist", file, name)
		return
	}
	if !strings.HasPrefix(rest, "{") {
		return
	}
	braces, _, _ := strings.Cut(rest, "}")
	for _, match := range usedMatcher.FindAllStringSubmatch(braces, -1) {
		label, values := match[1], match[3]
		if slices.Contains(targetLabels, label) {
			continue
		}
		possible := valuesOf(family, label)
		for value := range strings.SplitSeq(values, "|") {
			if !slices.Contains(possible, value) {
				t.Errorf("%s asks for %s{%s=%q}, which has %q", file, name, label, value, possible)
			}
		}
	}
}

// valuesOf lists what a label of a metric can be.
func valuesOf(family *dto.MetricFamily, label string) []string {
	var values []string
	for _, m := range family.GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == label {
				values = append(values, l.GetValue())
			}
		}
	}
	if family.GetName() == "vernegate_connections_ended_total" && label == "reason" {
		for _, r := range proxy.Reasons() {
			values = append(values, r.String())
		}
	}
	return values
}

// gathered returns our metrics by the names that they have when they are asked for.
func gathered(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	families := start(t, newFullWorld(t)).metrics()
	byName := map[string]*dto.MetricFamily{}
	for _, f := range families {
		byName[f.GetName()] = f
		if f.GetType() == dto.MetricType_HISTOGRAM {
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				byName[f.GetName()+suffix] = f
			}
		}
	}
	return byName
}

// withoutAnnotations returns alerts without what is for people.
func withoutAnnotations(text string) string {
	return regexp.MustCompile(`(?m)^ *(#|summary:|description:|runbook_url:|- name:).*$`).ReplaceAllString(text, "")
}

// dashboardExpressions returns what the panels and variables of the dashboard ask for.
func dashboardExpressions(t *testing.T) []string {
	t.Helper()
	var board struct {
		Templating struct{ List []struct{ Definition string } }
		Panels     []struct {
			ID      int
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(chartFile(t, "files", "dashboard.json")), &board); err != nil {
		t.Fatal(err)
	}
	var expressions []string
	for _, v := range board.Templating.List {
		expressions = append(expressions, v.Definition)
	}
	ids := map[int]bool{}
	for _, p := range board.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have id %d", p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("the panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			expressions = append(expressions, target.Expr)
		}
	}
	return expressions
}

// TestChartHasRoomForItsSessions compares its defaults with the table of sizes, and so does the example beside VerneMQ's chart.
// Its image is one that a release has.
func TestChartHasRoomForItsSessions(t *testing.T) {
	t.Parallel()
	values := chartFile(t, "values.yaml")
	for pattern, want := range map[string]string{
		`(?m)^  maxConnections: (\d+)`:                     "50000",
		`(?ms)^resources:.*?^  limits:\n    memory: (\w+)`: "3Gi",
	} {
		if got := regexp.MustCompile(pattern).FindStringSubmatch(values); got == nil || got[1] != want {
			t.Errorf("values.yaml has %q for %s, want %s", got, pattern, want)
		}
	}
	if row := "| 50 000 | 2 Gi, 3 Gi |"; !strings.Contains(read(t, "../../docs/kubernetes.md"), row) {
		t.Errorf("docs/kubernetes.md has no %q", row)
	}
	example := read(t, "../../examples/vernemq-chart/vernegate.yaml")
	for _, want := range []string{"limits: {memory: 3Gi}", "image: ghcr.io/vernegate/vernegate:v"} {
		if !strings.Contains(example, want) {
			t.Errorf("the example has no %q", want)
		}
	}
	if chart := chartFile(t, "Chart.yaml"); !strings.Contains(chart, "\nappVersion: v") {
		t.Error("releases have images whose tags begin with v, and the chart asks for another one")
	}
}
