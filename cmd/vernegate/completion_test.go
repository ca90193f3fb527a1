// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// script writes the script for a shell to a file.
func script(t *testing.T, shell, name string) string {
	t.Helper()
	if _, err := exec.LookPath(shell); err != nil {
		t.Skipf("there is no %s here", shell)
	}
	code, stdout, stderr := runWith(t, "completion", shell)
	if code != exitOK || stderr != "" {
		t.Fatalf("ends with %d, stderr %q", code, stderr)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The words before the cursor, the last of which is to be completed, and what the
// shell is to offer.
var completions = []struct {
	words []string
	want  []string
}{
	{[]string{"c"}, []string{"check", "completion", "convert"}},
	{[]string{"ser"}, []string{"serve"}},
	{[]string{"check", "-no"}, []string{"-no-mqtt"}},
	{[]string{"check", "-cert", "old"}, []string{"old.conf"}},
	{[]string{"convert", "-o"}, []string{"-out"}},
	{[]string{"convert", "-out", "fol"}, []string{"folder1", "folder2"}},
	{[]string{"convert", "old"}, []string{"old.conf"}},
	{[]string{"completion", "z"}, []string{"zsh"}},
	{[]string{"drain", "x"}, nil},
}

// folderToComplete has what names of files are completed to.
func folderToComplete(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"folder1", "folder2", "old.conf"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestBashCompletes(t *testing.T) {
	t.Parallel()
	path, dir := script(t, "bash", "vernegate"), folderToComplete(t)
	for _, c := range completions {
		cmd := exec.Command("bash", append([]string{"--norc", "-c", `
			source "$0"
			COMP_WORDS=(vernegate "$@") COMP_CWORD=$#
			_vernegate
			printf '%s\n' "${COMPREPLY[@]}"`, path}, c.words...)...)
		cmd.Dir = dir
		checkOffer(t, cmd, c.words, c.want)
	}
}

func TestFishCompletes(t *testing.T) {
	t.Parallel()
	path, dir := script(t, "fish", "vernegate.fish"), folderToComplete(t)
	for _, c := range completions {
		cmd := exec.Command("fish", "--no-config", "-c", `source $argv[1]; complete -C "vernegate $argv[2..]" | string replace -r '\t.*' ''; true`)
		cmd.Args = append(append(cmd.Args, path), c.words...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+dir)
		checkOffer(t, cmd, c.words, c.want)
	}
}

// checkOffer runs a shell that prints what it offers, a line each.
func checkOffer(t *testing.T, cmd *exec.Cmd, words, want []string) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", words, err, out)
	}
	got := strings.Fields(string(out))
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%q: offers %q, want %q", words, got, want)
	}
}

// zsh offers nothing without a terminal; it can at least read the script, and takes
// it as a file of the function path, too.
func TestZshReadsTheScript(t *testing.T) {
	t.Parallel()
	path := script(t, "zsh", "_vernegate")
	for _, command := range []string{
		`autoload -Uz compinit && compinit -u -d "$1/dump" && source "$1/_vernegate" && print -- $_comps[vernegate]`,
		`fpath=("$1" $fpath) && autoload -Uz compinit && compinit -u -d "$1/dump" && print -- $_comps[vernegate]`,
	} {
		out, err := exec.Command("zsh", "-f", "-c", command, "zsh", filepath.Dir(path)).CombinedOutput()
		if err != nil || string(out) != "_vernegate\n" {
			t.Errorf("%s: got %v, %q", command, err, out)
		}
	}
}

func TestCompletionOfAnUnknownShellIsAMistake(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"completion"}, {"completion", "tcsh"}} {
		if code, stdout, stderr := runWith(t, args...); code != exitMistake || stdout != "" || !strings.Contains(stderr, "expected bash, fish, zsh") {
			t.Errorf("%q ends with %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
}

// What the usage says can follow a command is offered.
func TestCompletionKnowsTheUsage(t *testing.T) {
	t.Parallel()
	commands := completed()
	for line := range strings.Lines(usage) {
		name := strings.Trim(strings.Fields(line)[1], "[]")
		i := slices.IndexFunc(commands, func(c completedCommand) bool { return c.Name == name })
		if i < 0 || commands[i].Does == "" {
			t.Errorf("%s is not offered, or not described", name)
			continue
		}
		for _, flag := range regexp.MustCompile(`[ ;](-[a-z][a-z-]+)`).FindAllStringSubmatch(line, -1) {
			if !slices.ContainsFunc(commands[i].Options, func(o option) bool { return o.Name == flag[1] }) {
				t.Errorf("%s %s is in the usage, but not offered", name, flag[1])
			}
		}
	}
}
