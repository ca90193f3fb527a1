// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// rulesFor returns the rules of a policy that let something reach a port.
func rulesFor(p *networkingv1.NetworkPolicy, port int) []networkingv1.NetworkPolicyIngressRule {
	var rules []networkingv1.NetworkPolicyIngressRule
	for _, rule := range p.Spec.Ingress {
		if len(rule.Ports) == 0 || slices.ContainsFunc(rule.Ports, func(r networkingv1.NetworkPolicyPort) bool {
			return r.Port.IntValue() == port || r.EndPort != nil && r.Port.IntValue() <= port && port <= int(*r.EndPort)
		}) {
			rules = append(rules, rule)
		}
	}
	return rules
}

// wantOneRule returns the peers of the only rule for a port; none are everybody.
func wantOneRule(t *testing.T, p *networkingv1.NetworkPolicy, port int) []networkingv1.NetworkPolicyPeer {
	t.Helper()
	rules := rulesFor(p, port)
	if len(rules) != 1 {
		t.Fatalf("there are %d rules of %s for port %d: %v", len(rules), p.Name, port, rules)
	}
	return rules[0].From
}

func TestPodsCanBeReachedAtTheirPortsOnly(t *testing.T) {
	t.Parallel()
	for values, closed := range map[string][]int{
		leastSidecar: {1883, 8885, 22},
		leastGateway: {1883, 8885, 8888, 44053},
	} {
		o := render(t, values)
		p := get[networkingv1.NetworkPolicy](o, "NetworkPolicy", "mqtt-vernegate")
		if !slices.Equal(p.Spec.PolicyTypes, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}) {
			t.Errorf("it is about %v", p.Spec.PolicyTypes)
		}
		for name, value := range p.Spec.PodSelector.MatchLabels {
			if o.pods().Labels[name] != value {
				t.Errorf("it selects %v, and the pods have %v", p.Spec.PodSelector.MatchLabels, o.pods().Labels)
			}
		}
		if from := wantOneRule(t, p, 8883); len(from) != 0 {
			t.Errorf("devices come from %v alone", from)
		}
		if from := wantOneRule(t, p, 9883); len(from) != 1 || from[0].PodSelector == nil || from[0].NamespaceSelector != nil {
			t.Errorf("services come from %v, want the namespace", from)
		}
		for _, port := range closed {
			if rules := rulesFor(p, port); len(rules) != 0 {
				t.Errorf("port %d is open: %v", port, rules)
			}
		}
	}
}

func TestPodsReachWhatIsNamedWhereEgressIsLimited(t *testing.T) {
	t.Parallel()
	const limited = "networkPolicy: {egress: {enabled: true, rules: [{to: [{ipBlock: {cidr: 192.0.2.7/32}}], ports: [{port: 80}]}]}}"
	p := get[networkingv1.NetworkPolicy](render(t, leastGateway, limited), "NetworkPolicy", "mqtt-vernegate")
	if !slices.Equal(p.Spec.PolicyTypes, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}) {
		t.Errorf("it is about %v", p.Spec.PolicyTypes)
	}
	rules := p.Spec.Egress
	if len(rules) != 3 {
		t.Fatalf("there are %d rules, want DNS, the pods and one more: %v", len(rules), rules)
	}
	if dns := rules[0]; len(dns.To) != 0 || len(dns.Ports) != 2 || dns.Ports[0].Port.IntValue() != 53 || *dns.Ports[0].Protocol != corev1.ProtocolUDP {
		t.Errorf("DNS is %v", dns)
	}
	if rules[1].To[0].PodSelector.MatchLabels["app.kubernetes.io/instance"] != "mqtt" || rules[2].To[0].IPBlock.CIDR != "192.0.2.7/32" {
		t.Errorf("the others are %v", rules[1:])
	}
}

// TestNobodyIsNotEverybody: in a NetworkPolicy, an empty list of peers lets everybody in.
func TestNobodyIsNotEverybody(t *testing.T) {
	t.Parallel()
	p := get[networkingv1.NetworkPolicy](render(t, leastGateway, "networkPolicy: {services: {from: []}, admin: {from: []}}"), "NetworkPolicy", "mqtt-vernegate")
	for _, port := range []int{9883, 8885} {
		if rules := rulesFor(p, port); len(rules) != 0 {
			t.Errorf("port %d is open: %v", port, rules)
		}
	}
}

func TestNodesReachEachOtherAndNobodyElseDoes(t *testing.T) {
	t.Parallel()
	p := get[networkingv1.NetworkPolicy](render(t, leastSidecar), "NetworkPolicy", "mqtt-vernegate")
	for _, port := range []int{8888, 4369, 44053, 9100, 9109} {
		from := wantOneRule(t, p, port)
		if len(from) != 1 || from[0].PodSelector.MatchLabels["app.kubernetes.io/instance"] != "mqtt" {
			t.Errorf("port %d is open to %v", port, from)
		}
	}
}

func TestWhoMayLook(t *testing.T) {
	t.Parallel()
	const prometheus = "networkPolicy: {admin: {from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]}}"
	p := get[networkingv1.NetworkPolicy](render(t, leastGateway, prometheus), "NetworkPolicy", "mqtt-vernegate")
	if from := wantOneRule(t, p, 8885); len(from) != 1 || from[0].NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] != "monitoring" {
		t.Errorf("the metrics are open to %v", from)
	}
	if rules := rulesFor(p, 8888); len(rules) != 0 {
		t.Errorf("port 8888, where there is no broker, is open: %v", rules)
	}
}

// TestOnlyTheGatewayReachesTheBrokers also in another namespace.
func TestOnlyTheGatewayReachesTheBrokers(t *testing.T) {
	t.Parallel()
	const brokers = "networkPolicy: {broker: {namespace: other, podSelector: {matchLabels: {app: vernemq}}, ports: [1883]}}"
	if o := render(t, leastGateway); o.has("NetworkPolicy mqtt-vernegate-broker") {
		t.Error("without a selector there is a policy for brokers")
	}
	p := get[networkingv1.NetworkPolicy](render(t, leastGateway, brokers), "NetworkPolicy", "mqtt-vernegate-broker")
	if p.Namespace != "other" || p.Spec.PodSelector.MatchLabels["app"] != "vernemq" {
		t.Errorf("it is for %v in %s", p.Spec.PodSelector, p.Namespace)
	}
	rules := rulesFor(p, 1883)
	if len(rules) != 2 {
		t.Fatalf("there are %d rules for the plain port", len(rules))
	}
	gate, nodes := rules[0].From[0], rules[1].From[0]
	if gate.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] != "iot" || gate.PodSelector.MatchLabels["app.kubernetes.io/instance"] != "mqtt" {
		t.Errorf("it is open to %v, want vernegate", gate)
	}
	if nodes.NamespaceSelector != nil || nodes.PodSelector.MatchLabels["app"] != "vernemq" {
		t.Errorf("it is open to %v, want the nodes", nodes)
	}
}

func TestServicesKeepTheAddressesOfDevices(t *testing.T) {
	t.Parallel()
	for values, want := range map[string]corev1.ServiceExternalTrafficPolicy{
		"service: {type: LoadBalancer}": corev1.ServiceExternalTrafficPolicyLocal,
		"service: {type: NodePort}":     corev1.ServiceExternalTrafficPolicyLocal,
		"service: {type: ClusterIP}":    "", // has none
	} {
		s := get[corev1.Service](render(t, leastGateway, values), "Service", "mqtt-vernegate")
		if got := s.Spec.ExternalTrafficPolicy; got != want {
			t.Errorf("%s: the policy is %q, want %q", values, got, want)
		}
		if got := s.Spec.Ports; len(got) != 1 || got[0].TargetPort != intstr.FromInt(8883) {
			t.Errorf("%s: it leads to %v, want the devices' port alone", values, got)
		}
	}
	inside := get[corev1.Service](render(t, leastGateway), "Service", "mqtt-vernegate-services")
	if inside.Spec.Type != corev1.ServiceTypeClusterIP || inside.Spec.Ports[0].TargetPort != intstr.FromInt(9883) {
		t.Errorf("services come in by %v", inside.Spec)
	}
	without := render(t, leastGateway, "listeners: {services: {enabled: false}}")
	without.wantVariables(map[string]string{"VERNEGATE_SERVICE_LISTEN": ""})
	if without.has("Service mqtt-vernegate-services") {
		t.Error("without that listener, there is a Service for it")
	}
}
