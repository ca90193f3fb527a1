// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// A brokerCase is a kind of broker behind vernegate while live sessions end.
type brokerCase struct {
	name string
	addr string

	overWebSocket bool // clients come by WebSocket

	// brokerSide is the broker's side of a floodClient; nil if the broker itself delivers
	// what the floodClient publishes.
	brokerSide func(*floodClient) io.Writer

	// watch begins to look at the broker before a session ends. The function it
	// returns checks that the broker saw the client go without a DISCONNECT.
	watch func(*testing.T, *floodClient) (checkAbnormal func(*testing.T))
}

// brokerCases are a broker that publishes wills, and the fake, which reports what has
// come to it.
func brokerCases(t *testing.T) []*brokerCase {
	t.Helper()
	fake := startFakeBroker(t)
	fake.SetBehavior(stack.Behavior{DiscardTraffic: true})
	return []*brokerCase{
		{name: "broker", addr: broker, watch: watchForWill},
		{
			name:       "fake",
			addr:       fake.Addr,
			brokerSide: func(k *floodClient) io.Writer { return sessionAt(fake, k.id) },
			watch: func(_ *testing.T, k *floodClient) func(*testing.T) {
				return func(t *testing.T) { checkNoGoodbye(t, fake, k) }
			},
		},
	}
}

// brokerCasesByWay are those of brokerCases, for clients that come by WebSocket and for others.
func brokerCasesByWay(t *testing.T) []*brokerCase {
	t.Helper()
	cases := brokerCases(t)
	for _, v := range brokerCases(t) {
		v.name += " by WebSocket"
		v.overWebSocket = true
		cases = append(cases, v)
	}
	return cases
}

// watchForWill subscribes to the will of a floodClient: it must be published.
func watchForWill(t *testing.T, k *floodClient) func(*testing.T) {
	t.Helper()
	watcher := connect(t, stack.Direct(broker), stack.Options{Version: stack.V311, ClientID: unique()})
	must(watcher.Subscribe(within(t, stepTime), k.will.Topic, 1))(t)
	return func(t *testing.T) {
		t.Helper()
		m, err := watcher.Receive(within(t, stepTime))
		if err != nil || m != *k.will {
			t.Errorf("%v: the broker published %v (%v), want the will %v", k.version, m, err, *k.will)
		}
		watcher.Disconnect()
	}
}

// checkNoGoodbye expects the connection to the fake to have ended with neither a
// DISCONNECT nor another CONNECT on it.
func checkNoGoodbye(t *testing.T, fake *stack.FakeBroker, k *floodClient) {
	t.Helper()
	s := sessionAt(fake, k.id)
	eventually(t, stepTime, "the broker sees the end", s.Ended)
	if n := s.Packets(typeDisconnect); n != 0 {
		t.Errorf("%v: the broker got %d DISCONNECTs, want none: it would drop the will", k.version, n)
	}
	if n := s.Packets(typeConnect); n != 1 {
		t.Errorf("%v: the broker got %d CONNECTs, want one", k.version, n)
	}
	if n := s.Packets(typePublish); n == 0 {
		t.Errorf("%v: the broker got no PUBLISH: this shows nothing about traffic", k.version)
	}
}

// A liveEnding is a way in which live sessions come to their end.
type liveEnding struct {
	name string
	slug string
	code byte // of the DISCONNECT that a 5.0 client gets

	// begin makes the certificate of the sessions that are to end. endSessions
	// ends them once they live.
	begin func(*testing.T, *fixture) (device *certtest.Cert, endSessions func([]*floodClient))
}

// expiringAfter is how long a certificate is valid that expires while its sessions
// live: long enough for them to begin on a busy machine.
const expiringAfter = 10 * time.Second

// revokeOddly revokes a certificate with a list that spells the name of its CA in another way (RFC 5280 §7.1), while the
// server's key is no good and a piece of another list is behind.
func (s *fixture) revokeOddly(t *testing.T, cert *x509.Certificate) {
	t.Helper()
	list := certtest.PEMEncodeCRL(s.pki.Root.CRL(certtest.CRLOptions{
		Number: -1, Revoked: []*x509.Certificate{cert}, RawIssuer: utf8Name(t, strings.ToUpper(s.pki.Root.Cert.Subject.CommonName)+" "),
	}))
	replace(t, filepath.Join(string(s.folder), "server.key"), []byte("no key"))
	replace(t, filepath.Join(string(s.folder), "ca.crl"), append(list, list[:len(list)/2]...))
}

// utf8Name returns a name with a text as its common name, which Go would encode as a PrintableString.
func utf8Name(t *testing.T, text string) []byte {
	t.Helper()
	return must(asn1.Marshal(pkix.RDNSequence{{{
		Type:  asn1.ObjectIdentifier{2, 5, 4, 3},
		Value: asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(text)},
	}}}))(t)
}

// reissued returns the CA with a new certificate, signed by the root, that encodes its name in another way.
func (s *fixture) reissued(t *testing.T, ca *certtest.CA) *certtest.CA {
	t.Helper()
	name := utf8Name(t, ca.Cert.Subject.CommonName)
	return s.pki.Root.Intermediate("", certtest.Key(ca.Key), certtest.Template(func(c *x509.Certificate) { c.RawSubject = name }))
}

// liveEndings are those that one fixture can show one after the other. It trusts the
// acquired CA and plant, which is below the root, and asks certificate-acl again every recheck.
func liveEndings(acquired, plant *certtest.CA) []liveEnding {
	return []liveEnding{
		{"certificate revoked", "cert_revoked", 0x87, func(t *testing.T, s *fixture) (*certtest.Cert, func([]*floodClient)) {
			device := s.device("acme:lamp")
			return device, func([]*floodClient) { s.revoke(t, device.Leaf) }
		}},
		{"certificate revoked while others are broken", "cert_revoked", 0x87, func(t *testing.T, s *fixture) (*certtest.Cert, func([]*floodClient)) {
			device := s.device("acme:lamp")
			return device, func([]*floodClient) { s.revokeOddly(t, device.Leaf) }
		}},
		{"intermediate revoked", "cert_revoked", 0x87, func(t *testing.T, s *fixture) (*certtest.Cert, func([]*floodClient)) {
			plant := s.pki.Root.Intermediate("plant 7")
			return s.deviceOf(plant, "acme:lamp"), func([]*floodClient) { s.revoke(t, plant.Cert) }
		}},
		{"certificate revoked below a CA issued anew", "cert_revoked", 0x87, func(t *testing.T, s *fixture) (*certtest.Cert, func([]*floodClient)) {
			device := s.deviceOf(s.reissued(t, plant), "acme:lamp")
			return device, func([]*floodClient) { s.revoke(t, device.Leaf) }
		}},
		{"CA removed", "cert_revoked", 0x87, func(t *testing.T, s *fixture) (*certtest.Cert, func([]*floodClient)) {
			return s.deviceOf(acquired, "acme:lamp"), func([]*floodClient) {
				s.pki.Distrust(acquired)
				s.rewrite(t)
			}
		}},
		{"certificate expires", "cert_expired", 0x87, func(t *testing.T, s *fixture) (*certtest.Cert, func([]*floodClient)) {
			device := s.device("acme:lamp", certtest.NotAfter(time.Now().Add(expiringAfter)))
			return device, func(victims []*floodClient) { s.checkExpiry(t, device.Leaf.NotAfter, victims) }
		}},
		{"owner changed", "owner_changed", 0x87, func(_ *testing.T, s *fixture) (*certtest.Cert, func([]*floodClient)) {
			device := s.device("acme:lamp")
			return device, func([]*floodClient) { s.acl.Own(stack.Fingerprint(device.Leaf), "acme:door") }
		}},
		{"second CONNECT", "connect_again", 0x82, func(t *testing.T, s *fixture) (*certtest.Cert, func([]*floodClient)) {
			return s.device("acme:lamp"), func(victims []*floodClient) {
				for _, k := range victims {
					k.send(t, connectPacket{version: k.version, clientID: k.id, username: "acme:door"}.bytes())
				}
			}
		}},
		{"malformed packet", "packet_malformed", 0x81, func(t *testing.T, s *fixture) (*certtest.Cert, func([]*floodClient)) {
			return s.device("acme:lamp"), func(victims []*floodClient) {
				for _, k := range victims {
					k.send(t, []byte{typePublish << 4, 0xFF, 0xFF, 0xFF, 0xFF, 0x01})
				}
			}
		}},
	}
}

// TestLiveSessionsEnd ends live sessions in every way that needs no settings of its
// own, with traffic running both ways, while another session of the same fixture lives
// through all of it.
func TestLiveSessionsEnd(t *testing.T) {
	t.Parallel()
	for _, v := range brokerCasesByWay(t) {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			s, acquired := prepareFixture(t), certtest.NewCA("acquired company")
			s.overWebSocket = v.overWebSocket
			plant := s.pki.Root.Intermediate("plant 8")
			s.pki.Trust(acquired)
			s.pki.Trust(plant)
			s.rewrite(t)
			s.startBefore(t, v.addr, "VERNEGATE_SESSION_RECHECK", "300ms", "VERNEGATE_ACL_TTL", "0s")
			healthyClient := s.live(t, s.device("acme:healthyClient"))

			for _, e := range liveEndings(acquired, plant) {
				t.Run(e.name, func(t *testing.T) {
					s.checkLiveEnding(t, v, e)
					ping(t, healthyClient)
				})
			}
			s.checkCounts(t, "cert_revoked", "cert_expired", "owner_changed", "connect_again", "packet_malformed")
		})
	}
}

// lifetimes are the ways to give the sessions of devices a lifetime of 10 s: on a busy
// machine, it takes a while until their traffic runs.
var lifetimes = map[string][]string{
	"VERNEGATE_SESSION_MAX_LIFETIME": {"VERNEGATE_SESSION_MAX_LIFETIME", "10s"},
	"PLUGIN_DISC_LIFETIME_SESSION":   {"PLUGIN_DISC_LIFETIME_SESSION", "10000"},
}

// TestLifetimeEnds has the sessions of a device end after their lifetime, give or
// take a tenth, and that of a service go on.
func TestLifetimeEnds(t *testing.T) {
	t.Parallel()
	const least = 9 * time.Second
	for _, v := range brokerCases(t) {
		for variable, env := range lifetimes {
			t.Run(v.name+"/"+variable, func(t *testing.T) {
				t.Parallel()
				s := newFixture(t, v.addr, env...)
				service := s.live(t, s.device("v2k-bridge"))
				s.checkLiveEnding(t, v, liveEnding{slug: "max_lifetime", code: 0xA0, begin: timeDoes})
				for _, r := range s.Records(func(r stack.Record) bool { return r.Has("reason", "max_lifetime") }) {
					lived := time.Duration(must(strconv.ParseFloat(fmt.Sprint(r["duration"]), 64))(t))
					if lived < least {
						t.Errorf("a session lived for %v, want at least %v", lived, least)
					}
				}
				ping(t, service)
				s.checkCounts(t, "max_lifetime")
			})
		}
	}
}

// timeDoes begins an ending that nobody has to bring about.
func timeDoes(_ *testing.T, s *fixture) (*certtest.Cert, func([]*floodClient)) {
	return s.device("acme:lamp"), func([]*floodClient) {}
}

// TestDrainEnds ends live sessions with SIGTERM, with traffic running both ways.
// There is no metric left to look at afterwards.
func TestDrainEnds(t *testing.T) {
	t.Parallel()
	for _, v := range brokerCasesByWay(t) {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, v.addr)
			s.overWebSocket = v.overWebSocket
			s.checkLiveEnding(t, v, liveEnding{slug: "shutdown", code: 0x8B, begin: sigterm})
			s.checkDrained(t)
		})
	}
}

// sigterm begins an ending by SIGTERM.
func sigterm(t *testing.T, s *fixture) (*certtest.Cert, func([]*floodClient)) {
	return s.device("acme:lamp"), func([]*floodClient) { s.signal(t, syscall.SIGTERM) }
}

// TestEndingWaitsForTheRestOfAPacket drains when half a packet has come from the
// broker: the rest goes to the client before anything else does, also where it comes
// only when the time of all sessions is over.
func TestEndingWaitsForTheRestOfAPacket(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := newFixture(t, fake.Addr, "VERNEGATE_DRAIN_TIMEOUT", "300ms")
	device := s.device("acme:lamp")
	type half struct {
		client     *stack.Wire
		session    *stack.FakeSession
		packet     []byte
		disconnect []byte
	}
	var halves []half
	for _, v := range versions {
		hello := connectPacket{version: v, clientID: unique()}
		w := dialWire(t, s.through(device, 0))
		if err := w.Send(hello.bytes()); err != nil {
			t.Fatal(err)
		}
		must(w.ReadN(len(accepted(v))))(t)
		h := half{client: w, session: sessionAt(fake, hello.clientID)}
		h.packet = publishing{version: v, topic: "acme:lamp/config", payload: strings.Repeat("half ", 1<<12)}.bytes()
		if v == stack.V5 {
			h.disconnect = []byte{0xE0, 1, 0x8B}
		}
		n := len(h.packet) / 2
		must(h.session.Write(h.packet[:n]))(t)
		if got := must(w.ReadN(n))(t); !bytes.Equal(got, h.packet[:n]) {
			t.Fatalf("%v: the first half of a packet came as % .20X", v, got)
		}
		halves = append(halves, h)
	}

	s.signal(t, syscall.SIGTERM)
	for _, h := range halves {
		if !h.client.ReadQuiet(300 * time.Millisecond) {
			t.Fatal("the session ended, or the client received something, inside a packet")
		}
		if err := h.client.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range halves {
		rest := h.packet[len(h.packet)/2:]
		must(h.session.Write(slices.Concat(rest, h.packet)))(t) // the next packet is for the next server
		got, err := h.client.ReadToEnd()
		if want := slices.Concat(rest, h.disconnect); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the client got %d bytes that end in % X, and %v; want the rest of the packet, % X and an orderly end",
				len(got), got[max(0, len(got)-5):], err, h.disconnect)
		}
	}
	s.checkDrained(t)
}

// TestRevokedClientDoesNotWaitLong has the broker never send the rest of a packet: the
// client ends all the same, and hears nothing that it would take for the rest.
func TestRevokedClientDoesNotWaitLong(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := newFixture(t, fake.Addr)
	device := s.device("acme:lamp")
	hello := connectPacket{version: stack.V5, clientID: unique()}
	w := dialWire(t, s.through(device, 0))
	if err := w.Send(hello.bytes()); err != nil {
		t.Fatal(err)
	}
	must(w.ReadN(len(accepted(stack.V5))))(t)
	must(sessionAt(fake, hello.clientID).Write([]byte{typePublish << 4, 100, 0, 1, 't'}))(t)
	must(w.ReadN(5))(t)
	s.revoke(t, device.Leaf)
	counts := s.inUse(within(t, stepTime), t, 2)
	if got, err := w.ReadToEnd(); len(got) > 0 {
		t.Errorf("the client got % X and %v inside a packet, want nothing", got, err)
	}
	took := time.Since(counts)
	t.Logf("the client fell %v after the revocation counted", took.Round(time.Millisecond))
	if took > stepTime {
		t.Errorf("the revoked client fell after %v, want about a second", took)
	}
	s.ending(t, w.LocalAddr(), "cert_revoked")
}

// checkLiveEnding has a device live with 3.1.1 and with 5.0 at a brokerCase, ends both
// sessions, and checks what the clients, the broker and the log saw of it.
func (s *fixture) checkLiveEnding(t *testing.T, v *brokerCase, e liveEnding) {
	t.Helper()
	device, endSessions := e.begin(t, s)
	var victims []*floodClient
	var atBroker []func(*testing.T)
	for _, version := range []stack.Version{stack.V311, stack.V5} {
		k := newFloodClient(t, v, s.through(device, 0), version)
		victims = append(victims, k)
		atBroker = append(atBroker, v.watch(t, k))
	}
	for _, k := range victims {
		k.await(t, 1)
	}
	began := time.Now()
	endSessions(victims)
	for i, k := range victims {
		t.Logf("%v: ended %v after the endSessions, %d messages had come", k.version,
			k.checkEnded(t, []byte{0xE0, 1, e.code}).Sub(began).Round(time.Millisecond), k.received.Load())
		atBroker[i](t)
		s.checkSummary(t, k, device, e.slug)
	}
}

// checkSummary checks the one line about a session that was ended.
func (s *fixture) checkSummary(t *testing.T, k *floodClient, device *certtest.Cert, slug string) {
	t.Helper()
	r := s.ending(t, k.wire.LocalAddr(), slug)
	for attribute, want := range map[string]string{
		"client_id":   k.id,
		"owner":       "acme:lamp",
		"fingerprint": stack.Fingerprint(device.Leaf),
		"mqtt":        k.version.String(),
	} {
		if !r.Has(attribute, want) {
			t.Errorf("%v: the log has %s %v, want %s", k.version, attribute, r[attribute], want)
		}
	}
}

// revoke puts certificates that the root has signed on its list, in place, as
// cert-sidecar does.
func (s *fixture) revoke(t *testing.T, certs ...*x509.Certificate) {
	t.Helper()
	s.pki.Revoke(certs...)
	s.rewrite(t)
}

// rewrite writes the files as they should be now, in place.
func (s *fixture) rewrite(t *testing.T) {
	t.Helper()
	if err := s.folder.Rewrite(s.pki.Set(), nil); err != nil {
		t.Fatal(err)
	}
}

// checkExpiry expects sessions to live until their certificate expires.
func (s *fixture) checkExpiry(t *testing.T, notAfter time.Time, victims []*floodClient) {
	t.Helper()
	for _, k := range victims {
		select {
		case <-k.over:
		case <-within(t, time.Until(notAfter)+10*time.Second).Done():
			t.Fatalf("%v: the session outlives its certificate", k.version)
		}
		if early := notAfter.Sub(k.ended); early > 0 {
			t.Errorf("%v: the session ended %v before its certificate expired", k.version, early)
		}
	}
}

// greet sends a CONNECT and reads the CONNACK that accepts it.
func greet(t *testing.T, w *stack.Wire, version stack.Version) {
	t.Helper()
	greetWith(t, w, connectPacket{version: version, clientID: unique()}.bytes())
}

// greetWith is greet with a CONNECT of its own.
func greetWith(t *testing.T, w *stack.Wire, hello []byte) {
	t.Helper()
	if err := w.Send(hello); err != nil {
		t.Fatal(err)
	}
	if connack := must(packetReader{bufio.NewReader(w)}.next())(t); connack[0] != 0x20 || connack[3] != 0 {
		t.Fatalf("the broker answered % X, want a CONNACK that accepts", connack)
	}
}

// ping sends PINGREQ and expects PINGRESP and nothing before it.
func ping(t *testing.T, w *stack.Wire) {
	t.Helper()
	if err := w.Send(pingPacket); err != nil {
		t.Fatalf("a session that nothing ended has ended: %v", err)
	}
	if got, err := w.ReadN(len(pongPacket)); err != nil || !bytes.Equal(got, pongPacket) {
		t.Fatalf("a session that nothing ended got % X and %v, want PINGRESP", got, err)
	}
}
