// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
)

// startDemo starts the demo with the binary under test and more variables.
func startDemo(t *testing.T, vernegate string, env ...string) *stack.Process {
	t.Helper()
	noteInputs(t)
	bin := must(stack.Compile(within(t, 2*time.Minute), t.TempDir(), "github.com/vernegate/vernegate/e2e/demo"))(t)
	command := append(env, "VERNEGATE_BIN="+vernegate, bin)
	demo := must(stack.StartTool("env", command...))(t)
	t.Cleanup(demo.Kill)
	return demo
}

// spacesAndTimes is what may differ between what the README shows of the demo, and what it prints.
var spacesAndTimes = regexp.MustCompile(`\d+ ms|\s+`)

// demoInReadme returns the lines that the README shows of the demo.
func demoInReadme(t *testing.T) (lines []string) {
	t.Helper()
	readme := string(must(os.ReadFile("../README.md"))(t))
	_, after, found := strings.Cut(readme, "$ make demo\n")
	block, _, _ := strings.Cut(after, "```")
	for line := range strings.Lines(block) {
		if line = strings.TrimSpace(line); line != "" && line != "…" {
			lines = append(lines, line)
		}
	}
	if !found || len(lines) < 5 {
		t.Fatalf("the README shows %d lines of the demo, want some", len(lines))
	}
	return lines
}

func TestDemoEndsByItself(t *testing.T) {
	t.Parallel()
	demo := startDemo(t, program)
	if code := must(demo.Wait(within(t, time.Minute)))(t); code != 0 {
		t.Errorf("exit code %d, want 0:\n%s", code, demo.Output.Tail())
	}
	for _, line := range demoInReadme(t) {
		if !strings.Contains(spacesAndTimes.ReplaceAllString(demo.Output.String(), " "), spacesAndTimes.ReplaceAllString(line, " ")) {
			t.Errorf("the README shows %q, which the demo does not print:\n%s", line, demo.Output.Tail())
		}
	}
	if strings.Contains(demo.Output.String(), "\x1b") {
		t.Error("the demo writes escape sequences where there is no terminal")
	}
}

func TestDemoFailsWithASentence(t *testing.T) {
	t.Parallel()
	demo := startDemo(t, must(exec.LookPath("false"))(t))
	if code := must(demo.Wait(within(t, time.Minute)))(t); code != 1 {
		t.Errorf("exit code %d without a vernegate, want 1", code)
	}
	if !strings.Contains(demo.Output.String(), "demo: starting vernegate: ") {
		t.Errorf("the demo does not say what went wrong:\n%s", demo.Output.Tail())
	}
}

// TestDemoLinesWorkWhenPasted has the demo stay, and gives the lines that it prints
// to a shell.
func TestDemoLinesWorkWhenPasted(t *testing.T) {
	t.Parallel()
	demo := startDemo(t, program, "STAY=1")
	paste := func(tool string) {
		t.Helper()
		line := must(demo.Output.Wait(within(t, time.Minute), tool, func(line string) bool {
			return strings.HasPrefix(line, "  "+tool+" ")
		}))(t)
		if err := stack.RunTool(within(t, stepTime), "sh", "-c", line); err != nil {
			t.Error(err)
		}
	}
	waitLine(t, demo, "the address of the status page", func(line string) bool { return strings.Contains(line, "The status page is at http://127.0.0.1:") })
	paste("mosquitto_pub")
	waitLine(t, demo, "the pasted client", func(line string) bool {
		return strings.Contains(line, `saw username "acme:you"`)
	})
	if _, err := exec.LookPath("curl"); err == nil {
		paste("curl")
	}
	if err := demo.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := must(demo.Wait(within(t, stepTime)))(t); code != 0 {
		t.Errorf("exit code %d after Ctrl-C, want 0", code)
	}
}
