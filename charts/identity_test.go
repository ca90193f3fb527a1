// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// volume returns the volume of a name, which vernegate has to mount whole: Kubernetes does not follow what a subPath is from.
func volume(t *testing.T, o objects, name, path string) corev1.Volume {
	t.Helper()
	if !slices.ContainsFunc(o.container("vernegate").VolumeMounts, func(m corev1.VolumeMount) bool {
		return m.Name == name && m.MountPath == path && m.ReadOnly && m.SubPath == ""
	}) {
		t.Errorf("%s is not mounted at %s: %v", name, path, o.container("vernegate").VolumeMounts)
	}
	volumes := o.pods().Spec.Volumes
	i := slices.IndexFunc(volumes, func(v corev1.Volume) bool { return v.Name == name })
	if i < 0 {
		t.Fatalf("there is no volume %s in %v", name, volumes)
	}
	return volumes[i]
}

func TestFileOfOwnersIsMounted(t *testing.T) {
	t.Parallel()
	const file = "env: {VERNEGATE_IDENTITY: 'file,certificate-acl'}\nidentity: {file: {"
	for _, least := range []string{leastSidecar, leastGateway} {
		o := render(t, least, file+"configMap: owners, key: owners.map}}")
		o.wantVariables(map[string]string{"VERNEGATE_IDENTITY_FILE": "/etc/vernegate/identity/owners", "VERNEGATE_IDENTITY": "file,certificate-acl"})
		source := volume(t, o, "identity", "/etc/vernegate/identity").Projected.Sources[0]
		if c := source.ConfigMap; c == nil || source.Secret != nil || c.Name != "owners" || c.Items[0] != (corev1.KeyToPath{Key: "owners.map", Path: "owners"}) {
			t.Errorf("it comes from %+v", source)
		}
		source = volume(t, render(t, least, file+"secret: owners}}"), "identity", "/etc/vernegate/identity").Projected.Sources[0]
		if s := source.Secret; s == nil || s.Name != "owners" || s.Items[0].Key != "owners" {
			t.Errorf("it comes from %+v", source)
		}
	}
}

func TestFileOfOwnersMayBeAnywhere(t *testing.T) {
	t.Parallel()
	o := render(t, leastGateway, "env: {VERNEGATE_IDENTITY: file}\nidentity: {file: {path: /data/owners}}")
	o.wantVariables(map[string]string{"VERNEGATE_IDENTITY_FILE": "/data/owners"})
	if volumes := o.pods().Spec.Volumes; slices.ContainsFunc(volumes, func(v corev1.Volume) bool { return v.Name == "identity" }) {
		t.Errorf("there is a volume for it: %v", volumes)
	}
}

func TestKafkaIsSpokenToOverTLS(t *testing.T) {
	t.Parallel()
	const brokers = "env: {VERNEGATE_KAFKA_BROKERS: 'kafka-0:9093,kafka-1:9093'}\n"
	o := render(t, leastGateway, brokers+"kafka: {tls: {enabled: true, secret: kafka, clientCertificate: true}, passwordSecret: {name: sasl}}")
	o.wantVariables(map[string]string{
		"VERNEGATE_KAFKA_TLS": "on", "VERNEGATE_KAFKA_TLS_CA": "/etc/vernegate/kafka-tls/ca.crt",
		"VERNEGATE_KAFKA_TLS_CERT": "/etc/vernegate/kafka-tls/tls.crt", "VERNEGATE_KAFKA_TLS_KEY": "/etc/vernegate/kafka-tls/tls.key",
		"VERNEGATE_KAFKA_SASL_PASSWORD_FILE": "/etc/vernegate/kafka/password",
	})
	if s := volume(t, o, "kafka-tls", "/etc/vernegate/kafka-tls").Secret; s.SecretName != "kafka" || len(s.Items) != 3 {
		t.Errorf("it comes from %+v", s)
	}
	if s := volume(t, o, "kafka-password", "/etc/vernegate/kafka").Secret; s.SecretName != "sasl" {
		t.Errorf("the password comes from %+v", s)
	}
	o = render(t, leastGateway, brokers+"kafka: {tls: {enabled: true, secret: kafka}}")
	if s := volume(t, o, "kafka-tls", "/etc/vernegate/kafka-tls").Secret; len(s.Items) != 1 {
		t.Errorf("without a certificate of its own, it has %v", s.Items)
	}
	o = render(t, leastGateway, brokers+"kafka: {tls: {enabled: true}}")
	o.wantVariables(map[string]string{"VERNEGATE_KAFKA_TLS": "on"})
	for _, v := range o.container("vernegate").Env {
		if v.Name == "VERNEGATE_KAFKA_TLS_CA" {
			t.Errorf("CAs are named that are not there: %s", v.Value)
		}
	}
}

func TestPodsMayReachKafka(t *testing.T) {
	t.Parallel()
	const values = "env: {VERNEGATE_KAFKA_BROKERS: 'kafka-0:9093, kafka-1:9093,[2001:db8::1]:19092'}\n"
	peers := func(more string) []networkingv1.NetworkPolicyEgressRule {
		return get[networkingv1.NetworkPolicy](render(t, leastGateway, values+"networkPolicy: {egress: {enabled: true}"+more+"}"), "NetworkPolicy", "mqtt-vernegate").Spec.Egress
	}
	rules := peers("")
	if len(rules) != 3 || len(rules[2].To) != 0 || len(rules[2].Ports) != 2 || rules[2].Ports[0].Port.IntValue() != 9093 || rules[2].Ports[1].Port.IntValue() != 19092 {
		t.Errorf("the rules are %+v", rules)
	}
	rules = peers(", kafka: {to: [{podSelector: {matchLabels: {app: kafka}}}]}")
	if len(rules[2].To) != 1 || rules[2].To[0].PodSelector.MatchLabels["app"] != "kafka" {
		t.Errorf("the rules are %+v", rules)
	}
}
