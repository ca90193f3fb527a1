// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build kube

// Package kube_test installs the chart in a Kubernetes, and has devices live through what
// happens there. "make e2e-kube" runs it, with kubectl and helm, in the cluster of
// KUBECONFIG or in a throw-away one. It makes namespaces of its own and removes them.
//
// By default it builds its images and hands them to the cluster with kube-load, which the
// throw-away one has. Elsewhere, variables say how:
//
//	E2E_KUBE_LOAD           a command that gives an image archive to the cluster, such as
//	                        "kind load image-archive"; the archive is its last argument
//	E2E_KUBE_IMAGE          an image of vernegate that the cluster can pull; then none is built
//	E2E_KUBE_STANDIN_IMAGE  likewise one with the binaries of e2e/images/standins.Dockerfile
//	E2E_KUBE_BROKER_IMAGE   the broker, such as docker.io/vernemq/vernemq:2.1.1: by running
//	                        it, its terms are accepted; the stand-in if it is not set
//	E2E_KUBE_NODE           an address at which ports of nodes can be reached; that of the
//	                        first node if it is not set
package kube_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/images"
)

// The images under test, set by TestMain.
var vernegateImage, standinImage, brokerImage string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "vernegate-kube-")
	if err == nil {
		err = prepareImages(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// prepareImages sees to it that the cluster has the images, with dir for what is on the way.
func prepareImages(dir string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // a cold build cache takes its time
	defer cancel()
	if vernegateImage = os.Getenv("E2E_KUBE_IMAGE"); vernegateImage == "" {
		if vernegateImage, err = images.BuildVernegate(ctx, "e2e"); err != nil {
			return err
		}
		if err := load(ctx, vernegateImage, filepath.Join(dir, "vernegate.tar")); err != nil {
			return err
		}
	}
	if standinImage = os.Getenv("E2E_KUBE_STANDIN_IMAGE"); standinImage == "" {
		if standinImage, err = images.BuildStandins(ctx); err != nil {
			return err
		}
		if err := load(ctx, standinImage, filepath.Join(dir, "standins.tar")); err != nil {
			return err
		}
	}
	brokerImage = cmp.Or(os.Getenv("E2E_KUBE_BROKER_IMAGE"), standinImage)
	return nil
}

// load gives an image to the cluster, by way of a file.
func load(ctx context.Context, image, archive string) error {
	if err := images.Save(ctx, image, archive); err != nil {
		return err
	}
	loader := strings.Fields(cmp.Or(os.Getenv("E2E_KUBE_LOAD"), "kube-load"))
	_, err := images.Run(ctx, "", loader[0], append(loader[1:], archive)...)
	return err
}

// unique is a short name that no earlier run has used.
func unique() string { return strings.ToLower(rand.Text()[:6]) }

// within is a context for one step that ends after d.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// eventually asks until done says yes, and fails the test after d.
func eventually(t *testing.T, d time.Duration, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(d); !done(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", d, what)
		}
	}
}
