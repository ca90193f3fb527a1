// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"runtime/debug"

	"github.com/vernegate/vernegate/internal/app"
)

// Written by the linker alone (-X main.linkedVersion=v1.2.3), for builds where the
// toolchain sees no version control, as the Dockerfile's is; "" elsewhere.
var linkedVersion, linkedCommit string

// thisBuild reads what the linker and the toolchain put into the running binary.
func thisBuild() app.Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	b := buildOf(info)
	b.Version, b.Commit = cmp.Or(linkedVersion, b.Version), cmp.Or(linkedCommit, b.Commit)
	return b
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

// versionLine is what "vernegate version" prints.
func versionLine(b app.Build) string {
	return "vernegate " + b.Version + " (commit " + b.Commit + ", " + b.Go + ")"
}
