// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/e2e/stack"
)

// TestMosquittoClients sends 1 MiB from mosquitto_pub to mosquitto_sub with every
// version, and lets a mosquitto_sub die to see its will.
func TestMosquittoClients(t *testing.T) {
	t.Parallel()
	s := newFixture(t, broker)
	dir := t.TempDir()
	identity := must(s.pki.WriteDevice(dir, "lamp", s.device("acme:lamp")))(t)
	payload := strings.Repeat("m", 1<<20)
	file := filepath.Join(dir, "payload")
	if err := os.WriteFile(file, []byte(payload), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, v := range versions {
		for _, tlsVersion := range tlsVersions {
			t.Run(fmt.Sprint(v, " ", tls.VersionName(tlsVersion)), func(t *testing.T) {
				t.Parallel()
				name := unique()
				common := append(must(stack.ToolArgs(s.Devices, v))(t), identity...)
				common = append(common, "-q", "2", "--tls-version", toolTLS(tlsVersion))
				runTool(t, append(common, "-t", name+"/ready", "-r", "-m", "ready", "-u", "impostor"))

				sub := subscribeTool(t, append(common, "-t", name+"/#", "-i", name+"w"))
				runTool(t, append(common, "-t", name+"/big", "-f", file))
				waitLine(t, sub, "1 MiB", func(line string) bool { return line == payload })

				subscribeTool(t, append(common, "-t", name+"/ready", "-i", name+"m",
					"--will-topic", name+"/will", "--will-payload", "gone")).Kill()
				waitLine(t, sub, "the will", func(line string) bool { return line == "gone" })
				runTool(t, append(common, "-t", name+"/ready", "-r", "-n"))
			})
		}
	}
}

// toolTLS is a TLS version as the Mosquitto tools spell it.
func toolTLS(version uint16) string {
	return map[uint16]string{tls.VersionTLS12: "tlsv1.2", tls.VersionTLS13: "tlsv1.3"}[version]
}

func runTool(t *testing.T, args []string) {
	t.Helper()
	if err := stack.RunTool(within(t, stepTime), "mosquitto_pub", args...); err != nil {
		t.Fatal(err)
	}
}

// subscribeTool starts a mosquitto_sub and waits until it has subscribed: then it
// prints the retained message "ready" that must be there.
func subscribeTool(t *testing.T, args []string) *stack.Process {
	t.Helper()
	sub := must(stack.StartTool("mosquitto_sub", args...))(t)
	t.Cleanup(sub.Kill)
	waitLine(t, sub, "a subscription", func(line string) bool { return line == "ready" })
	return sub
}

func waitLine(t *testing.T, p *stack.Process, what string, match func(string) bool) {
	t.Helper()
	if _, err := p.Output.Wait(within(t, stepTime), what, match); err != nil {
		t.Fatalf("%v; it printed:\n%s", err, p.Output.Tail())
	}
}
