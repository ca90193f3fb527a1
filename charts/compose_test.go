// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// composeFile is what this test knows of a Compose file. env_file may be a name or a list.
type composeFile struct {
	Services map[string]struct {
		Image       string            `json:"image"`
		EnvFile     any               `json:"env_file"`
		Environment map[string]string `json:"environment"`
		Entrypoint  []string          `json:"entrypoint"`
		Volumes     []string          `json:"volumes"`
		NetworkMode string            `json:"network_mode"`
		Ports       []string          `json:"ports"`
		Grace       string            `json:"stop_grace_period"`
	} `json:"services"`
	Volumes map[string]any `json:"volumes"`
}

// TestComposeFilesFitTogether reads the example with Kafka as Compose would, without containers: what it adds to compose.yaml has to
// be there, and vernegate has to look for Kafka where it listens. e2e runs the programs.
func TestComposeFilesFitTogether(t *testing.T) {
	t.Parallel()
	const dir = "../examples/compose"
	var base, kafka composeFile
	for name, file := range map[string]*composeFile{"compose.yaml": &base, "kafka.yaml": &kafka} {
		if err := yaml.Unmarshal([]byte(read(t, dir, name)), file); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	gate := kafka.Services["vernegate"]
	if _, ok := base.Services["vernegate"]; !ok || gate.EnvFile != "kafka.env" {
		t.Errorf("kafka.yaml changes %+v, want the env_file of the service that compose.yaml has", gate)
	}
	env := read(t, dir, "kafka.env")
	advertised := strings.TrimPrefix(kafka.Services["kafka"].Environment["KAFKA_ADVERTISED_LISTENERS"], "PLAINTEXT://")
	if advertised != "kafka:9092" || !strings.Contains(env, "VERNEGATE_KAFKA_BROKERS="+advertised+"\n") {
		t.Errorf("Kafka is at %q, and vernegate reads\n%s", advertised, env)
	}
	publisher := kafka.Services["x509-identity-mgmt"]
	if image := base.Services["certificate-acl"].Image; publisher.Image != image || !slices.Contains(publisher.Entrypoint, advertised) {
		t.Errorf("the publisher is %+v, want the stand-in %s with Kafka's address", publisher, image)
	}
	for _, v := range publisher.Volumes {
		volume, _, _ := strings.Cut(v, ":")
		if _, ok := base.Volumes[volume]; !ok {
			t.Errorf("compose.yaml has no volume %s", volume)
		}
	}
}

// A container that is started again gets another network. So neither vernegate nor the broker has the one that both are in.
func TestNoRestartTakesTheNetworkOfTheOther(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"compose.yaml", "overlay.yaml"} {
		var file composeFile
		if err := yaml.Unmarshal([]byte(read(t, "../examples/compose", name)), &file); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		owner := file.Services["iotagent-mqtt"]
		if !slices.Equal(owner.Entrypoint, []string{"sleep", "infinity"}) || len(owner.Ports) == 0 {
			t.Errorf("%s: the owner of the network is %+v, want one that sleeps and has the ports", name, owner)
		}
		for _, service := range []string{"vernegate", "vernemq"} {
			if got := file.Services[service].NetworkMode; got != "service:iotagent-mqtt" {
				t.Errorf("%s: %s has network_mode %q", name, service, got)
			}
		}
		if gate := file.Services["vernegate"]; gate.Grace == "" || gate.Environment["HOSTNAME"] != "iotagent-mqtt" {
			t.Errorf("%s: vernegate is %+v, want time to drain and the name that its files have", name, gate)
		}
	}
}
