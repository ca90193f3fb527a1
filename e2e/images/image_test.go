// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build image

// Package images_test builds the image as "make image" does, and looks into it. It needs
// podman and buildah, or docker: "make e2e-image" sees to that.
package images_test

import (
	"bytes"
	"debug/elf"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/e2e/images"
)

const (
	image    = "localhost/vernegate-test"
	version  = "v0.1.0-test"
	revision = "0123456789abcdef0123456789abcdef01234567"
	created  = "2026-01-02T03:04:05Z"
)

// maxSize is how many bytes all files of the image may have: a fifth more than the
// 20 MB that they have with the client of Kafka.
const maxSize = 24 << 20

// output runs a command and returns what it printed.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := images.Run(t.Context(), "", name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// build builds the image for a platform, "" being this one, and reads it.
func build(t *testing.T, platform string) *archive {
	t.Helper()
	tag := version + strings.ReplaceAll(platform, "/", "-")
	output(t, "env", "REVISION="+revision, "CREATED="+created,
		"make", "image", "IMAGE="+image, "VERSION="+tag, "PLATFORMS="+platform)
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := images.Save(t.Context(), image+":"+tag, path); err != nil {
		t.Fatal(err)
	}
	return readArchive(t, path)
}

// TestImage builds once and looks at everything.
func TestImage(t *testing.T) {
	a := build(t, "")

	t.Run("holds what is needed alone", func(t *testing.T) {
		want := []string{
			"etc/ssl/certs/ca-certificates.crt", "licenses/LICENSE", "licenses/THIRD_PARTY_LICENSES.txt", "sbom.cdx.json", "vernegate",
		}
		if got := slices.Sorted(maps.Keys(a.files)); !slices.Equal(got, want) {
			t.Errorf("the image has the files %q, want %q", got, want)
		}
		for name, file := range a.files {
			if file.mode&0o7022 != 0 || file.mode&0o444 != 0o444 {
				t.Errorf("%s has the mode %o: want it readable by everybody, and writable by root at most", name, file.mode)
			}
		}
	})
	t.Run("is small", func(t *testing.T) {
		size := 0
		for _, file := range a.files {
			size += len(file.content)
		}
		t.Logf("%d bytes", size)
		if size > maxSize {
			t.Errorf("the files have %d bytes, want at most %d", size, maxSize)
		}
	})
	t.Run("runs vernegate as nobody in particular", func(t *testing.T) {
		c := a.Config
		if c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{"/vernegate"}) || len(c.Cmd) != 0 {
			t.Errorf("the image runs %q %q as %q", c.Entrypoint, c.Cmd, c.User)
		}
		want := []string{"8883/tcp", "8885/tcp", "9883/tcp"}
		if got := slices.Sorted(maps.Keys(c.ExposedPorts)); !slices.Equal(got, want) {
			t.Errorf("it exposes %q, want %q", got, want)
		}
		for _, variable := range c.Env {
			if !strings.HasPrefix(variable, "PATH=") { // the builders' own idea
				t.Errorf("it sets %s", variable)
			}
		}
	})
	t.Run("is labelled", func(t *testing.T) {
		const oci = "org.opencontainers.image."
		for label, want := range map[string]string{
			"title": "vernegate", "licenses": "Apache-2.0", "source": "https://github.com/vernegate/vernegate",
			"version": version, "revision": revision, "created": created,
		} {
			if got := a.Config.Labels[oci+label]; got != want {
				t.Errorf("label %s%s is %q, want %q", oci, label, got, want)
			}
		}
	})
	t.Run("knows its version", func(t *testing.T) {
		for _, user := range []string{"65532:65532", "1000660000:0"} { // as OpenShift chooses them
			got := output(t, images.Engine(), "run", "--rm", "--read-only", "--user", user, "--cap-drop", "ALL",
				"--network", "none", image+":"+version, "version")
			if want := fmt.Sprintf("vernegate %s (commit %s, go1.", version, revision); !strings.HasPrefix(got, want) {
				t.Errorf("as %s it says %q, want %q", user, got, want+"…")
			}
		}
	})
	t.Run("has no shell", func(t *testing.T) {
		for _, shell := range []string{"/bin/sh", "sh", "/busybox/sh"} {
			if exec.CommandContext(t.Context(), images.Engine(), "run", "--rm", "--entrypoint", shell, image+":"+version).Run() == nil {
				t.Errorf("%s runs", shell)
			}
		}
	})
	t.Run("lists what it is made of", func(t *testing.T) {
		var bill struct {
			Metadata   struct{ Component struct{ Version string } }
			Components []struct{ Name string }
		}
		unmarshal(t, a.files["sbom.cdx.json"].content, &bill)
		got := []string{}
		for _, c := range bill.Components {
			got = append(got, c.Name)
		}
		slices.Sort(got)
		want := modules(t)
		if !slices.Equal(got, want) || bill.Metadata.Component.Version != version {
			t.Errorf("the bill of %s has\n%q, want\n%q", bill.Metadata.Component.Version, got, want)
		}
	})
	t.Run("has the licences of all of it", func(t *testing.T) {
		own, err := os.ReadFile("../../LICENSE")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a.files["licenses/LICENSE"].content, own) {
			t.Error("licenses/LICENSE is not that of vernegate")
		}
		text := string(a.files["licenses/THIRD_PARTY_LICENSES.txt"].content)
		for _, module := range modules(t) {
			heading := "\n" + module + " v"
			if module == "std" {
				heading = "\nGo's standard library and runtime go1."
			}
			if !strings.Contains(text, heading) {
				t.Errorf("there is no licence of %s", module)
			}
		}
	})
}

// modules are the modules that vernegate is built from, std among them, in order.
func modules(t *testing.T) []string {
	t.Helper()
	list := output(t, "env", "GOOS=linux", "CGO_ENABLED=0", "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./cmd/vernegate")
	paths := append(strings.Fields(list), "std")
	slices.Sort(paths)
	paths = slices.Compact(paths)
	return slices.DeleteFunc(paths, func(path string) bool { return path == "github.com/vernegate/vernegate" })
}

// TestImageForAnotherArchitecture builds for the one that this machine has not.
func TestImageForAnotherArchitecture(t *testing.T) {
	other, machine := "arm64", elf.EM_AARCH64
	if runtime.GOARCH == other {
		other, machine = "amd64", elf.EM_X86_64
	}
	a := build(t, "linux/"+other)
	binary, err := elf.NewFile(bytes.NewReader(a.files["vernegate"].content))
	if err != nil {
		t.Fatal(err)
	}
	if a.Architecture != other || binary.Machine != machine {
		t.Errorf("the image is for %s and its binary for %s, want %s", a.Architecture, binary.Machine, other)
	}
	if linked, err := binary.ImportedLibraries(); err != nil || len(linked) > 0 {
		t.Errorf("the binary needs %q (%v), want none", linked, err)
	}
}

// TestImageForBothArchitectures builds one name for both.
func TestImageForBothArchitectures(t *testing.T) {
	if images.Engine() != "podman" {
		t.Skip("docker shows a list of images only when its store can hold one")
	}
	output(t, "make", "image", "IMAGE="+image, "VERSION=both", "PLATFORMS=linux/amd64,linux/arm64")
	var list struct {
		Manifests []struct {
			Platform struct{ Architecture, OS string }
		}
	}
	unmarshal(t, []byte(output(t, "podman", "manifest", "inspect", image+":both")), &list)
	var got []string
	for _, m := range list.Manifests {
		got = append(got, m.Platform.OS+"/"+m.Platform.Architecture)
	}
	slices.Sort(got)
	if want := []string{"linux/amd64", "linux/arm64"}; !slices.Equal(got, want) {
		t.Errorf("the image is for %q, want %q", got, want)
	}
}

// TestGoOfTheImages compares the Go that the images are built with and that of go.mod.
func TestGoOfTheImages(t *testing.T) {
	find := func(file, pattern string) string {
		text, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		match := regexp.MustCompile(pattern).FindSubmatch(text)
		if match == nil {
			t.Fatalf("%s has no %s", file, pattern)
		}
		return string(match[1])
	}
	want := find("go.mod", `(?m)^go (\d+\.\d+)`)
	for _, file := range []string{"Dockerfile", "examples/compose/standin/Dockerfile"} {
		if got := find(file, `golang:(\d+\.\d+)`); got != want {
			t.Errorf("%s builds with Go %s, go.mod asks for %s", file, got, want)
		}
	}
}
