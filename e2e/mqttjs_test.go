// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/vernegate/vernegate/e2e/stack"
)

// A mqttJS is a running MQTT.js, the client of pages and of Node.
type mqttJS struct {
	t     *testing.T
	lines *bufio.Scanner
}

// startMQTTJS has it connect, subscribe, and publish to itself; the test is skipped where it is not installed.
func startMQTTJS(t *testing.T, s *fixture, addr string, version stack.Version, size int, alpn ...string) *mqttJS {
	t.Helper()
	node, err := exec.LookPath("node")
	if _, missing := os.Stat("mqttjs/node_modules/mqtt"); err != nil || missing != nil {
		t.Skip("MQTT.js is not here: npm ci --prefix e2e/mqttjs installs it, as .ci/mqttjs does")
	}
	dir := t.TempDir()
	args := must(s.pki.WriteDevice(dir, "lamp", s.device("acme:lamp")))(t)
	ca, cert, key := args[1], args[3], args[5]
	command := []string{"mqttjs/client.mjs", "wss://" + addr + "/mqtt", version.String(), unique(), strconv.Itoa(size), ca, cert, key}
	cmd := exec.CommandContext(within(t, stepTime), node, append(command, alpn...)...)
	cmd.Stderr = os.Stderr
	out := must(cmd.StdoutPipe())(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	})
	return &mqttJS{t, bufio.NewScanner(out)}
}

// want waits for the next step and returns its details.
func (c *mqttJS) want(step string) map[string]any {
	c.t.Helper()
	if !c.lines.Scan() {
		c.t.Fatalf("it has ended, want %s", step)
	}
	var line map[string]any
	if err := json.Unmarshal(c.lines.Bytes(), &line); err != nil {
		c.t.Fatal(err)
	}
	if line["step"] != step {
		c.t.Fatalf("got %v, want %s", line, step)
	}
	return line
}

func TestMQTTJS(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		t.Run(version.String(), func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, broker)
			c := startMQTTJS(t, s, s.WebSocket, version, 200_000)
			c.want("connect")
			if qos := c.want("subscribe")["qos"]; qos != 2.0 {
				t.Errorf("got QoS %v, want 2", qos)
			}
			if size := c.want("message")["size"]; size != 200_000.0 {
				t.Errorf("got %v bytes, want 200000", size)
			}
			if size := c.want("message")["size"]; size != 0.0 {
				t.Errorf("got %v bytes, want none", size)
			}
			s.signal(t, syscall.SIGTERM) // a drain: a client of 5.0 is told why
			if version == stack.V5 {
				if code := c.want("disconnect")["code"]; code != 139.0 {
					t.Errorf("got reason code %v, want 0x8B", code)
				}
			}
			c.want("close")
			s.checkDrained(t)
		})
	}
}

// A device that must not use its client id learns that from the CONNACK.
func TestMQTTJSIsRefused(t *testing.T) {
	t.Parallel()
	for version, code := range map[stack.Version]float64{stack.V311: 2, stack.V5: 0x85} {
		t.Run(version.String(), func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, broker, "VERNEGATE_CLIENT_ID", "owner")
			if got := startMQTTJS(t, s, s.WebSocket, version, 1).want("error")["code"]; got != code {
				t.Errorf("got code %v, want %v", got, code)
			}
		})
	}
}
