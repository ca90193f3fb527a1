// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// The tests in files that begin with patched run a vernegate with the environment
// of dojot's patched VerneMQ, and hold what it does, with a stock broker that has
// the converted configuration, to what the patched one did. Where that differs,
// the row says why.

// A patchedFixture is a fixture whose vernegate has the environment of the patched image.
type patchedFixture struct{ *fixture }

// newPatchedFixture starts a vernegate before the brokers, with nothing said to it in
// its own variables but where they are and where its admin server is.
func newPatchedFixture(t *testing.T, brokers string, prepare func(*fixture), env ...string) *patchedFixture {
	t.Helper()
	s := prepareFixture(t)
	if prepare != nil {
		prepare(s)
		if err := s.folder.Rename(s.pki.Set()); err != nil {
			t.Fatal(err)
		}
	}
	devices, services := must(stack.FreeAddr())(t), must(stack.FreeAddr())(t)
	old := stack.PatchedEnv(stack.PatchedConf(devices, services, s.folder))
	old["CERTIFICATE_ACL_URL"] = s.acl.URL
	old["VERNEGATE_BACKENDS"] = brokers
	old["VERNEGATE_LISTEN"], old["VERNEGATE_SERVICE_LISTEN"] = "", "" // not set: VERNEMQ_CONF says where
	for i := 0; i < len(env); i += 2 {
		old[env[i]] = env[i+1]
	}
	s.Vernegate = must(stack.StartVernegate(within(t, stepTime), program, old))(t)
	t.Cleanup(func() { endWell(t, s.Vernegate) })
	s.Devices, s.Services = devices, services
	return &patchedFixture{s}
}

// convertOld runs "vernegate convert" with an environment and returns the folder
// that it wrote.
func convertOld(t *testing.T, env map[string]string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "new")
	cmd := exec.CommandContext(within(t, stepTime), program, "convert", "-out", out)
	cmd.Env = []string{}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if printed, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("converting: %v\n%s", err, printed)
	}
	return out
}

// ruledBroker returns a broker that holds clients to a converted ACL file, on the
// username of their CONNECT: a Mosquitto, or what E2E_BROKER_ACL names as host:port,
// which is a VerneMQ that was started with examples/compose/converted/vmq.acl.
func ruledBroker(t *testing.T, acl string) string {
	t.Helper()
	if addr := os.Getenv("E2E_BROKER_ACL"); addr != "" {
		return addr
	}
	m := must(stack.StartMosquitto(within(t, stepTime), t.TempDir(), acl))(t)
	t.Cleanup(m.Kill)
	return m.Addr
}

const refusedCode5 = "CONNACK 5"

// TestIdentitiesAsPatched is who each client was to the patched broker, and who it
// is now: a username or a refusal.
func TestIdentitiesAsPatched(t *testing.T) {
	t.Parallel()
	needMosquitto(t)
	s := newPatchedFixture(t, mosquitto.Addr, nil)
	for name, row := range map[string]struct {
		owner    string // "" = certificate-acl knows none
		internal bool   // comes to the port for services
		username string // that it sends; "" = none
		was, is  string
		differs  string // why, where was and is do
	}{
		"a device":                          {"acme:lamp", false, "acme:lamp", "acme:lamp", "acme:lamp", ""},
		"a device without a username":       {"acme:lamp", false, "", "acme:lamp", "acme:lamp", ""},
		"an impostor":                       {"acme:lamp", false, "acme:door", "acme:lamp", "acme:lamp", ""},
		"a device that says it is a bridge": {"acme:lamp", false, "v2k-bridge", "acme:lamp", "acme:lamp", ""},
		"a certificate without an owner":    {"", false, "acme:lamp", refusedCode5, refusedCode5, ""},
		"a service on the devices' port":    {"v2k-bridge", false, "v2k-bridge", "v2k-bridge", "v2k-bridge", ""},
		"a service":                         {"v2k-bridge", true, "v2k-bridge", "v2k-bridge", "v2k-bridge", ""},
		"a service that says it is another": {"flowbroker", true, "v2k-bridge", "v2k-bridge", "flowbroker",
			"the certificate counts on the services' port, too"},
		"a service without a username": {"v2k-bridge", true, "", "", "v2k-bridge",
			"the certificate counts on the services' port, too"},
		"a device on the services' port": {"acme:lamp", true, "v2k-bridge", "v2k-bridge", refusedCode5,
			"devices have no business there"},
		"no owner on the services' port": {"", true, "v2k-bridge", "v2k-bridge", refusedCode5,
			"the certificate counts on the services' port, too"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if (row.was != row.is) != (row.differs != "") {
				t.Errorf("was %q and is %q: does that differ because of %q?", row.was, row.is, row.differs)
			}
			cert := s.pki.Root.Issue("client")
			if row.owner != "" {
				s.acl.Own(stack.Fingerprint(cert.Leaf), row.owner)
			}
			if got := s.identity(t, cert, row.internal, row.username); got != row.is {
				t.Errorf("it is %q, want %q", got, row.is)
			}
		})
	}
}

// identity connects and returns the username that the broker saw, or the refusal.
func (s *patchedFixture) identity(t *testing.T, cert *certtest.Cert, internal bool, username string) string {
	t.Helper()
	addr := s.Devices
	if internal {
		addr = s.Services
	}
	ctx, id := within(t, stepTime), unique()
	c, err := stack.Connect(ctx, stack.Through(addr, s.clientTLS(cert, 0)), stack.Options{Version: stack.V311, ClientID: id, Username: username})
	if refusal, ok := errors.AsType[*stack.RefusedError](err); ok && refusal.Code == 5 {
		return refusedCode5
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Cut()
	return must(mosquitto.Username(ctx, id))(t)
}

// TestCertificateACLAsPatched is what a device that was never seen before gets while
// certificate-acl gives no answer.
func TestCertificateACLAsPatched(t *testing.T) {
	t.Parallel()
	const patched = 5 // whatever the reason was: many devices then give up
	s := newPatchedFixture(t, broker, nil, "CERTIFICATE_ACL_REQ_TIMEOUT_MS", "400")
	ctx := within(t, stepTime)
	known := s.device("acme:known")
	if code := answerTo(ctx, t, s.through(known, 0), stack.V311); code != 0 {
		t.Fatalf("a device was refused with %d while all is well", code)
	}
	for _, outage := range []struct {
		name  string
		begin func()
	}{
		{"slower than its timeout", func() { s.acl.Answer(stack.Hang) }},
		{"broken", func() { s.acl.Answer(stack.ServerError) }},
		{"down", func() { s.acl.Down() }},
	} {
		outage.begin()
		if code := answerTo(ctx, t, s.through(s.device("acme:new"), 0), stack.V311); code != 3 {
			t.Errorf("%s: a new device gets %d, want 3, try again (the patched broker: %d)", outage.name, code, patched)
		}
		if code := answerTo(ctx, t, s.through(known, 0), stack.V311); code != 0 {
			t.Errorf("%s: a known device gets %d, want in (the patched broker: %d)", outage.name, code, patched)
		}
	}
}

// TestTimeoutOfNothing: with a timeout of 0 every question of the patched broker
// timed out, and no device ever got in. That is told now, before a device tries.
func TestTimeoutOfNothing(t *testing.T) {
	t.Parallel()
	s := prepareFixture(t)
	s.checkExit(t, exitMistake, []string{`CERTIFICATE_ACL_REQ_TIMEOUT_MS="0"`}, "CERTIFICATE_ACL_REQ_TIMEOUT_MS", "0")
}

// TestConvertedEnvironmentWorks starts a vernegate with what convert wrote, and lets
// a device in.
func TestConvertedEnvironmentWorks(t *testing.T) {
	t.Parallel()
	s := prepareFixture(t)
	devices, services := must(stack.FreeAddr())(t), must(stack.FreeAddr())(t)
	old := stack.PatchedEnv(stack.PatchedConf(devices, services, s.folder))
	old["CERTIFICATE_ACL_URL"] = s.acl.URL
	env := must(stack.ReadEnv(filepath.Join(convertOld(t, old), "vernegate.env")))(t)
	delete(env, "VERNEGATE_BACKEND_PROXY_PROTOCOL") // these brokers do not speak it
	maps.Copy(env, map[string]string{"HOSTNAME": "server", "VERNEGATE_BACKENDS": broker})
	s.Vernegate = must(stack.StartVernegate(within(t, stepTime), program, env))(t)
	t.Cleanup(func() { endWell(t, s.Vernegate) })
	if s.Devices != devices || s.Services != services {
		t.Errorf("it listens on %s and %s, want %s and %s", s.Devices, s.Services, devices, services)
	}
	if err := tryConnect(within(t, stepTime), s.through(s.device("acme:lamp"), 0)); err != nil {
		t.Errorf("a device is refused: %v", err)
	}
}

// TestOldEnvironmentIsWarnedAbout expects every line of it that has no counterpart
// in the log.
func TestOldEnvironmentIsWarnedAbout(t *testing.T) {
	t.Parallel()
	s := newPatchedFixture(t, broker, nil)
	for _, name := range []string{"metadata_plugin", "plugins.dojot_acl_plugin", "max_inflight_messages", "VM_ARGS"} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := s.Output.Wait(ctx, "warning about "+name, func(line string) bool {
			return strings.Contains(line, `"level":"WARN"`) && strings.Contains(line, name)
		})
		cancel()
		if err != nil {
			t.Error(err)
		}
	}
}
