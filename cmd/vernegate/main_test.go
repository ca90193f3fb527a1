// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/internal/config"
)

// runWith runs a command that needs no environment.
func runWith(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, nil, &out, &errs)
	return code, out.String(), errs.String()
}

func TestUnknownCommandIsAMistake(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"server"}, {"-v"}, {""}, {"check", "--all"}, {"serve", "now"}} {
		code, stdout, stderr := runWith(t, args...)
		if code != exitMistake || stdout != "" || !strings.HasSuffix(stderr, usage) {
			t.Errorf("%q ends with %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
		if wrong := args[len(args)-1]; !strings.Contains(stderr, `"`+wrong+`"`) {
			t.Errorf("%q: stderr does not name %q: %s", args, wrong, stderr)
		}
	}
}

func TestHelpPrintsTheUsage(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"help", "--help", "-h"} {
		if code, stdout, stderr := runWith(t, command); code != exitOK || stdout != usage+moreHelp || stderr != "" {
			t.Errorf("%s ends with %d, stdout %q, stderr %q", command, code, stdout, stderr)
		}
	}
}

func TestEveryCommandSaysWhatItDoes(t *testing.T) {
	t.Parallel()
	for _, c := range completed() {
		for _, flag := range []string{"-h", "--help", "-help"} {
			code, stdout, stderr := runWith(t, c.Name, flag)
			if code != exitOK || !strings.HasPrefix(stdout, "vernegate "+c.Name) || stderr != "" {
				t.Errorf("%s %s ends with %d, stdout %q, stderr %q", c.Name, flag, code, stdout, stderr)
			}
			if !strings.Contains(stdout, documentation) {
				t.Errorf("%s %s does not say where the documentation is", c.Name, flag)
			}
		}
	}
	for _, command := range []string{"serve", "check"} {
		_, stdout, _ := runWith(t, command, "--help")
		for _, name := range config.Variables() {
			if !strings.Contains(stdout, "\n  "+name+"=") && !strings.Contains(stdout, "\n  "+name+"\n") {
				t.Errorf("%s --help does not name %s", command, name)
			}
		}
	}
	if code, _, stderr := runWith(t, "server", "-h"); code != exitMistake || !strings.Contains(stderr, `"server"`) {
		t.Errorf("the help of a command that does not exist ends with %d and %q", code, stderr)
	}
}

// TestOperationsPageHasAllCommands compares its table with the usage.
func TestOperationsPageHasAllCommands(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(usage) {
		command := strings.Fields(line)[1] // behind "vernegate"
		if !strings.Contains(string(page), "\n| `vernegate "+command) {
			t.Errorf("docs/operations.md has no row for vernegate %s", command)
		}
	}
}

func TestVersionNamesTheBuild(t *testing.T) {
	t.Parallel()
	code, stdout, _ := runWith(t, "version")
	if code != exitOK || !strings.HasPrefix(stdout, versionLine(thisBuild())+"\n"+runtime.GOOS+"/"+runtime.GOARCH+" with ") {
		t.Errorf("ends with %d, stdout %q", code, stdout)
	}
}

func TestVersionNamesWhatIsCompiledIn(t *testing.T) {
	t.Parallel()
	b := buildOf(&debug.BuildInfo{})
	for _, c := range []struct {
		compiledIn []string
		settings   []debug.BuildSetting
		want       string
	}{
		{[]string{"epoll", "reuse-port"}, nil, "epoll, reuse-port"},
		{nil, []debug.BuildSetting{{Key: "-tags", Value: "portable"}, {Key: "-race", Value: "true"}, {Key: "GOARCH", Value: "arm"}},
			"nothing optional (-tags=portable -race=true)"},
	} {
		_, got, _ := strings.Cut(versionText(b, c.compiledIn, &debug.BuildInfo{Settings: c.settings}), " with ")
		if got != c.want+"\n" {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestBuildOf(t *testing.T) {
	t.Parallel()
	info := &debug.BuildInfo{
		GoVersion: "go1.26.0",
		Main:      debug.Module{Version: "v1.2.3"},
		Settings:  []debug.BuildSetting{{Key: "vcs.revision", Value: "0123abcd"}, {Key: "vcs.modified", Value: "true"}},
	}
	if got, want := versionLine(buildOf(info)), "vernegate v1.2.3 (commit 0123abcd+dirty, go1.26.0)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := versionLine(buildOf(&debug.BuildInfo{})), "vernegate (devel) (commit unknown, unknown)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
