// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestWebSocketIsOffByDefault(t *testing.T) {
	t.Parallel()
	o := render(t, leastGateway)
	o.wantVariables(map[string]string{"VERNEGATE_WS_LISTEN": "", "VERNEGATE_LISTEN_ALPN": ""})
	if o.has("Ingress mqtt-vernegate") {
		t.Error("there is an Ingress")
	}
	if rules := rulesFor(get[networkingv1.NetworkPolicy](o, "NetworkPolicy", "mqtt-vernegate"), 8884); len(rules) != 0 {
		t.Errorf("port 8884 is open: %v", rules)
	}
}

func TestDevicesComeInByWebSocket(t *testing.T) {
	t.Parallel()
	for _, least := range []string{leastGateway, leastSidecar} {
		o := render(t, least, "listeners: {webSocket: {enabled: true, port: 443, nodePort: 30443}}", "networkPolicy: {devices: {from: [{ipBlock: {cidr: 192.0.2.0/24}}]}}")
		o.wantVariables(map[string]string{"VERNEGATE_WS_LISTEN": ":8884"})
		ports := get[corev1.Service](o, "Service", "mqtt-vernegate").Spec.Ports
		if len(ports) != 2 || ports[1].Name != "wss" || ports[1].Port != 443 || ports[1].NodePort != 30443 || ports[1].TargetPort != intstr.FromInt(8884) {
			t.Errorf("the Service has %v", ports)
		}
		p := get[networkingv1.NetworkPolicy](o, "NetworkPolicy", "mqtt-vernegate")
		if from := wantOneRule(t, p, 8884); len(from) != 1 || from[0].IPBlock.CIDR != "192.0.2.0/24" {
			t.Errorf("devices by WebSocket come from %v", from)
		}
	}
}

// TestNotesNameThePortOfWebSocket: with NodePort, only the cluster knows it.
func TestNotesNameThePortOfWebSocket(t *testing.T) {
	t.Parallel()
	const listener = "listeners: {webSocket: {enabled: true}}\n"
	for values, want := range map[string]string{
		listener: "By WebSocket they connect to port 8884, path /mqtt.\n",
		listener + "service: {type: NodePort}\nenv: {VERNEGATE_WS_PATH: /ws}": "By WebSocket they connect to path /ws at this port:\n" +
			"  kubectl -n iot get service mqtt-vernegate -o jsonpath='{.spec.ports[1].nodePort}'\n",
	} {
		if notes := render(t, leastGateway, values).notes; !strings.Contains(notes, want) {
			t.Errorf("it does not say %q:\n%s", want, notes)
		}
	}
}

func TestIngressPassesTLSThrough(t *testing.T) {
	t.Parallel()
	const ingress = "ingress: {enabled: true, className: nginx, hosts: [mqtt.example.org]}"
	for listeners, port := range map[string]string{
		"listeners: {webSocket: {enabled: true}}":             "wss",
		"listeners: {alpn: true}":                             "mqtts",
		"listeners: {alpn: true, webSocket: {enabled: true}}": "mqtts",
	} {
		o := render(t, leastGateway, ingress, listeners)
		i := get[networkingv1.Ingress](o, "Ingress", "mqtt-vernegate")
		if i.Annotations["nginx.ingress.kubernetes.io/ssl-passthrough"] != "true" || *i.Spec.IngressClassName != "nginx" || len(i.Spec.TLS) != 0 {
			t.Errorf("%s: TLS would not be passed through: %v, %v", listeners, i.Annotations, i.Spec)
		}
		rule := i.Spec.Rules[0]
		if backend := rule.HTTP.Paths[0].Backend.Service; rule.Host != "mqtt.example.org" || backend.Name != "mqtt-vernegate" || backend.Port.Name != port {
			t.Errorf("%s: %s leads to %v, want port %s", listeners, rule.Host, backend, port)
		}
	}
}

func TestALPNIsForTheDevicesPort(t *testing.T) {
	t.Parallel()
	o := render(t, leastGateway, "listeners: {alpn: true}", "service: {port: 443}")
	o.wantVariables(map[string]string{"VERNEGATE_LISTEN_ALPN": "true"})
	if ports := get[corev1.Service](o, "Service", "mqtt-vernegate").Spec.Ports; len(ports) != 1 || ports[0].Port != 443 {
		t.Errorf("the Service has %v", ports)
	}
}
