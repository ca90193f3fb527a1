// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/internal/app/apptest"
	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// alertsFile is what Prometheus is given.
const alertsFile = "../../charts/vernegate/files/alerts.yaml"

// dueAlerts are the alerts about what is due, by what the status page calls it: the one that fires from a warning on, and the
// one for what is critical.
var dueAlerts = map[string][2]string{
	"server": {"VernegateServerCertificateNotRenewed", "VernegateServerCertificateExpires"},
	"client": {"VernegateClientCertificateNotRenewed", "VernegateClientCertificateExpires"},
	"ca":     {"VernegateCAExpires", "VernegateCAExpired"},
	"crl":    {"VernegateCRLOverdue", "VernegateCRLGraceEnds"},
}

// TestPageAndAlertsAgreeOnWhatIsDue has promtool play the metrics that a generation and vernegate's own certificate have at
// different times, and compares the alerts that fire with what the status page says then.
func TestPageAndAlertsAgreeOnWhatIsDue(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Fatalf("%v: make tools installs it", err)
	}
	w := apptest.NewWorld(t)
	now := time.Now().Truncate(time.Second)
	root := certtest.NewCA("root", certtest.NotBefore(now.Add(-time.Hour)), certtest.NotAfter(now.Add(1000*24*time.Hour)))
	server := root.Issue("vernegate", certtest.Server("127.0.0.1"), certtest.NotBefore(now.Add(-time.Hour)), certtest.NotAfter(now.Add(90*24*time.Hour)))
	w.Write("tls.crt", server.CertPEM())
	w.Write("tls.key", server.KeyPEM())
	w.Write("ca.crt", root.PEM())
	w.Write("ca.crl", root.CRL(certtest.CRLOptions{Number: 1, ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(24 * time.Hour)}))
	client := root.Issue("gate", certtest.NotBefore(now.Add(-time.Hour)), certtest.NotAfter(now.Add(200*24*time.Hour)))
	w.Vars["VERNEGATE_BACKEND_TLS"] = "on"
	w.Vars["VERNEGATE_BACKEND_TLS_CERT"] = w.Write("gate.crt", client.CertPEM())
	w.Vars["VERNEGATE_BACKEND_TLS_KEY"] = w.Write("gate.key", client.KeyPEM())
	g := currentGeneration(t, w)
	r := prometheus.NewRegistry()
	r.MustRegister(generationCollector(func() *truststore.Generation { return g }), currentClientFiles(t, w))

	nextUpdate := g.CRLs()[0].NextUpdate
	seen := map[string]bool{}
	var played strings.Builder
	fmt.Fprintf(&played, "rule_files: [%s]\nevaluation_interval: 1m\ntests:\n", absolute(t, alertsFile))
	for _, at := range []time.Time{
		now, nextUpdate.Add(2 * time.Hour), nextUpdate.Add(6 * time.Hour), nextUpdate.Add(22 * time.Hour), nextUpdate.Add(30 * time.Hour),
		server.Leaf.NotAfter.Add(-10 * 24 * time.Hour), server.Leaf.NotAfter.Add(-8 * 24 * time.Hour),
		server.Leaf.NotAfter.Add(-4 * 24 * time.Hour), server.Leaf.NotAfter.Add(-2 * 24 * time.Hour), server.Leaf.NotAfter.Add(2 * time.Hour),
		client.Leaf.NotAfter.Add(-15 * 24 * time.Hour), client.Leaf.NotAfter.Add(-10 * 24 * time.Hour), client.Leaf.NotAfter.Add(-2 * 24 * time.Hour),
		root.Cert.NotAfter.Add(-31 * 24 * time.Hour), root.Cert.NotAfter.Add(-29 * 24 * time.Hour), root.Cert.NotAfter.Add(2 * time.Hour),
	} {
		page := trustStatus(g, at)
		page.Certificates = append(page.Certificates, certificateStatus(admin.KindClient, client.Leaf, at))
		firing := wantFiring(page)
		for _, alert := range firing {
			seen[alert] = true
		}
		play(t, &played, r, at, firing)
	}
	for _, alerts := range dueAlerts {
		for _, alert := range alerts {
			if !seen[alert] {
				t.Errorf("the page is never as %s is to be", alert)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "played.yaml")
	if err := os.WriteFile(file, []byte(played.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("promtool", "test", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// TestAlertsAboutWhatIsDueHaveNoNumbers: the numbers are in internal/due alone.
func TestAlertsAboutWhatIsDueHaveNoNumbers(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, alerts := range dueAlerts {
		for _, alert := range alerts {
			found := regexp.MustCompile(`(?s)- alert: ` + alert + `\n\s+expr: (.*?)\n\s+for:`).FindSubmatch(text)
			if found == nil {
				t.Fatalf("there is no alert %s", alert)
			}
			if number := regexp.MustCompile(`\d+`).Find(found[1]); number != nil {
				t.Errorf("%s has the number %s of its own", alert, number)
			}
		}
	}
}

// currentGeneration returns what the files of a world are read as.
func currentGeneration(t *testing.T, w *apptest.World) *truststore.Generation {
	t.Helper()
	cfg := mustLoad(t, w.Environ()...)
	store, err := openTrust(t.Context(), cfg, trustConfig(cfg, nil))
	if err != nil {
		t.Fatal(err)
	}
	return store.Current()
}

// currentClientFiles returns the files that vernegate needs as a client.
func currentClientFiles(t *testing.T, w *apptest.World) clientFiles {
	t.Helper()
	files, err := openClientFiles(t.Context(), mustLoad(t, w.Environ()...), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// wantFiring returns the alerts that are to fire when the page shows this.
func wantFiring(page *admin.Trust) (firing []string) {
	add := func(what string, s admin.Severity) {
		if s != admin.OK {
			firing = append(firing, dueAlerts[what][0])
		}
		if s == admin.Critical {
			firing = append(firing, dueAlerts[what][1])
		}
	}
	for _, c := range page.Certificates {
		add(c.Kind, c.Severity)
	}
	for _, list := range page.CRLs {
		add("crl", list.Severity)
	}
	slices.Sort(firing)
	return slices.Compact(firing)
}

// play writes a test for promtool: three hours of the metrics in r, up to a time at which these alerts are to fire. promtool's
// clock begins in 1970, so that the times in the metrics are moved as the clock is.
func play(t *testing.T, b *strings.Builder, r *prometheus.Registry, at time.Time, firing []string) {
	t.Helper()
	const hours = 3
	begin := at.Add(-hours * time.Hour)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(b, "  - interval: 1m\n    input_series:\n")
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := []string{`namespace="iot"`, `pod="gate-0"`}
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			fmt.Fprintf(b, "      - series: '%s{%s}'\n        values: '%.0fx%d'\n",
				f.GetName(), strings.Join(labels, ", "), m.GetGauge().GetValue()-float64(begin.Unix()), hours*60)
		}
	}
	fmt.Fprintf(b, "    promql_expr_test:\n      - expr: 'count by (alertname) (ALERTS{alertstate=\"firing\", alertname=~\"VernegateServer.*|VernegateClient.*|VernegateCAE.*|VernegateCRL.*\"})'\n")
	fmt.Fprintf(b, "        eval_time: %dh\n        exp_samples:\n", hours)
	for _, alert := range firing {
		fmt.Fprintf(b, "          - {labels: '{alertname=\"%s\"}', value: 1}\n", alert)
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
