// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// examples are the values that are there to be copied.
func examples(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("vernegate/ci/*-values.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("examples: %q, %v", files, err)
	}
	values := map[string]string{}
	for _, file := range files {
		values[filepath.Base(file)] = read(t, file)
	}
	return values
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestExamplesAreAdmitted has Kubernetes' own judge of the standard "restricted" look at
// the pods; that they decode at all, render sees to.
func TestExamplesAreAdmitted(t *testing.T) {
	t.Parallel()
	judge, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for name, values := range examples(t) {
		pods := render(t, values).pods()
		for _, result := range judge.EvaluatePod(restricted, &pods.ObjectMeta, &pods.Spec) {
			if !result.Allowed {
				t.Errorf("%s: %s: %s", name, result.ForbiddenReason, result.ForbiddenDetail)
			}
		}
	}
}

// TestProgramTakesTheVariables runs "vernegate check" with the environment of each
// example's container. It has no such files and brokers here, but the variables are good.
func TestProgramTakesTheVariables(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	for name, values := range examples(t) {
		cmd := exec.Command(program, "check")
		for variable, value := range render(t, values).variables("vernegate") {
			if !strings.HasPrefix(variable, "VERNEGATE_ADMIN_") { // which name files that are read at once
				cmd.Env = append(cmd.Env, variable+"="+value)
			}
		}
		out, _ := cmd.Output() // it fails at what is not there
		if !strings.Contains(string(out), "ok       configuration\n") {
			t.Errorf("%s: vernegate check says\n%s", name, out)
		}
	}
}

// TestProgramConverts runs the init container's command with its environment: what the
// broker's container then finds is what VerneMQ needs.
func TestProgramConverts(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	o := render(t, examples(t)["sidecar-vernemq-conf-values.yaml"], `
admin: {tokenSecret: {name: token}}
extraEnv: [{name: PLUGIN_ACL_V2K_SERVICENAME, value: other-bridge}]
`)
	out := filepath.Join(t.TempDir(), "broker")
	var args []string
	for _, arg := range o.container("convert").Args {
		args = append(args, strings.Replace(arg, "/converted/broker", out, 1))
	}
	cmd := exec.Command(program, args...)
	for variable, value := range o.variables("convert") {
		cmd.Env = append(cmd.Env, variable+"="+value)
	}
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("vernegate convert: %v\n%s", err, output)
	}
	if conf := read(t, out, "vernemq.conf"); !strings.Contains(conf, "accept_eula = yes\n") || !strings.Contains(conf, "listener.tcp.vernegate = 127.0.0.1:1883\n") {
		t.Errorf("vernemq.conf is\n%s", conf)
	}
	if acl := read(t, out, "vmq.acl"); !strings.Contains(acl, "user other-bridge\n") {
		t.Errorf("vmq.acl is\n%s", acl)
	}
}

// buildProgram builds vernegate as it is beside the chart.
func buildProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "vernegate")
	cmd := exec.Command("go", "build", "-o", program, "./cmd/vernegate")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building vernegate: %v\n%s", err, out)
	}
	return program
}
