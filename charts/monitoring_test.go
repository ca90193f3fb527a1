// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// alerts are those of the chart, by name.
func alerts(t *testing.T, text string) map[string]alert {
	t.Helper()
	var file alertGroups
	if err := yaml.UnmarshalStrict([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	byName := map[string]alert{}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			byName[rule.Alert] = rule
		}
	}
	return byName
}

const alertsFile = "vernegate/files/alerts.yaml"

// TestAlerts has promtool play what they are for, and what they must keep quiet at.
func TestAlerts(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Fatalf("%v: make tools installs it", err)
	}
	tests := filepath.Join("testdata", "alerts_test.yaml")
	if out, err := exec.Command("promtool", "test", "rules", tests).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
	played := read(t, tests)
	for name := range alerts(t, read(t, alertsFile)) {
		begin := "alertname: " + name + "\n"
		if !strings.Contains(played, begin+"        exp_alerts:\n          -") {
			t.Errorf("%s is never expected to fire", name)
		}
		if !strings.Contains(played, begin+"        exp_alerts: []") {
			t.Errorf("%s is never expected to be quiet", name)
		}
	}
}

// TestEveryAlertHasItsParagraph: its link leads to a heading of the documentation that is
// followed by text.
func TestEveryAlertHasItsParagraph(t *testing.T) {
	t.Parallel()
	const page = "https://github.com/vernegate/vernegate/blob/main/docs/kubernetes.md#"
	documented := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^#### (Vernegate\w+)\n\n\w`).FindAllStringSubmatch(read(t, "../docs/kubernetes.md"), -1) {
		documented[match[1]] = true
	}
	rules := alerts(t, read(t, alertsFile))
	for name, rule := range rules {
		if !documented[name] {
			t.Errorf("docs/kubernetes.md has no paragraph under #### %s", name)
		}
		if got, want := rule.Annotations["runbook_url"], page+strings.ToLower(name); got != want {
			t.Errorf("%s leads to %s, want %s", name, got, want)
		}
		if severity := rule.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("%s is %q", name, severity)
		}
		if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
			t.Errorf("%s does not say what it is about", name)
		}
	}
	for name := range documented {
		if _, exists := rules[name]; !exists {
			t.Errorf("docs/kubernetes.md explains %s, which does not exist", name)
		}
	}
}

func TestRulesAreTheFilesButForThoseLeftOut(t *testing.T) {
	t.Parallel()
	o := render(t, leastGateway, "metrics: {rules: {enabled: true, labels: {release: prometheus}, disabled: [VernegateFull]}}")
	rule := get[prometheusRule](o, "PrometheusRule", "mqtt-vernegate")
	if rule.Labels["release"] != "prometheus" {
		t.Errorf("its labels are %v", rule.Labels)
	}
	text, err := yaml.Marshal(rule.Spec)
	if err != nil {
		t.Fatal(err)
	}
	got, want := alerts(t, string(text)), alerts(t, read(t, alertsFile))
	delete(want, "VernegateFull")
	if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
		t.Errorf("it has %q", slices.Sorted(maps.Keys(got)))
	}
	for name := range want {
		if got[name].Expr != want[name].Expr || got[name].Annotations["description"] != want[name].Annotations["description"] {
			t.Errorf("%s is %+v, want %+v", name, got[name], want[name])
		}
	}
}

func TestMonitorsFindThePods(t *testing.T) {
	t.Parallel()
	o := render(t, leastSidecar, "metrics: {monitor: {enabled: true, interval: 15s}}")
	pods := get[monitor](o, "PodMonitor", "mqtt-vernegate").Spec
	for name, value := range pods.Selector.MatchLabels {
		if o.pods().Labels[name] != value {
			t.Errorf("it selects %v, and the pods have %v", pods.Selector.MatchLabels, o.pods().Labels)
		}
	}
	if e := pods.PodMetricsEndpoints; len(e) != 1 || e[0].Port != "admin" || e[0].Path != "/metrics" || e[0].Interval != "15s" {
		t.Errorf("it scrapes %+v", e)
	}
	o = render(t, leastSidecar, "metrics: {monitor: {enabled: true, kind: ServiceMonitor}}")
	services := get[monitor](o, "ServiceMonitor", "mqtt-vernegate").Spec
	if e := services.Endpoints; len(e) != 1 || e[0].Port != "admin" {
		t.Errorf("it scrapes %+v", e)
	}
	for id, object := range o.byID {
		service, ok := object.(*corev1.Service)
		if !ok {
			continue
		}
		selected := true
		for name, value := range services.Selector.MatchLabels {
			selected = selected && service.Labels[name] == value
		}
		if selected != (id == "Service mqtt-vernegate-metrics") {
			t.Errorf("it selects %s: %v", id, selected)
		}
		if selected && !service.Spec.PublishNotReadyAddresses {
			t.Error("the metrics of a pod are lost when it is not ready")
		}
	}
}

func TestDashboardIsTheFile(t *testing.T) {
	t.Parallel()
	board := get[corev1.ConfigMap](render(t, leastGateway, "metrics: {dashboard: {enabled: true}}"), "ConfigMap", "mqtt-vernegate-dashboard")
	if board.Labels["grafana_dashboard"] != "1" {
		t.Errorf("its labels are %v", board.Labels)
	}
	var got, want any
	if err := json.Unmarshal([]byte(board.Data["vernegate.json"]), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(read(t, "vernegate/files/dashboard.json")), &want); err != nil {
		t.Fatal(err)
	}
	if g, w := mustJSON(t, got), mustJSON(t, want); g != w {
		t.Errorf("it is\n%s\nwant\n%s", g, w)
	}
}

// TestDashboardAsksWhatPrometheusUnderstands has promtool read every question of a panel, as the expression of a rule.
func TestDashboardAsksWhatPrometheusUnderstands(t *testing.T) {
	t.Parallel()
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "vernegate/files/dashboard.json")), &board); err != nil {
		t.Fatal(err)
	}
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	type group struct {
		Name  string `json:"name"`
		Rules []rule `json:"rules"`
	}
	var groups []group
	for i, panel := range board.Panels {
		g := group{Name: fmt.Sprint(i, " ", panel.Title)}
		for j, target := range panel.Targets {
			expr := strings.ReplaceAll(target.Expr, "$__rate_interval", "1m") // Grafana puts it there; Prometheus knows no variables
			g.Rules = append(g.Rules, rule{fmt.Sprintf("panel:%d:%d", i, j), expr})
		}
		groups = append(groups, g)
	}
	file := filepath.Join(t.TempDir(), "rules.json") // JSON is YAML
	if err := os.WriteFile(file, []byte(mustJSON(t, map[string]any{"groups": groups})), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("promtool", "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

func mustJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestNotesWarnOfWhatIsOpen(t *testing.T) {
	t.Parallel()
	const crl, brokers, prometheus = "No CRL is named", "can choose any username", "Prometheus cannot reach the metrics"
	for values, want := range map[string][]string{
		leastGateway: {crl, brokers},
		leastGateway + "networkPolicy: {broker: {podSelector: {matchLabels: {a: b}}}}\nmetrics: {monitor: {enabled: true}}": {crl, prometheus},
		leastSidecar: {crl},
		examples(t)["sidecar-cert-sidecar-values.yaml"]: nil,
	} {
		notes := render(t, values).notes
		for _, warning := range []string{crl, brokers, prometheus} {
			if got := strings.Contains(notes, warning); got != slices.Contains(want, warning) {
				t.Errorf("it says %q: %v\n%s", warning, got, notes)
			}
		}
		if !strings.Contains(notes, "/vernegate check") {
			t.Errorf("it does not say how to try it:\n%s", notes)
		}
	}
}
