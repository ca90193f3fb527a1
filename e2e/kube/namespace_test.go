// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build kube

package kube_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/images"
)

// stepTime is how long a step may take that is not under test, such as an installation.
const stepTime = 3 * time.Minute

// A namespace is one of the cluster's, made for one test, where Pod Security is restricted.
type namespace string

// newNamespace makes a namespace, which is removed at the end of the test. If the test
// has failed by then, what is in it is printed before.
func newNamespace(t *testing.T, name string) namespace {
	t.Helper()
	n := namespace("vernegate-" + name + "-" + unique())
	n.apply(t, object("v1", "Namespace", string(n), map[string]any{
		"metadata": map[string]any{"name": n, "labels": map[string]string{
			"pod-security.kubernetes.io/enforce": "restricted",
			"pod-security.kubernetes.io/warn":    "restricted", // of what makes pods
		}},
	}))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stepTime) // the test's has ended
		defer cancel()
		if t.Failed() {
			n.explain(ctx, t)
		}
		if _, err := n.try(ctx, "", "delete", "namespace", string(n), "--wait=false"); err != nil {
			t.Error(err)
		}
	})
	eventually(t, stepTime, "the namespace has its ServiceAccount", func() bool {
		_, err := n.try(t.Context(), "", "get", "serviceaccount", "default")
		return err == nil
	})
	return n
}

// explain logs what an operator would look at.
func (n namespace) explain(ctx context.Context, t *testing.T) {
	for _, look := range [][]string{
		{"get", "all", "-o", "wide"},
		{"get", "events", "--sort-by", ".lastTimestamp"},
		{"logs", "--selector", "app.kubernetes.io/name=vernegate", "--all-containers", "--prefix", "--tail", "40"},
	} {
		out, err := n.try(ctx, "", look...)
		t.Logf("kubectl %s: %v\n%s", strings.Join(look, " "), err, out)
	}
}

// try runs kubectl in the namespace.
func (n namespace) try(ctx context.Context, stdin string, args ...string) (string, error) {
	return images.Run(ctx, stdin, "kubectl", append([]string{"--namespace", string(n)}, args...)...)
}

// kubectl is try, and fails the test if kubectl fails.
func (n namespace) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := n.try(within(t, stepTime), "", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// object is a manifest; more has what it holds beside its name.
func object(version, kind, name string, more map[string]any) map[string]any {
	o := map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{"name": name}}
	for key, value := range more {
		o[key] = value
	}
	return o
}

// apply applies a manifest.
func (n namespace) apply(t *testing.T, manifest map[string]any) {
	t.Helper()
	text, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	n.applyText(t, string(text))
}

// applyFile applies a file of testdata, in which $BROKER_IMAGE and $STANDIN_IMAGE are replaced.
func (n namespace) applyFile(t *testing.T, name string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	n.applyText(t, strings.NewReplacer("$BROKER_IMAGE", brokerImage, "$STANDIN_IMAGE", standinImage).Replace(string(text)))
}

func (n namespace) applyText(t *testing.T, manifests string) {
	t.Helper()
	if _, err := n.try(within(t, stepTime), manifests, "apply", "--filename", "-"); err != nil {
		t.Fatal(err)
	}
}

// A pod is what the tests look at of one.
type pod struct {
	Metadata struct {
		Name              string
		UID               string
		DeletionTimestamp *time.Time
	}
	Status struct {
		InitContainerStatuses, ContainerStatuses []struct {
			Name         string
			RestartCount int
			Ready        bool
		}
	}
}

// pods are those of the release, without those that are on their way out; ordered by name.
func (n namespace) pods(t *testing.T) []pod {
	t.Helper()
	all := n.allPods(t)
	return slices.DeleteFunc(all, func(p pod) bool { return p.Metadata.DeletionTimestamp != nil })
}

// allPods are the pods of the release; ordered by name.
func (n namespace) allPods(t *testing.T) []pod {
	t.Helper()
	var list struct{ Items []pod }
	out := n.kubectl(t, "get", "pods", "--selector", "app.kubernetes.io/instance="+release, "--output", "json")
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(list.Items, func(a, b pod) int { return strings.Compare(a.Metadata.Name, b.Metadata.Name) })
	return list.Items
}

// uids are the identities of pods.
func uids(pods []pod) []string {
	var list []string
	for _, p := range pods {
		list = append(list, p.Metadata.UID)
	}
	return list
}

// restarts is how often a container of the pod was started again.
func (p pod) restarts(container string) int {
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if s.Name == container {
			return s.RestartCount
		}
	}
	return -1
}

// ready reports whether all containers are; a native sidecar is an init container.
func (p pod) ready() bool {
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if !s.Ready {
			return false
		}
	}
	return len(p.Status.ContainerStatuses) > 0
}
