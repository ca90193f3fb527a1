// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build podman

// Package podman_test runs the image in a pod of podman, as "podman kube play" makes it:
// what can be known about it in seconds, without a cluster. "make e2e-podman" runs it.
package podman_test

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/images"
	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// gate is what podman calls vernegate's container of testdata/pod.yaml.
const gate = "vernegate-e2e-vernegate"

const conf = `listener.tcp.vernegate = 127.0.0.1:1883
listener.tcp.vernegate.proxy_protocol = on
plugins.vmq_acl = on
vmq_acl.acl_file = /conf/vmq.acl
`

const rules = `pattern write %u/attrs
user bridge
topic read +/attrs
`

// TestPod lives through a pod's life: a device and a service come and are known by their
// certificates, the pod's vernegate drains, and they come back.
func TestPod(t *testing.T) {
	if images.Engine() != "podman" {
		t.Skip("there is no podman")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // a cold build cache takes its time
	defer cancel()
	pki := stack.NewPKI()
	lamp, bridge := pki.Root.Issue("lamp"), pki.Root.Issue("bridge")
	addr := play(ctx, t, pki, map[*certtest.Cert]string{lamp: "acme:lamp", bridge: "bridge"})

	connect := func(cert *certtest.Cert, id string) *stack.Client {
		t.Helper()
		o := stack.Options{Version: stack.V5, ClientID: id, Username: "somebody:else", Persistent: true}
		for {
			c, err := stack.Connect(ctx, stack.Through(addr, pki.ClientTLS(cert)), o)
			if err == nil {
				t.Cleanup(c.Cut)
				return c
			}
			select {
			case <-time.After(50 * time.Millisecond): // it is not up yet
			case <-ctx.Done():
				t.Fatalf("connecting %s: %v", id, err)
			}
		}
	}
	reader := connect(bridge, "reader")
	if code, err := reader.Subscribe(ctx, "+/attrs", 1); err != nil || code != 1 {
		t.Fatalf("subscribing: %d, %v", code, err)
	}
	device := connect(lamp, "device")
	say := func(text string) {
		t.Helper()
		if err := device.Publish(ctx, stack.Message{Topic: "acme:lamp/attrs", Payload: text, QoS: 1}); err != nil {
			t.Fatal(err)
		}
		if m, err := reader.Receive(ctx); err != nil || m.Payload != text {
			t.Errorf("the reader got %+v, %v; want %q", m, err, text)
		}
	}
	say("before")

	run(ctx, t, "podman", "stop", "--time", "30", gate)
	<-device.Dropped()
	<-reader.Dropped()
	if code := strings.TrimSpace(run(ctx, t, "podman", "inspect", "--format", "{{.State.ExitCode}}", gate)); code != "0" {
		t.Errorf("vernegate ended with exit code %s, want 0: drained", code)
	}
	run(ctx, t, "podman", "start", gate)
	reader, device = connect(bridge, "reader"), connect(lamp, "device")
	if !reader.SessionPresent {
		t.Error("the reader's session is gone: the broker has not lived on")
	}
	say("after")
}

// play starts the pod, which is removed at the end of the test, and returns where
// devices connect.
func play(ctx context.Context, t *testing.T, pki *stack.PKI, owners map[*certtest.Cert]string) (addr string) {
	t.Helper()
	vernegate, err := images.BuildVernegate(ctx, "e2e")
	if err != nil {
		t.Fatal(err)
	}
	standins, err := images.BuildStandins(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if addr, err = stack.FreeAddr(); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	pod, err := os.ReadFile("testdata/pod.yaml")
	if err != nil {
		t.Fatal(err)
	}
	byFingerprint := map[string]string{}
	for cert, owner := range owners {
		byFingerprint[stack.Fingerprint(cert.Leaf)] = owner
	}
	set := pki.Set()
	manifests := []string{
		configMap(t, "owners", map[string]string{"owners.json": encode(t, byFingerprint)}),
		configMap(t, "conf", map[string]string{"vernemq.conf": conf, "vmq.acl": rules}),
		configMap(t, "trust", map[string]string{
			"tls.crt": string(set.Cert), "tls.key": string(set.Key), "ca.crt": string(set.Bundle), "ca.crl": string(set.CRL),
		}),
		strings.NewReplacer("$STANDIN_IMAGE", standins, "$VERNEGATE_IMAGE", vernegate, "$PORT", port).Replace(string(pod)),
	}
	text := strings.Join(manifests, "\n---\n")
	if _, err := images.Run(ctx, text, "podman", "kube", "play", "-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, text) })
	return addr
}

// remove ends the pod; if the test has failed, what vernegate printed is logged before.
func remove(t *testing.T, manifests string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the test's has ended
	defer cancel()
	if t.Failed() {
		out, err := images.Run(ctx, "", "podman", "logs", gate)
		t.Logf("%v\n%s", err, out)
	}
	if _, err := images.Run(ctx, manifests, "podman", "kube", "down", "-"); err != nil {
		t.Error(err)
	}
}

func run(ctx context.Context, t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := images.Run(ctx, "", name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func configMap(t *testing.T, name string, data map[string]string) string {
	t.Helper()
	return encode(t, map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]string{"name": name}, "data": data})
}

func encode(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
