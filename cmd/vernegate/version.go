// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"runtime/debug"
)

// Written by the linker alone (-X main.linkedVersion=v1.2.3), for builds where the
// toolchain sees no version control, as the Dockerfile's is; "" elsewhere.
var linkedVersion, linkedCommit string

// build is what is known of how a binary was made.
type build struct {
	version string // of the module, "(devel)" from a tree without version control
	commit  string // "unknown" likewise; "+dirty" behind it if the tree had changes
	goTool  string // such as go1.26.0
}

// thisBuild reads what the linker and the toolchain put into the running binary.
func thisBuild() build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	b := buildOf(info)
	b.version, b.commit = cmp.Or(linkedVersion, b.version), cmp.Or(linkedCommit, b.commit)
	return b
}

// buildOf is what the toolchain recorded.

func buildOf(info *debug.BuildInfo) build {
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	b := build{
		version: cmp.Or(info.Main.Version, "(devel)"),
		commit:  cmp.Or(settings["vcs.revision"], "unknown"),
		goTool:  cmp.Or(info.GoVersion, "unknown"),
	}
	if settings["vcs.modified"] == "true" {
		b.commit += "+dirty"
	}
	return b
}

// String is what "vernegate version" prints.
func (b build) String() string {
	return "vernegate " + b.version + " (commit " + b.commit + ", " + b.goTool + ")"
}
