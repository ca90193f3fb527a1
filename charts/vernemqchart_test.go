// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"maps"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// vernemqChart is the example that puts vernegate into the pods of VerneMQ's own chart.
const vernemqChart = "../examples/vernemq-chart"

// TestPatchOfVerneMQsChartIsTheSidecar compares the container that the patch brings with
// the one that the chart makes. Apart from names, which must not be those of VerneMQ's, they are
// the same.
func TestPatchOfVerneMQsChartIsTheSidecar(t *testing.T) {
	t.Parallel()
	var patch appsv1.StatefulSet
	if err := yaml.UnmarshalStrict([]byte(read(t, vernemqChart, "vernegate.yaml")), &patch); err != nil {
		t.Fatal(err)
	}
	pods := patch.Spec.Template.Spec
	o := render(t, leastSidecar)
	got, want := pods.InitContainers[0], o.container("vernegate")

	for _, v := range got.Env {
		if v.Name == "VERNEGATE_BACKENDS" {
			v.Value = "127.0.0.1:1883" // the image's listener.tcp.default has another port there
		}
		if value, ok := o.variables("vernegate")[v.Name]; !ok || value != v.Value {
			t.Errorf("%s is %q, want %q", v.Name, v.Value, value)
		}
	}
	if len(got.Env) != len(want.Env) {
		t.Errorf("it has %d variables, want %d", len(got.Env), len(want.Env))
	}
	if got.Image != want.Image || *got.RestartPolicy != *want.RestartPolicy || !slices.Equal(got.Lifecycle.PreStop.Exec.Command, want.Lifecycle.PreStop.Exec.Command) {
		t.Errorf("it is %s, %s, %v", got.Image, *got.RestartPolicy, got.Lifecycle.PreStop.Exec)
	}
	if !maps.Equal(portNumbers(got), portNumbers(want)) {
		t.Errorf("it has %v, want %v", portNumbers(got), portNumbers(want))
	}
	if g, w := *pods.TerminationGracePeriodSeconds, *o.pods().Spec.TerminationGracePeriodSeconds; g != w {
		t.Errorf("the pod has %d s, want %d s", g, w)
	}
	if g, w := pods.Containers[0].Lifecycle.PreStop.Sleep.Seconds, o.container("broker").Lifecycle.PreStop.Sleep.Seconds; g != w {
		t.Errorf("the broker waits %d s, want %d s", g, w)
	}
	if got.VolumeMounts[0].MountPath != want.VolumeMounts[0].MountPath || got.VolumeMounts[0].Name != pods.Volumes[0].Name {
		t.Errorf("it mounts %v of %v", got.VolumeMounts, pods.Volumes)
	}
}

func portNumbers(c corev1.Container) map[int32]bool {
	numbers := map[int32]bool{}
	for _, p := range c.Ports {
		numbers[p.ContainerPort] = true
	}
	return numbers
}

// TestValuesOfVerneMQsChartCloseThePlainPorts: the image opens them where these are not set.
func TestValuesOfVerneMQsChartCloseThePlainPorts(t *testing.T) {
	t.Parallel()
	var values struct {
		AdditionalEnv []corev1.EnvVar `json:"additionalEnv"`
		ACL           struct {
			Enabled bool   `json:"enabled"`
			Content string `json:"content"`
		} `json:"acl"`
		Service struct {
			Enabled *bool `json:"enabled"`
		} `json:"service"`
	}
	if err := yaml.UnmarshalStrict([]byte(read(t, vernemqChart, "values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{}
	for _, v := range values.AdditionalEnv {
		vars[v.Name] = v.Value
	}
	const tcp, ws = "DOCKER_VERNEMQ_LISTENER__TCP__DEFAULT", "DOCKER_VERNEMQ_LISTENER__WS__DEFAULT"
	if vars[tcp] != "127.0.0.1:1884" || vars[tcp+"__PROXY_PROTOCOL"] != "on" || vars[ws] != "127.0.0.1:8080" {
		t.Errorf("VerneMQ listens as %q say", vars)
	}
	if got, want := withoutComments(values.ACL.Content), withoutComments(read(t, "vernegate", "files", "vmq.acl")); got != want || !values.ACL.Enabled {
		t.Errorf("the ACL file is\n%s\nwant\n%s", got, want)
	}
	if values.Service.Enabled == nil || *values.Service.Enabled {
		t.Error("VerneMQ's chart makes a Service, and a TLS listener for it")
	}
}
