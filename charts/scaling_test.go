// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"fmt"
	"strconv"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	policyv1 "k8s.io/api/policy/v1"
)

func TestScalingDownIsSlow(t *testing.T) {
	t.Parallel()
	o := render(t, leastGateway, "autoscaling: {enabled: true, minReplicas: 3, maxReplicas: 9}")
	h := get[autoscalingv2.HorizontalPodAutoscaler](o, "HorizontalPodAutoscaler", "mqtt-vernegate").Spec
	if h.ScaleTargetRef.Kind != "Deployment" || h.ScaleTargetRef.Name != "mqtt-vernegate" || *h.MinReplicas != 3 || h.MaxReplicas != 9 {
		t.Errorf("it scales %v from %d to %d", h.ScaleTargetRef, *h.MinReplicas, h.MaxReplicas)
	}
	down := h.Behavior.ScaleDown
	if *down.StabilizationWindowSeconds < 600 || len(down.Policies) != 1 || down.Policies[0].Type != autoscalingv2.PodsScalingPolicy || down.Policies[0].Value != 1 {
		t.Errorf("it scales down as %v says", down)
	}
	if got := *h.Metrics[0].Resource.Target.AverageUtilization; got != 60 {
		t.Errorf("it aims at %d %%", got)
	}
	if replicas := get[appsv1.Deployment](o, "Deployment", "mqtt-vernegate").Spec.Replicas; replicas != nil {
		t.Errorf("an upgrade sets %d replicas back", *replicas)
	}
}

func TestScalingBySessions(t *testing.T) {
	t.Parallel()
	o := render(t, leastGateway, `
autoscaling:
  enabled: true
  targetCPUUtilizationPercentage: null
  metrics:
    - type: Pods
      pods: {metric: {name: vernegate_sessions}, target: {type: AverageValue, averageValue: 20k}}
`)
	h := get[autoscalingv2.HorizontalPodAutoscaler](o, "HorizontalPodAutoscaler", "mqtt-vernegate").Spec
	if len(h.Metrics) != 1 || h.Metrics[0].Pods.Metric.Name != "vernegate_sessions" {
		t.Errorf("it looks at %v", h.Metrics)
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	budget := func(values string) policyv1.PodDisruptionBudgetSpec {
		return get[policyv1.PodDisruptionBudget](render(t, leastGateway, values), "PodDisruptionBudget", "mqtt-vernegate").Spec
	}
	b := budget("")
	if b.MinAvailable != nil || b.MaxUnavailable.IntValue() != 1 {
		t.Errorf("it keeps %v and lets go %v", b.MinAvailable, b.MaxUnavailable)
	}
	if b.UnhealthyPodEvictionPolicy == nil || *b.UnhealthyPodEvictionPolicy != policyv1.AlwaysAllow {
		t.Error("a pod that is not ready keeps its node from being drained")
	}
	if b := budget("podDisruptionBudget: {minAvailable: 50%}"); b.MaxUnavailable != nil || b.MinAvailable.StrVal != "50%" {
		t.Errorf("it keeps %v and lets go %v", b.MinAvailable, b.MaxUnavailable)
	}
	if b := budget("podDisruptionBudget: {minAvailable: 0}"); b.MaxUnavailable != nil || b.MinAvailable == nil {
		t.Errorf("0 counts as nothing: it keeps %v and lets go %v", b.MinAvailable, b.MaxUnavailable)
	}
	if o := render(t, leastGateway, "podDisruptionBudget: {enabled: false}"); o.has("PodDisruptionBudget mqtt-vernegate") {
		t.Error("there is one that is not enabled")
	}
}

func TestANewGatewayIsThereBeforeAnOldOneGoes(t *testing.T) {
	t.Parallel()
	spec := get[appsv1.Deployment](render(t, leastGateway, "minReadySeconds: 7"), "Deployment", "mqtt-vernegate").Spec
	if u := spec.Strategy.RollingUpdate; u.MaxUnavailable.IntValue() != 0 || u.MaxSurge.IntValue() != 1 {
		t.Errorf("%v go and %v come", u.MaxUnavailable, u.MaxSurge)
	}
	if spec.MinReadySeconds != 7 {
		t.Errorf("the next one goes after %d s", spec.MinReadySeconds)
	}
	nodes := get[appsv1.StatefulSet](render(t, leastSidecar, "minReadySeconds: 7"), "StatefulSet", "mqtt-vernegate").Spec
	if nodes.MinReadySeconds != 7 || nodes.PodManagementPolicy != appsv1.OrderedReadyPodManagement {
		t.Errorf("nodes come %s, after %d s", nodes.PodManagementPolicy, nodes.MinReadySeconds)
	}
}

func TestPodsAreSpread(t *testing.T) {
	t.Parallel()
	for _, values := range []string{leastGateway, leastSidecar} {
		o := render(t, values)
		keys := map[string]bool{}
		for _, c := range o.pods().Spec.TopologySpreadConstraints {
			keys[c.TopologyKey] = true
			for name, value := range c.LabelSelector.MatchLabels {
				if o.pods().Labels[name] != value {
					t.Errorf("%s counts pods with %s=%s, which they have not", c.TopologyKey, name, value)
				}
			}
		}
		if !keys["kubernetes.io/hostname"] || !keys["topology.kubernetes.io/zone"] {
			t.Errorf("they are spread over %v", keys)
		}
	}
}

// TestServiceLinksStayOut: a Service called vernegate would name variables as ours are.
func TestServiceLinksStayOut(t *testing.T) {
	t.Parallel()
	if links := render(t, leastGateway).pods().Spec.EnableServiceLinks; links == nil || *links {
		t.Error("service links are on")
	}
}

func TestMemoryLimitIsLeftToTheProgram(t *testing.T) {
	t.Parallel()
	o := render(t, leastGateway)
	if limits := o.container("vernegate").Resources.Limits; limits.Memory().IsZero() {
		t.Error("there is no limit for it to find")
	}
	o.wantVariables(map[string]string{"GOMEMLIMIT": "", "GOMAXPROCS": ""})
}

// TestPortsAreEnoughForTheSessions: towards one address of a broker, each session takes a local port.
func TestPortsAreEnoughForTheSessions(t *testing.T) {
	t.Parallel()
	o := render(t, leastSidecar)
	ports := 0
	for _, s := range o.pods().Spec.SecurityContext.Sysctls {
		var first, last int
		if _, err := fmt.Sscanf(s.Value, "%d %d", &first, &last); err == nil && s.Name == "net.ipv4.ip_local_port_range" {
			ports = last - first + 1
		}
	}
	sessions, err := strconv.Atoi(o.variables("vernegate")["VERNEGATE_MAX_CONNECTIONS"])
	if err != nil || sessions > ports {
		t.Errorf("there are %d ports for %d sessions, %v", ports, sessions, err)
	}
}

func TestImagesByTagAndDigest(t *testing.T) {
	t.Parallel()
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for values, want := range map[string]string{
		"":                                  "ghcr.io/vernegate/vernegate:" + loadChart(t).Metadata.AppVersion,
		"image: {repository: r, tag: t}":    "r:t",
		"image: {digest: '" + digest + "'}": "ghcr.io/vernegate/vernegate@" + digest,
	} {
		if got := render(t, leastGateway, values).container("vernegate").Image; got != want {
			t.Errorf("%q: the image is %s, want %s", values, got, want)
		}
	}
}
