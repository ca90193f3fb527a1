// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/vernegate/vernegate/internal/app"
)

// Written by the linker alone (-X main.linkedVersion=v1.2.3), for builds where the
// toolchain sees no version control, as the Dockerfile's is; "" elsewhere.
var linkedVersion, linkedCommit string

// thisBuild reads what the linker and the toolchain put into the running binary.
func thisBuild() app.Build {
	b := buildOf(buildInfo())
	b.Version, b.Commit = cmp.Or(linkedVersion, b.Version), cmp.Or(linkedCommit, b.Commit)
	return b
}

// buildInfo is what the toolchain put into the running binary, empty if nothing.
func buildInfo() *debug.BuildInfo {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info
	}
	return &debug.BuildInfo{}
}

// buildOf is what the toolchain recorded.
func buildOf(info *debug.BuildInfo) app.Build {
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	b := app.Build{
		Version: cmp.Or(info.Main.Version, "(devel)"),
		Commit:  cmp.Or(settings["vcs.revision"], "unknown"),
		Go:      cmp.Or(info.GoVersion, "unknown"),
	}
	if settings["vcs.modified"] == "true" {
		b.Commit += "+dirty"
	}
	return b
}

// versionText is what "vernegate version" prints.
func versionText(b app.Build, compiledIn []string, info *debug.BuildInfo) string {
	with := "nothing optional"
	if len(compiledIn) > 0 {
		with = strings.Join(compiledIn, ", ")
	}
	if choices := buildChoices(info); choices != "" {
		with += " (" + choices + ")"
	}
	return versionLine(b) + fmt.Sprintf("\n%s/%s with %s\n", runtime.GOOS, runtime.GOARCH, with)
}

// buildChoices are the settings of a build that change what is compiled in.
func buildChoices(info *debug.BuildInfo) string {
	var choices []string
	for _, s := range info.Settings {
		switch s.Key {
		case "-tags", "-race", "GOEXPERIMENT", "GOFIPS140":
			choices = append(choices, s.Key+"="+s.Value)
		}
	}
	return strings.Join(choices, " ")
}

// versionLine names a build.
func versionLine(b app.Build) string {
	return "vernegate " + b.Version + " (commit " + b.Commit + ", " + b.Go + ")"
}
