// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"crypto/tls"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// A fixture is one running vernegate and what it depends on: a PKI on disk and a
// certificate-acl of its own, and the broker it was given.
type fixture struct {
	*stack.Vernegate
	pki    *stack.PKI
	folder stack.Folder
	acl    *stack.ACL

	overWebSocket bool // through leads to the listener for WebSocket
}

// newFixture starts a vernegate before the brokers; env, in pairs, adds to its
// environment. It must end well: with 0 after SIGTERM, and without a data race.
func newFixture(t *testing.T, brokers string, env ...string) *fixture {
	t.Helper()
	s := prepareFixture(t)
	s.startBefore(t, brokers, env...)
	return s
}

// startBefore starts the vernegate of a prepared fixture as newFixture does.
func (s *fixture) startBefore(t *testing.T, brokers string, env ...string) {
	t.Helper()
	s.Vernegate = must(stack.StartVernegate(within(t, stepTime), program, s.env(brokers, env...)))(t)
	t.Cleanup(func() { endWell(t, s.Vernegate) })
}

// prepareFixture makes everything but the vernegate itself.
func prepareFixture(t *testing.T) *fixture {
	t.Helper()
	noteInputs(t)
	s := &fixture{pki: stack.NewPKI(), folder: stack.Folder(t.TempDir())}
	if err := s.folder.Rename(s.pki.Set()); err != nil {
		t.Fatal(err)
	}
	s.acl = must(stack.StartACL())(t)
	t.Cleanup(func() { s.acl.Close() })
	return s
}

// stepTime is how long a step may take, such as connecting, or what a test waits for. A machine that is busy with other things
// needs many times as long as one that is not: what matters is that the step comes, and a time that tells it from what would
// come otherwise.
const stepTime = 2 * time.Minute

// patience is for every step that has a timeout: a test that is not about one must
// not meet it on a busy machine. The demo runs with the defaults.
var patience = map[string]string{
	"VERNEGATE_HANDSHAKE_TIMEOUT":    "180s",
	"VERNEGATE_CONNECT_TIMEOUT":      "180s",
	"VERNEGATE_DIAL_TIMEOUT":         "180s",
	"VERNEGATE_CONNACK_TIMEOUT":      "180s",
	"CERTIFICATE_ACL_REQ_TIMEOUT_MS": "180000",
}

// env is the environment that makes a vernegate part of this fixture; more, in pairs,
// adds to it.
func (s *fixture) env(brokers string, more ...string) map[string]string {
	env := s.folder.Env()
	maps.Copy(env, patience)
	maps.Copy(env, map[string]string{
		"CERTIFICATE_ACL_URL": s.acl.URL,
		"VERNEGATE_BACKENDS":  brokers,
		"VERNEGATE_LOG_RATE":  "0", // each end has its line, which checkCounts counts
	})
	for i := 0; i < len(more); i += 2 {
		env[more[i]] = more[i+1]
	}
	return env
}

// endWell stops a vernegate and checks how it ends.
func endWell(t *testing.T, v *stack.Vernegate) {
	t.Helper()
	if err := v.Stop(); err != nil {
		t.Errorf("vernegate ended badly: %v", err)
	}
	if race := v.Race(); race != "" {
		t.Errorf("data race in vernegate:\n%s", race)
	}
	if t.Failed() {
		t.Logf("vernegate printed:\n%s", tail(v.Output.All(), 60))
	}
}

// signal sends a signal to the vernegate of the fixture.
func (s *fixture) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := s.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// checkDrained waits until the vernegate has ended by itself, with exit code 0.
func (s *fixture) checkDrained(t *testing.T) {
	t.Helper()
	if code := must(s.Wait(within(t, stepTime)))(t); code != 0 {
		t.Errorf("vernegate ended with exit code %d, want 0", code)
	}
}

// tail joins the last n lines.
func tail(lines []string, n int) string {
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// device issues a certificate from the root and makes it owner's.
func (s *fixture) device(owner string, opts ...certtest.Option) *certtest.Cert {
	return s.deviceOf(s.pki.Root, owner, opts...)
}

// deviceOf is device with another CA.
func (s *fixture) deviceOf(ca *certtest.CA, owner string, opts ...certtest.Option) *certtest.Cert {
	cert := ca.Issue("device", opts...)
	s.acl.Own(stack.Fingerprint(cert.Leaf), owner)
	return cert
}

// through is the way of a device to its listener. tlsVersion 0 lets both sides choose.
func (s *fixture) through(device *certtest.Cert, tlsVersion uint16) stack.Dial {
	if s.overWebSocket {
		return s.byWebSocket(device, tlsVersion)
	}
	return stack.Through(s.Devices, s.clientTLS(device, tlsVersion))
}

// clientTLS is how that device connects, with one TLS version alone unless it is 0.
func (s *fixture) clientTLS(device *certtest.Cert, tlsVersion uint16) *tls.Config {
	config := s.pki.ClientTLS(device)
	config.MinVersion, config.MaxVersion = tlsVersion, tlsVersion
	return config
}

// connect connects a paho client, which is cut at the end of the test at the latest.
func connect(t *testing.T, dial stack.Dial, o stack.Options) *stack.Client {
	t.Helper()
	c, err := stack.Connect(within(t, stepTime), dial, o)
	if err != nil {
		t.Fatalf("connecting %s with %v: %v", o.ClientID, o.Version, err)
	}
	t.Cleanup(c.Cut)
	return c
}

// dialWire connects a Wire, which is closed at the end of the test at the latest.
func dialWire(t *testing.T, dial stack.Dial) *stack.Wire {
	t.Helper()
	w := must(stack.DialWire(within(t, stepTime), dial))(t)
	t.Cleanup(func() { w.Close() })
	return w
}

// startFakeBroker starts a fake broker for one test.
func startFakeBroker(t *testing.T) *stack.FakeBroker {
	t.Helper()
	fake := must(stack.StartFakeBroker())(t)
	t.Cleanup(func() { fake.Close() })
	return fake
}

// checkUntouched expects that nobody has even connected to the broker.
func checkUntouched(t *testing.T, fake *stack.FakeBroker) {
	t.Helper()
	if n := len(fake.Sessions()); n != 0 {
		t.Errorf("%d connections reached the broker for clients that were refused, want none", n)
	}
}
