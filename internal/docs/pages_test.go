// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/vernegate/vernegate/internal/app/apptest"
	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/packets"
	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// holds says which page holds what this package checks: a block between marks, or
// what is explained somewhere on it.
var holds = map[string]string{
	"variables":      "docs/configuration.md",
	"endings":        "docs/endings.md",
	"close codes":    "docs/websocket.md",
	"metrics":        "docs/metrics.md",
	"log attributes": "docs/operations.md",
}

// pageWith returns the page that holds something.
func pageWith(t *testing.T, what string) string {
	t.Helper()
	return read(t, filepath.Join("../..", holds[what]))
}

// variableRow matches a row of the table of variables.
var variableRow = regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| (?:`([^`]*)` )?\\| (.+) \\|$")

func TestConfigurationPageHasAllVariablesWithTheirDefaults(t *testing.T) {
	t.Parallel()
	var want, got [][2]string
	for _, name := range config.Variables() {
		want = append(want, [2]string{name, config.Default(name)})
	}
	for _, row := range variableRow.FindAllStringSubmatch(pageWith(t, "variables"), -1) {
		got = append(got, [2]string{row[1], row[2]})
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s has, with their defaults:\n%q\nwant:\n%q", holds["variables"], got, want)
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
	wantSection(t, "endings", b.String())
}

func TestWebSocketPageHasAllCloseCodes(t *testing.T) {
	t.Parallel()
	reasons := map[int][]string{}
	for _, r := range proxy.Reasons() {
		if r > proxy.WSUpgrade {
			reasons[r.CloseCode()] = append(reasons[r.CloseCode()], fmt.Sprintf("`%v`", r))
		}
	}
	var b strings.Builder
	b.WriteString("| code | reasons |\n|---|---|\n")
	for _, code := range slices.Sorted(maps.Keys(reasons)) {
		fmt.Fprintf(&b, "| %d | %s |\n", code, strings.Join(reasons[code], ", "))
	}
	wantSection(t, "close codes", b.String())
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
	families := start(t, newFullWorld(t)).metrics()
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(families)) {
		f := families[name]
		if strings.HasPrefix(f.GetName(), "vernegate_") {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), labelsOf(f), f.GetHelp())
		}
	}
	wantSection(t, "metrics", b.String())
}

// newFullWorld returns a world with a list at a URL, with OCSP, with a Kafka, which is away, and with a certificate for
// brokers.
func newFullWorld(t *testing.T) *apptest.World {
	t.Helper()
	w := apptest.NewWorld(t)
	w.Vars["VERNEGATE_KAFKA_BROKERS"] = "127.0.0.1:1"
	w.Vars["VERNEGATE_TLS_CRL"] += "," + w.Publish(w.Root.CRL(certtest.CRLOptions{Number: 1}))
	w.Vars["VERNEGATE_OCSP"], w.Vars["VERNEGATE_OCSP_URL"] = "on", "http://127.0.0.1:1"
	gate := w.Root.Issue("gate")
	w.Vars["VERNEGATE_BACKEND_TLS"] = "on"
	w.Vars["VERNEGATE_BACKEND_TLS_CERT"] = w.Write("gate.crt", gate.CertPEM())
	w.Vars["VERNEGATE_BACKEND_TLS_KEY"] = w.Write("gate.key", gate.KeyPEM())
	return w
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

// wantSection fails unless the marked part of the page that holds it is the wanted one.
func wantSection(t *testing.T, name, want string) {
	t.Helper()
	begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->\n"
	before, rest, _ := strings.Cut(pageWith(t, name), begin)
	got, after, found := strings.Cut(rest, end)
	if found && *update {
		if err := os.WriteFile(filepath.Join("../..", holds[name]), []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !found || got != want {
		t.Errorf("in %s, between %s and %s belongs (go test ./internal/docs -update writes it):\n%s", holds[name], begin, end, want)
	}
}

// TestOperationsPageExplainsLogAttributes has a device come and go.
func TestOperationsPageExplainsLogAttributes(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	w.ACL.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`"acme:lamp"`)) })
	v := start(t, w)
	go func() {
		if broker, err := w.Backend.Accept(); err == nil {
			_, _ = packets.ReadConnect(broker, 1<<10)
			_ = broker.Close()
		}
	}()
	conn, err := tls.Dial("tcp", v.devices, &tls.Config{
		RootCAs:      w.Root.Pool(),
		Certificates: []tls.Certificate{w.Root.Issue("lamp").TLS()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04lamp")); err != nil {
		t.Fatal(err)
	}
	page := pageWith(t, "log attributes")
	line := v.await("connection ended")
	if line["owner"] != "acme:lamp" {
		t.Errorf("the line is %v, want one of the device", line)
	}
	for key := range line {
		if slices.Contains([]string{slog.TimeKey, slog.LevelKey, slog.MessageKey}, key) {
			continue
		}
		if !strings.Contains(page, "`"+key+"`") {
			t.Errorf("%s does not say what the attribute %q of a log line means", holds["log attributes"], key)
		}
	}
}
