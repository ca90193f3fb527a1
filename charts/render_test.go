// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// The least that each mode needs.
const (
	leastSidecar = `
mode: sidecar
broker: {acceptEULA: true}
certificates: {existingSecret: {name: server}}
`
	leastGateway = `
mode: gateway
gateway: {backends: ["vernemq-headless:1883"]}
certificates: {existingSecret: {name: server}}
`
)

// objects is what an installation named "mqtt" in the namespace "iot" consists of.
type objects struct {
	t     *testing.T
	byID  map[string]any // "Kind name"
	notes string
}

// newObject makes the typed object for each kind that the chart has.
var newObject = map[string]func() any{
	"ConfigMap":               func() any { return new(corev1.ConfigMap) },
	"Secret":                  func() any { return new(corev1.Secret) },
	"Service":                 func() any { return new(corev1.Service) },
	"ServiceAccount":          func() any { return new(corev1.ServiceAccount) },
	"Deployment":              func() any { return new(appsv1.Deployment) },
	"StatefulSet":             func() any { return new(appsv1.StatefulSet) },
	"HorizontalPodAutoscaler": func() any { return new(autoscalingv2.HorizontalPodAutoscaler) },
	"NetworkPolicy":           func() any { return new(networkingv1.NetworkPolicy) },
	"Ingress":                 func() any { return new(networkingv1.Ingress) },
	"PodDisruptionBudget":     func() any { return new(policyv1.PodDisruptionBudget) },
	"Role":                    func() any { return new(rbacv1.Role) },
	"RoleBinding":             func() any { return new(rbacv1.RoleBinding) },
	"Certificate":             func() any { return new(certificate) },
	"PodMonitor":              func() any { return new(monitor) },
	"ServiceMonitor":          func() any { return new(monitor) },
	"PrometheusRule":          func() any { return new(prometheusRule) },
}

// loadChart reads the chart.
func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load("vernegate")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tryRender returns what the templates make of values, each given as YAML and a later
// one going before an earlier one, as helm's -f does.
func tryRender(t *testing.T, values ...string) (map[string]string, error) {
	t.Helper()
	merged := chartutil.Values{}
	for _, text := range values {
		v, err := chartutil.ReadValues([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		merged = chartutil.MergeTables(v, merged)
	}
	c := loadChart(t)
	release := chartutil.ReleaseOptions{Name: "mqtt", Namespace: "iot", IsInstall: true, Revision: 1}
	in, err := chartutil.ToRenderValues(c, merged, release, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Render(c, in)
}

// render returns the objects that values make, decoded strictly: a field that
// Kubernetes does not know, or that is there twice, is a failure.
func render(t *testing.T, values ...string) objects {
	t.Helper()
	files, err := tryRender(t, values...)
	if err != nil {
		t.Fatal(err)
	}
	o := objects{t, map[string]any{}, files["vernegate/templates/NOTES.txt"]}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(file, ".yaml") {
			continue
		}
		for _, manifest := range releaseutil.SplitManifests(files[file]) {
			o.add(file, manifest)
		}
	}
	return o
}

func (o objects) add(file, manifest string) {
	o.t.Helper()
	var head struct {
		Kind     string
		Metadata struct{ Name, Namespace string }
	}
	if err := yaml.Unmarshal([]byte(manifest), &head); err != nil {
		o.t.Fatalf("%s: %v", file, err)
	}
	if head.Kind == "" {
		return // nothing but comments
	}
	create, known := newObject[head.Kind]
	if !known {
		o.t.Fatalf("%s: no type for %s", file, head.Kind)
	}
	object := create()
	if err := yaml.UnmarshalStrict([]byte(manifest), object); err != nil {
		o.t.Fatalf("%s: %s: %v", file, head.Kind, err)
	}
	id := head.Kind + " " + head.Metadata.Name
	if o.byID[id] != nil {
		o.t.Fatalf("%s: there is a second %s", file, id)
	}
	o.byID[id] = object
}

// get returns an object by kind and name.
func get[T any](o objects, kind, name string) *T {
	o.t.Helper()
	object, ok := o.byID[kind+" "+name].(*T)
	if !ok {
		o.t.Fatalf("there is no %s %s among %q", kind, name, slices.Sorted(maps.Keys(o.byID)))
	}
	return object
}

func (o objects) has(id string) bool { return o.byID[id] != nil }

// pods returns the template of the pods, of either mode.
func (o objects) pods() corev1.PodTemplateSpec {
	o.t.Helper()
	if o.has("Deployment mqtt-vernegate") {
		return get[appsv1.Deployment](o, "Deployment", "mqtt-vernegate").Spec.Template
	}
	return get[appsv1.StatefulSet](o, "StatefulSet", "mqtt-vernegate").Spec.Template
}

// container returns a container of the pods, wherever it is.
func (o objects) container(name string) corev1.Container {
	o.t.Helper()
	spec := o.pods().Spec
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		if c.Name == name {
			return c
		}
	}
	o.t.Fatalf("there is no container %s", name)
	return corev1.Container{}
}

// variables returns the environment of a container; those from elsewhere are empty.
func (o objects) variables(container string) map[string]string {
	o.t.Helper()
	vars := map[string]string{}
	for _, v := range o.container(container).Env {
		if _, twice := vars[v.Name]; twice {
			o.t.Errorf("%s is there twice", v.Name)
		}
		vars[v.Name] = v.Value
	}
	return vars
}

// wantVariables fails for variables of vernegate that differ; "" wants none.
func (o objects) wantVariables(want map[string]string) {
	o.t.Helper()
	got := o.variables("vernegate")
	for name, value := range want {
		if got[name] != value {
			o.t.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}
}
