// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build kube

package kube_test

import (
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/images"
)

// TestRestrictedNamespaceIsRestricted shows that the namespaces in which all of this runs
// refuse what Pod Security calls privileged.
func TestRestrictedNamespaceIsRestricted(t *testing.T) {
	n := newNamespace(t, "restricted")
	_, err := n.try(within(t, stepTime), "", "run", "root", "--image", standinImage, "--privileged")
	if err == nil || !strings.Contains(err.Error(), "violates PodSecurity") {
		t.Errorf("a privileged pod: %v, want it refused", err)
	}
}

// TestBadValuesAreRefused installs with values that cannot be right: nothing may be
// installed, and the message has to name what is wrong.
func TestBadValuesAreRefused(t *testing.T) {
	n := newNamespace(t, "refusals")
	for name, row := range map[string]struct {
		values string
		want   []string // in the message
	}{
		"an unknown mode":        {"mode: sidekick", []string{"mode", "sidecar", "gateway"}},
		"a misspelt value":       {"mode: gateway\nreplica: 3", []string{"replica"}},
		"text for a number":      {"mode: gateway\nreplicas: many", []string{"replicas", "integer"}},
		"an unknown pull policy": {"mode: gateway\nimage: {pullPolicy: Sometimes}", []string{"pullPolicy", "Always"}},
		"a gateway to nowhere":   {"mode: gateway\ncertificates: {existingSecret: {name: trust}}", []string{"gateway.backends"}},
		"no certificates":        {"mode: gateway\ngateway: {backends: [\"vernemq:1883\"]}", []string{"certificates"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := images.Run(within(t, time.Minute), row.values, "helm", "install", release, chart, "--namespace", string(n), "--values", "-")
			if err == nil {
				t.Fatal("this is installed")
			}
			for _, want := range row.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the message does not name %s:\n%v", want, err)
				}
			}
		})
	}
	if out := n.kubectl(t, "get", "all", "--output", "name"); strings.TrimSpace(out) != "" {
		t.Errorf("something is left of what was refused: %s", out)
	}
}
