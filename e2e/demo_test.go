// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"os/exec"
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

func TestDemoEndsByItself(t *testing.T) {
	t.Parallel()
	demo := startDemo(t, program)
	if code := must(demo.Wait(within(t, time.Minute)))(t); code != 0 {
		t.Errorf("exit code %d, want 0:\n%s", code, demo.Output.Tail())
	}
	if !strings.Contains(demo.Output.String(), "steps went as they should.") {
		t.Errorf("the demo ends without having told the whole story:\n%s", demo.Output.Tail())
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
