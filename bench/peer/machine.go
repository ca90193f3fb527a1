// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
)

// Machine says on what the bench runs.
func Machine() string {
	cpu := "processors"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if model := regexp.MustCompile(`model name\s*: (.+)`).FindSubmatch(info); model != nil {
			cpu = "× " + string(model[1])
		}
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		kernel = []byte("?")
	}
	release, _, _ := strings.Cut(string(kernel), "-")
	return fmt.Sprintf("%d %s, Linux %s, %s", runtime.NumCPU(), cpu, release, runtime.Version())
}

// versionOf returns how a program calls itself with that argument, "" if it does not.
func versionOf(bin, argument, pattern string) string {
	said, err := exec.Command(bin, argument).CombinedOutput()
	if err != nil {
		return ""
	}
	return strings.NewReplacer("/", " ", " version", "").Replace(regexp.MustCompile(pattern).FindString(string(said)))
}
