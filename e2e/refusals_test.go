// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// A refusal is one row of the refusal table as one client meets it.
type refusal struct {
	slug   string
	owner  string // "" = certificate-acl knows none
	hello  []byte // what the client sends over TLS
	answer []byte // everything it gets before the close
}

// connectRefusals are the rows that a CONNECT can meet, whoever sends it.
func connectRefusals() map[string]refusal {
	rows := map[string]refusal{
		"not MQTT": {slug: "connect_malformed", owner: "acme:lamp",
			hello: []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")},
		"another packet first": {slug: "connect_malformed", owner: "acme:lamp", hello: []byte{0xC0, 0}},
		"remaining length of five bytes": {slug: "connect_malformed", owner: "acme:lamp",
			hello: []byte{0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x01}},
		"another protocol name": {slug: "connect_malformed", owner: "acme:lamp",
			hello: packet(0x10, append(appendString(nil, "MQTX"), 4, 2, 0, 60, 0, 1, 'x'))},
		"level 2": {slug: "connect_version", owner: "acme:lamp",
			hello:  packet(0x10, append(appendString(nil, "MQTT"), 2, 2, 0, 60, 0, 1, 'x')),
			answer: []byte{0x20, 2, 0, 1}},
		"level 6": {slug: "connect_version", owner: "acme:lamp",
			hello:  packet(0x10, append(appendString(nil, "MQTT"), 6, 2, 0, 60, 0, 0, 1, 'x')),
			answer: []byte{0x20, 3, 0, 0x84, 0}},
		"3.1/no client id": {slug: "client_id_not_allowed", owner: "acme:lamp",
			hello:  connectPacket{version: stack.V31}.bytes(),
			answer: []byte{0x20, 2, 0, 2}},
		"3.1.1/no client id, persistent": {slug: "client_id_not_allowed", owner: "acme:lamp",
			hello:  connectPacket{version: stack.V311, persistent: true}.bytes(),
			answer: []byte{0x20, 2, 0, 2}},
		"3.1.1/password alone": {slug: "connect_malformed", owner: "acme:lamp",
			hello: connectPacket{version: stack.V311, clientID: "x", password: "hunter2"}.bytes()},
		"5.0/property twice": {slug: "connect_malformed", owner: "acme:lamp",
			hello:  connectPacket{version: stack.V5, clientID: "x", properties: []byte{0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1}}.bytes(),
			answer: []byte{0x20, 3, 0, 0x81, 0}},
	}
	for _, v := range versions {
		hello := connectPacket{version: v, clientID: unique()}
		add := func(name string, r refusal) { rows[v.String()+"/"+name] = r }
		add("unknown", refusal{"identity_unknown", "", hello.bytes(), refused(v, 5, 0x87)})
		for _, owner := range []string{"acme:+", "#", "acme:lamp/x", "acme:\x07", "acme:lamp\n"} {
			add(fmt.Sprintf("owner %q", owner), refusal{"identity_invalid", owner, hello.bytes(), refused(v, 5, 0x87)})
		}
		add("reserved flag", refusal{"connect_malformed", "acme:lamp", withReservedFlag(hello), malformed(v)})
		add("trailing byte", refusal{"connect_malformed", "acme:lamp", withTrailingByte(hello), malformed(v)})
		add("client id not UTF-8", refusal{"connect_malformed", "acme:lamp",
			connectPacket{version: v, clientID: "\xFF\xFE"}.bytes(), malformed(v)})
		add("will with QoS 3", refusal{"connect_malformed", "acme:lamp",
			connectPacket{version: v, clientID: "x", will: &stack.Message{Topic: "t", QoS: 3}}.bytes(), malformed(v)})
		add("unknown, and more behind CONNECT", refusal{"identity_unknown", "",
			slices.Concat(hello.bytes(), publishPacket(v, "t", string(make([]byte, 40<<10)))), refused(v, 5, 0x87)})
		add("too large", refusal{"connect_too_large", "acme:lamp", tooLarge(v), closed(v, 0x95)})
		add("too large and unknown", refusal{"connect_too_large", "", tooLarge(v), closed(v, 0x95)})
	}
	return rows
}

// closed is the answer of a row that 3.1 and 3.1.1 have no code for.
func closed(v stack.Version, v5 byte) []byte {
	if v == stack.V5 {
		return refused(v, 0, v5)
	}
	return nil
}

func malformed(v stack.Version) []byte { return closed(v, 0x81) }

// withReservedFlag sets the bit of the connect flags that must be 0.
func withReservedFlag(c connectPacket) []byte {
	p := c.bytes()
	name := "MQTT"
	if c.version == stack.V31 {
		name = "MQIsdp"
	}
	p[2+2+len(name)+1] |= 1 // fixed header, name with its length, level
	return p
}

// withTrailingByte lengthens the packet by a byte that belongs to no field.
func withTrailingByte(c connectPacket) []byte {
	p := append(c.bytes(), 0)
	p[1]++
	return p
}

// tooLarge is a CONNECT that announces more than VERNEGATE_MAX_CONNECT_SIZE, with
// no more of it than says so: the refusal must not wait for the rest.
func tooLarge(v stack.Version) []byte {
	will := stack.Message{Topic: "t", Payload: string(make([]byte, 2<<10))}
	return connectPacket{version: v, clientID: "x", will: &will}.bytes()[:64]
}

func TestRefusedConnects(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := newFixture(t, fake.Addr, "VERNEGATE_MAX_CONNECT_SIZE", "2KiB")
	t.Run("rows", func(t *testing.T) {
		for name, row := range connectRefusals() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s.checkRefusal(t, row)
			})
		}
	})
	s.checkCounts(t, "connect_malformed", "connect_version", "connect_too_large", "client_id_not_allowed",
		"identity_unknown", "identity_invalid")
	checkUntouched(t, fake)
}

// checkRefusal plays one row.
func (s *fixture) checkRefusal(t *testing.T, row refusal) {
	t.Helper()
	device := s.pki.Root.Issue("device")
	if row.owner != "" {
		s.acl.Own(stack.Fingerprint(device.Leaf), row.owner)
	}
	w := dialWire(t, s.through(device, 0))
	if err := w.Send(row.hello); err != nil {
		t.Fatal(err)
	}
	got, err := w.ReadToEnd()
	if err != nil || !bytes.Equal(got, row.answer) {
		t.Errorf("the client got % X and then %v, want % X and then a close", got, err, row.answer)
	}
	w.Close()
	s.ending(t, w.LocalAddr(), row.slug)
}

func TestIdentityThatCannotBeToldIsServerUnavailable(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := newFixture(t, fake.Addr)
	s.acl.Answer(stack.ServerError)
	for _, v := range versions {
		s.checkRefusal(t, refusal{"identity_unavailable", "acme:lamp",
			connectPacket{version: v, clientID: "x"}.bytes(), refused(v, 3, 0x88)})
	}
	s.checkCounts(t, "identity_unavailable")
	checkUntouched(t, fake)
}

func TestServiceListenerRefusesDevices(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := newFixture(t, fake.Addr)
	for _, v := range versions {
		w := dialWire(t, stack.Through(s.Services, s.clientTLS(s.device("acme:lamp"), 0)))
		if err := w.Send(connectPacket{version: v, clientID: "x", username: "v2k-bridge"}.bytes()); err != nil {
			t.Fatal(err)
		}
		want := refused(v, 5, 0x87)
		if got := must(w.ReadToEnd())(t); !bytes.Equal(got, want) {
			t.Errorf("%v: the client got % X, want % X", v, got, want)
		}
		w.Close()
		s.ending(t, w.LocalAddr(), "identity_not_allowed")
	}
	s.checkCounts(t, "identity_not_allowed")
	checkUntouched(t, fake)
}

func TestBackendThatCannotBeReached(t *testing.T) {
	t.Parallel()
	s := newFixture(t, must(stack.FreeAddr())(t))
	for _, v := range versions {
		s.checkRefusal(t, refusal{"backend_unavailable", "acme:lamp",
			connectPacket{version: v, clientID: "x"}.bytes(), refused(v, 3, 0x88)})
	}
	s.checkCounts(t, "backend_unavailable")
}

func TestRefusedCertificates(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := prepareFixture(t)
	plants := s.pki.Root.Intermediate("plants")
	revoked, ofRevokedCA := s.device("acme:revoked"), s.deviceOf(plants, "acme:plant")
	s.pki.Revoke(revoked.Leaf, plants.Cert)
	if err := s.folder.Rename(s.pki.Set()); err != nil {
		t.Fatal(err)
	}
	s.Vernegate = must(stack.StartVernegate(within(t, stepTime), program, s.env(fake.Addr)))(t)
	t.Cleanup(func() { endWell(t, s.Vernegate) })

	rows := map[string]struct {
		device       *certtest.Cert
		slug         string
		tls12, tls13 stack.Alert
	}{
		"no certificate": {nil, "tls_no_cert", stack.AlertHandshakeFailure, stack.AlertCertificateRequired},
		"unknown CA": {s.deviceOf(certtest.NewCA("somebody else"), "acme:stranger"), "tls_untrusted",
			stack.AlertUnknownCA, stack.AlertUnknownCA},
		"CA of the right name": {s.deviceOf(certtest.NewCA("vernegate test root"), "acme:forger"), "tls_untrusted",
			stack.AlertUnknownCA, stack.AlertUnknownCA},
		"server certificate": {s.device("acme:server", certtest.Server("localhost")), "tls_untrusted",
			stack.AlertBadCertificate, stack.AlertBadCertificate},
		"expired": {s.device("acme:old", certtest.NotAfter(time.Now().Add(-time.Minute))), "tls_expired",
			stack.AlertCertificateExpired, stack.AlertCertificateExpired},
		"not valid yet": {s.device("acme:young", certtest.NotBefore(time.Now().Add(time.Hour))), "tls_expired",
			stack.AlertCertificateExpired, stack.AlertCertificateExpired},
		"revoked":              {revoked, "tls_revoked", stack.AlertBadCertificate, stack.AlertBadCertificate},
		"revoked intermediate": {ofRevokedCA, "tls_revoked", stack.AlertBadCertificate, stack.AlertBadCertificate},
	}
	t.Run("rows", func(t *testing.T) {
		for name, row := range rows {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s.checkAlert(t, s.clientTLS(row.device, tls.VersionTLS12), row.tls12, row.slug)
				s.checkAlert(t, s.clientTLS(row.device, tls.VersionTLS13), row.tls13, row.slug)
			})
		}
		t.Run("TLS 1.1", func(t *testing.T) {
			t.Parallel()
			s.checkAlert(t, s.clientTLS(s.device("acme:antique"), tls.VersionTLS11), stack.AlertProtocolVersion, "tls_handshake")
		})
		t.Run("not TLS", func(t *testing.T) {
			t.Parallel()
			w := dialWire(t, stack.Direct(s.Devices))
			if err := w.Send(connectPacket{version: stack.V311, clientID: "x"}.bytes()); err != nil {
				t.Fatal(err)
			}
			if got := must(w.ReadToEnd())(t); len(got) > 0 {
				t.Errorf("a client that speaks no TLS got % X, want a close", got)
			}
			w.Close()
			s.ending(t, w.LocalAddr(), "tls_handshake")
		})
	})
	s.checkCounts(t, "tls_no_cert", "tls_untrusted", "tls_expired", "tls_revoked", "tls_handshake")
	checkUntouched(t, fake)
}

// TestRevocationListsThatCannotBeUsed has devices whose CA's list is missing or past
// its time: by default they are served, for the platform's list is past its time
// every day; where the configuration denies it, they are not.
func TestRevocationListsThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, policy := range map[string]struct {
		env     []string
		allowed bool
	}{
		"default":      {nil, true},
		"denied":       {[]string{"VERNEGATE_CRL_EXPIRED", "deny", "VERNEGATE_CRL_MISSING", "deny"}, false},
		"grace is out": {[]string{"VERNEGATE_CRL_EXPIRED_GRACE", "1h", "VERNEGATE_CRL_MISSING", "deny"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := prepareFixture(t)
			external := certtest.NewCA("external")
			s.pki.Trust(external)
			revoked := s.device("acme:revoked")
			set := s.pki.Set()
			set.CRL = s.pki.Root.CRL(certtest.CRLOptions{ // DER: both forms are welcome
				Number: 7, Revoked: []*x509.Certificate{revoked.Leaf},
				ThisUpdate: now.Add(-26 * time.Hour), NextUpdate: now.Add(-2 * time.Hour),
			})
			if err := s.folder.Rename(set); err != nil {
				t.Fatal(err)
			}
			s.start(t, policy.env...)
			s.checkAlert(t, s.clientTLS(revoked, tls.VersionTLS13), stack.AlertBadCertificate, "tls_revoked")
			for _, device := range []*certtest.Cert{s.device("acme:lamp"), s.deviceOf(external, "acme:guest")} {
				if !policy.allowed {
					s.checkAlert(t, s.clientTLS(device, tls.VersionTLS13), stack.AlertBadCertificate, "tls_crl")
				} else if err := tryConnect(within(t, stepTime), s.through(device, 0)); err != nil {
					t.Errorf("a device of %s is refused: %v", device.Leaf.Issuer, err)
				}
			}
		})
	}
}

// checkAlert connects, sends a CONNECT as soon as it can, and expects that alert.
func (s *fixture) checkAlert(t *testing.T, config *tls.Config, alert stack.Alert, slug string) {
	t.Helper()
	w := dialWire(t, stack.Direct(s.Devices))
	conn := tls.Client(w, config)
	_, err := conn.Write(connectPacket{version: stack.V311, clientID: "x"}.bytes())
	if err == nil { // TLS 1.3: the client has done its part before the server judges it
		var answer []byte
		if answer, err = io.ReadAll(conn); len(answer) > 0 {
			t.Errorf("%s: got % X from a handshake that had to fail", tls.VersionName(config.MaxVersion), answer)
		}
	}
	if got := stack.AlertOf(err); got != alert {
		t.Errorf("%s: got alert %v (%v), want %v", tls.VersionName(config.MaxVersion), got, err, alert)
	}
	w.Close()
	s.ending(t, w.LocalAddr(), slug)
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	fake.SetBehavior(stack.Behavior{Silent: true})
	s := newFixture(t, fake.Addr,
		"VERNEGATE_HANDSHAKE_TIMEOUT", "10s", "VERNEGATE_CONNECT_TIMEOUT", "5s", "VERNEGATE_CONNACK_TIMEOUT", "3s")
	dial := s.through(s.device("acme:lamp"), 0)

	t.Run("tls_timeout", func(t *testing.T) {
		t.Parallel()
		s.checkTimeout(t, dialWire(t, stack.Direct(s.Devices)), nil, "tls_timeout")
	})
	t.Run("tls_timeout in a record", func(t *testing.T) {
		t.Parallel()
		w := dialWire(t, stack.Direct(s.Devices))
		if err := w.Send([]byte{22, 3, 1, 1, 0, 1}); err != nil { // a ClientHello of 256 bytes, one is there
			t.Fatal(err)
		}
		s.checkTimeout(t, w, nil, "tls_timeout")
	})
	t.Run("connect_timeout", func(t *testing.T) {
		t.Parallel()
		s.checkTimeout(t, dialWire(t, dial), nil, "connect_timeout")
	})
	t.Run("connect_timeout in CONNECT", func(t *testing.T) {
		t.Parallel()
		w := dialWire(t, dial)
		if err := w.Send(connectPacket{version: stack.V5, clientID: "x"}.bytes()[:11]); err != nil {
			t.Fatal(err)
		}
		s.checkTimeout(t, w, nil, "connect_timeout")
	})
	for _, v := range versions {
		t.Run("backend_silent "+v.String(), func(t *testing.T) {
			t.Parallel()
			w := dialWire(t, dial)
			if err := w.Send(connectPacket{version: v, clientID: "x"}.bytes()); err != nil {
				t.Fatal(err)
			}
			s.checkTimeout(t, w, refused(v, 3, 0x88), "backend_silent")
		})
	}
}

// checkTimeout expects the answer and a close, in good time but not before half a
// second has gone.
func (s *fixture) checkTimeout(t *testing.T, w *stack.Wire, answer []byte, slug string) {
	t.Helper()
	began := time.Now()
	got, err := w.ReadToEnd()
	if err != nil || !slices.Equal(got, answer) {
		t.Errorf("the client got % X and then %v, want % X and then a close", got, err, answer)
	}
	if took := time.Since(began); took < 500*time.Millisecond || took > stepTime {
		t.Errorf("the connection was closed after %v", took)
	}
	w.Close()
	s.ending(t, w.LocalAddr(), slug)
}
