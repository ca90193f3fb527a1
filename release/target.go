// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/vernegate/vernegate/release/command"

// A target is a system that there is a binary for.
type target struct {
	os, arch, arm string // as Go calls them; arm is the version of 32-bit ARM
}

func targets() []target {
	return []target{
		{"linux", "amd64", ""},
		{"linux", "arm64", ""},
		{"linux", "arm", "7"},
		{"darwin", "amd64", ""},
		{"darwin", "arm64", ""},
		{"freebsd", "amd64", ""},
	}
}

// String is how names of files call the target.
func (t target) String() string {
	name := t.os + "_" + t.arch
	if t.arm != "" {
		name += "v" + t.arm
	}
	return name
}

// packaged reports whether there are a deb and an rpm for it.
func (t target) packaged() bool { return t.os == "linux" }

// packageArch is how nfpm calls the processor.
func (t target) packageArch() string { return t.arch + t.arm }

// environ makes the go command build for the target, with nothing else that
// somebody's environment may say.
func (t target) environ() []string {
	return append(command.PlainGo(), "GOOS="+t.os, "GOARCH="+t.arch, "GOARM="+t.arm, "GOAMD64=v1", "GOARM64=v8.0", "CGO_ENABLED=0")
}
