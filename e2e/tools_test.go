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
	"github.com/vernegate/vernegate/truststore/certtest"
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

// A device that has the wrong CA is a usual mistake, and its operator has to read that in the log. OpenSSL, which the Mosquitto
// clients use, says so unencrypted in TLS 1.3, and Go encrypted.
func TestClientRefusesTheServerCertificate(t *testing.T) {
	t.Parallel()
	for _, version := range tlsVersions {
		for client, connect := range map[string]func(*fixture, *certtest.Cert) error{
			"Mosquitto": func(s *fixture, lamp *certtest.Cert) error {
				identity := must(s.pki.WriteDevice(t.TempDir(), "lamp", lamp))(t)
				args := append(must(stack.ToolArgs(s.Devices, stack.V311))(t), identity...)
				args = append(args, "--tls-version", toolTLS(version), "-t", "t", "-m", "m")
				return stack.RunTool(within(t, stepTime), "mosquitto_pub", args...)
			},
			"Go": func(s *fixture, lamp *certtest.Cert) error {
				config := s.pki.ClientTLS(lamp)
				config.MaxVersion = version
				conn, err := tls.Dial("tcp", s.Devices, config)
				if err == nil {
					_ = conn.Close()
				}
				return err
			},
		} {
			t.Run(client+" "+tls.VersionName(version), func(t *testing.T) {
				t.Parallel()
				s := newFixture(t, broker)
				lamp := s.device("acme:lamp")
				s.pki.Root = certtest.NewCA("another one")
				if connect(s, lamp) == nil {
					t.Fatal("the client takes any server certificate")
				}
				const want = "the client refuses the server certificate: remote error: tls: "
				_, err := s.WaitRecord(within(t, stepTime), want, func(r stack.Record) bool {
					text, _ := r["err"].(string)
					return r.Has("reason", "tls_handshake") && strings.HasPrefix(text, want)
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
}
