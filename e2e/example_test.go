// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"crypto/tls"
	"crypto/x509"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
)

// TestComposeExample runs what examples/compose runs, without containers: the
// stand-in's certificates and its certificate-acl, vernegate with the converted
// environment, and a broker with the converted ACL file. The device's message has
// to reach the bridge, as its README says.
func TestComposeExample(t *testing.T) {
	t.Parallel()
	const example = "../examples/compose"
	ctx := within(t, 2*time.Minute)
	standin := must(stack.Compile(ctx, t.TempDir(), "github.com/vernegate/vernegate/examples/compose/standin"))(t)
	certs := t.TempDir()
	if out, err := exec.CommandContext(ctx, standin, "certs", certs, "iotagent-mqtt").CombinedOutput(); err != nil {
		t.Fatalf("making certificates: %v\n%s", err, out)
	}
	acl := must(stack.FreeAddr())(t)
	answering := must(stack.StartTool(standin, "serve", acl, certs))(t)
	t.Cleanup(answering.Kill)
	rules := must(os.ReadFile(filepath.Join(example, "converted", "vmq.acl")))(t)

	env := must(stack.ReadEnv(filepath.Join(example, "converted", "vernegate.env")))(t)
	for name, value := range env {
		env[name] = strings.ReplaceAll(value, "/vernemq/cert", certs)
	}
	devices, services := must(stack.FreeAddr())(t), must(stack.FreeAddr())(t)
	env["VERNEGATE_LISTEN"], env["VERNEGATE_SERVICE_LISTEN"] = devices, services
	env["VERNEGATE_BACKENDS"] = ruledBroker(t, string(rules))
	env["CERTIFICATE_ACL_URL"] = strings.Replace(env["CERTIFICATE_ACL_URL"], "certificate-acl:3000", acl, 1)
	delete(env, "VERNEGATE_BACKEND_PROXY_PROTOCOL") // these brokers do not speak it
	kafka := must(stack.StartKafka())(t)
	t.Cleanup(kafka.Down)
	maps.Copy(env, must(stack.ReadEnv(filepath.Join(example, "kafka.env")))(t)) // as kafka.yaml does
	env["VERNEGATE_KAFKA_BROKERS"] = strings.Replace(env["VERNEGATE_KAFKA_BROKERS"], "kafka:9092", kafka.Addr, 1)
	v := must(stack.StartVernegate(ctx, program, env))(t)
	t.Cleanup(func() { endWell(t, v) })

	bridge := connect(t, stack.Through(services, exampleTLS(t, certs, "v2k-bridge")),
		stack.Options{Version: stack.V5, ClientID: unique(), Username: "v2k-bridge"})
	if code := must(bridge.Subscribe(ctx, "$share/group/+/attrs", 1))(t); code > 1 {
		t.Fatalf("the bridge may not subscribe: 0x%02X", code)
	}
	device := connect(t, stack.Through(devices, exampleTLS(t, certs, "device")),
		stack.Options{Version: stack.V311, ClientID: unique(), Username: "admin:door9"})
	if err := device.Publish(ctx, stack.Message{Topic: "admin:lamp1/attrs", Payload: `{"on":true}`, QoS: 1}); err != nil {
		t.Fatal(err)
	}
	if m := must(bridge.Receive(ctx))(t); m.Topic != "admin:lamp1/attrs" || m.Payload != `{"on":true}` {
		t.Errorf("the bridge got %q on %s", m.Payload, m.Topic)
	}
	if code := answerTo(ctx, t, stack.Through(services, exampleTLS(t, certs, "device")), stack.V311); code != 5 {
		t.Errorf("the device on the services' port gets %d, want 5", code)
	}

	own := func(args ...string) {
		t.Helper()
		args = append([]string{"own", kafka.Addr, certs}, args...)
		if out, err := exec.CommandContext(ctx, standin, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	toDevices := stack.Through(devices, exampleTLS(t, certs, "device"))
	var told float64
	for _, change := range []struct {
		owner []string // of the device from now on
		code  byte     // of its CONNACK
	}{{nil, 5}, {[]string{"admin:lamp2"}, 0}, {[]string{"admin:lamp1"}, 0}} {
		own(append([]string{"device"}, change.owner...)...)
		eventually(t, stepTime, "the session of the previous owner is over", func() bool {
			return must(v.Metrics(ctx))(t).Sum("vernegate_ownership_events_total", `result="told"`) > told
		})
		told++
		if code := answerTo(ctx, t, toDevices, stack.V311); code != change.code {
			t.Errorf("the device that belongs to %q gets %d, want %d", change.owner, code, change.code)
		}
	}
	if n := must(v.Metrics(ctx))(t).Sum("vernegate_connections_ended_total", `reason="owner_changed"`); n != 1 {
		t.Errorf("%v sessions have ended as their owner has changed, want one", n)
	}
}

// exampleTLS is how a client of the example connects.
func exampleTLS(t *testing.T, certs, client string) *tls.Config {
	t.Helper()
	pair := must(tls.LoadX509KeyPair(filepath.Join(certs, client+".crt"), filepath.Join(certs, client+".key")))(t)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(must(os.ReadFile(filepath.Join(certs, "ca.crt")))(t))
	return &tls.Config{RootCAs: roots, ServerName: "iotagent-mqtt", Certificates: []tls.Certificate{pair}}
}
