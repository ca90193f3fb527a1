// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build kube

package kube_test

import (
	"context"
	"os"
	"strings"
	"testing"
)

// provideVolume sees to it that a claim of the namespace will be bound. Where the cluster
// has no storage class of its own for that, as the throw-away one, a folder of this machine
// is the volume: its only node is here.
func (n namespace) provideVolume(t *testing.T, claim string) {
	t.Helper()
	classes := n.kubectl(t, "get", "storageclasses", "--output",
		`jsonpath={.items[*].metadata.annotations.storageclass\.kubernetes\.io/is-default-class}`)
	if strings.Contains(classes, "true") {
		return
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil { // whoever the broker runs as
		t.Fatal(err)
	}
	name := string(n) + "-" + claim
	n.apply(t, object("v1", "PersistentVolume", name, map[string]any{"spec": map[string]any{
		"capacity":                      map[string]string{"storage": "1Gi"},
		"accessModes":                   []string{"ReadWriteOnce"},
		"persistentVolumeReclaimPolicy": "Retain",
		"hostPath":                      map[string]string{"path": dir},
		"claimRef":                      map[string]string{"namespace": string(n), "name": claim},
	}}))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stepTime) // the test's has ended
		defer cancel()
		if _, err := n.try(ctx, "", "delete", "persistentvolume", name, "--wait=false"); err != nil {
			t.Error(err)
		}
	})
}
