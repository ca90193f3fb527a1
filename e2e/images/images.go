// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package images builds the images that the tests in containers run: vernegate's, as
// "make image" does, and one of all that stands around it. Its functions need buildah and
// podman, or docker, and are called from inside of the repository.
package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Engine is the program that runs and saves images: podman, which finds what buildah has
// built, or docker.
func Engine() string { return available("podman") }

// available is a program if it is there, and docker otherwise.
func available(program string) string {
	if _, err := exec.LookPath(program); err == nil {
		return program
	}
	return "docker"
}

// BuildVernegate builds the image of vernegate with a version for its tag, and returns
// its name.
func BuildVernegate(ctx context.Context, version string) (name string, err error) {
	const repository = "localhost/vernegate"
	_, err = Run(ctx, "", "make", "image", "IMAGE="+repository, "VERSION="+version)
	return repository + ":" + version, err
}

// BuildStandins builds the image of the programs that stand in for what is around
// vernegate, and returns its name. /broker is what it runs by itself.
func BuildStandins(ctx context.Context) (name string, err error) {
	dir, err := os.MkdirTemp("", "vernegate-standins-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	_, err = Run(ctx, "", "env", "CGO_ENABLED=0", "GOOS=linux", "go", "build", "-trimpath", "-o", dir+"/",
		"./e2e/kube/broker", "./e2e/kube/certsidecar", "./e2e/kube/crash", "./examples/compose/standin")
	if err != nil {
		return "", err
	}
	name = "localhost/vernegate-standins:e2e"
	_, err = Run(ctx, "", available("buildah"), "build", "--file", "e2e/images/standins.Dockerfile", "--tag", name, dir)
	return name, err
}

// Save writes an image into a file, in the format docker-archive.
func Save(ctx context.Context, image, path string) error {
	_, err := Run(ctx, "", Engine(), "save", "--output", path, image)
	return err
}

// Run runs a command at the root of the repository, with stdin for its input, and returns
// what it printed to stdout. The error carries both outputs.
func Run(ctx context.Context, stdin, name string, args ...string) (string, error) {
	root, err := findRoot()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = root
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stdout.String(), nil
}

// findRoot is the nearest folder upwards with a go.mod.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("looking for go.mod: there is none")
		}
		dir = parent
	}
}
