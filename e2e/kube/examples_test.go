// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build kube

package kube_test

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/e2e/images"
)

// foreign begins the API versions of those whose resources are not in every cluster.
var foreign = regexp.MustCompile(`(?m)^apiVersion: "?(cert-manager\.io|monitoring\.coreos\.com)/`)

// TestExamplesAreAccepted shows each example of the chart to the API server, which says
// whether it would take it, and warns of what breaks the namespace's Pod Security.
func TestExamplesAreAccepted(t *testing.T) {
	n := newNamespace(t, "examples")
	files, err := filepath.Glob("../../" + chart + "/ci/*-values.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("the chart has no examples: %v", err)
	}
	var server struct{ GitVersion string }
	if err := json.Unmarshal([]byte(n.kubectl(t, "get", "--raw", "/version")), &server); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			rendered, err := images.Run(within(t, stepTime), "", "helm", "template", release, chart,
				"--namespace", string(n), "--kube-version", server.GitVersion, "--values", chart+"/ci/"+filepath.Base(file),
				"--set", "networkPolicy.broker.namespace="+string(n)) // the one that an example names does not exist
			if err != nil {
				t.Fatal(err)
			}
			ours := ""
			for manifest := range strings.SplitSeq(rendered, "\n---\n") {
				if !foreign.MatchString(manifest) {
					ours += manifest + "\n---\n"
				}
			}
			_, err = n.try(within(t, stepTime), ours, "apply", "--dry-run=server", "--warnings-as-errors", "--validate=strict", "--filename", "-")
			if err != nil {
				t.Error(err)
			}
		})
	}
}
