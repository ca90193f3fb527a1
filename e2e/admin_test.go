// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

const adminToken = "correct-horse-battery-staple"

// ask sends a request to the admin server, which must answer with status.
func (s *fixture) ask(t *testing.T, method, path, token string, status int) (body string) {
	t.Helper()
	resp, body, err := s.Ask(within(t, stepTime), method, path, token)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		t.Fatalf("%s %s: got %s and %s, want %d", method, path, resp.Status, body, status)
	}
	return body
}

// listed is what GET /sessions says.
type listed struct {
	Sessions []map[string]any
	Next     string
}

func (s *fixture) sessions(t *testing.T, query string) (page listed) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.ask(t, "GET", "/sessions?"+query, "", http.StatusOK)), &page); err != nil {
		t.Fatal(err)
	}
	return page
}

// openSession connects a device over a Wire, and returns it behind its CONNACK.
func (s *fixture) openSession(t *testing.T, v stack.Version, device *certtest.Cert, clientID string) *stack.Wire {
	t.Helper()
	w := dialWire(t, s.through(device, 0))
	if err := w.Send(connectPacket{version: v, clientID: clientID}.bytes()); err != nil {
		t.Fatal(err)
	}
	header := must(w.ReadN(2))(t)
	if rest := must(w.ReadN(int(header[1])))(t); header[0] != 0x20 || rest[1] != 0 {
		t.Fatalf("got % X % X, want a CONNACK that lets the client in", header, rest)
	}
	return w
}

func TestOperatorEndsSessions(t *testing.T) {
	t.Parallel()
	s := newFixture(t, broker, "VERNEGATE_ADMIN_TOKEN", adminToken)
	lamp, door := s.device("acme:lamp"), s.device("acme:door")
	v5 := s.openSession(t, stack.V5, lamp, unique())
	v311 := s.openSession(t, stack.V311, lamp, unique())
	id := unique()
	stayer := connect(t, s.through(door, 0), stack.Options{Version: stack.V5, ClientID: id})

	if page := s.sessions(t, "limit=2"); len(page.Sessions) != 2 || page.Next == "" {
		t.Errorf("got %d sessions on a page of 2, and %q as the next", len(page.Sessions), page.Next)
	} else if page = s.sessions(t, "limit=2&after="+page.Next); len(page.Sessions) != 1 || page.Next != "" {
		t.Errorf("got %d sessions on the last page, and %q as the next", len(page.Sessions), page.Next)
	}
	page := s.sessions(t, "fingerprint="+url.QueryEscape(stack.Fingerprint(door.Leaf)))
	if len(page.Sessions) != 1 || page.Sessions[0]["client_id"] != id || page.Sessions[0]["owner"] != "acme:door" || page.Sessions[0]["mqtt"] != "5.0" {
		t.Errorf("got %v, want the door's session", page.Sessions)
	}

	const lamps = "/sessions?owner=acme:lamp"
	s.ask(t, "DELETE", lamps, "", http.StatusUnauthorized)
	s.ask(t, "DELETE", lamps, adminToken+"x", http.StatusUnauthorized)
	s.ask(t, "DELETE", "/sessions", adminToken, http.StatusBadRequest)
	if n := len(s.sessions(t, "").Sessions); n != 3 {
		t.Errorf("%d sessions are left by those who may end none, want 3", n)
	}
	if got := s.ask(t, "DELETE", lamps, adminToken, http.StatusOK); !strings.Contains(got, `"ended": 2`) {
		t.Errorf("got %s, want 2 ended", got)
	}
	if got := must(v5.ReadToEnd())(t); !bytes.Equal(got, []byte{0xE0, 1, 0x98}) {
		t.Errorf("the 5.0 client got % X, want DISCONNECT 0x98", got)
	}
	if got := must(v311.ReadToEnd())(t); len(got) != 0 {
		t.Errorf("the 3.1.1 client got % X, want the end alone", got)
	}
	if err := stayer.Publish(within(t, stepTime), stack.Message{Topic: unique(), QoS: 1}); err != nil {
		t.Errorf("another's session: %v", err)
	}
	line := s.auditLine(t, "admin_kick")
	if line["owner"] != "acme:lamp" || line["fingerprint"] != stack.Fingerprint(lamp.Leaf) || line["issuer"] != lamp.Leaf.Issuer.String() {
		t.Errorf("the audit has %v", line)
	}
}

// A device that got another owner has it as soon as an operator wants, however long answers are remembered.
func TestOperatorEndsSessionsAndForgetsTheirOwner(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := newFixture(t, fake.Addr, "VERNEGATE_ADMIN_TOKEN", adminToken, "VERNEGATE_ACL_TTL", "24h")
	device, id := s.device("acme:lamp"), unique()
	first := connect(t, s.through(device, 0), stack.Options{Version: stack.V5, ClientID: id})
	s.acl.Own(stack.Fingerprint(device.Leaf), "acme:door")
	ownerNow := func() any { return s.sessions(t, "client_id="+id).Sessions[0]["owner"] }

	if got := s.ask(t, "DELETE", "/sessions?client_id="+id, adminToken, http.StatusOK); !strings.Contains(got, `"ended": 1`) || strings.Contains(got, "forgotten") {
		t.Errorf("got %s, want 1 ended", got)
	}
	<-first.Dropped()
	second := connect(t, s.through(device, 0), stack.Options{Version: stack.V5, ClientID: id})
	if got := ownerNow(); got != "acme:lamp" {
		t.Errorf("without forget=true the owner is %v, want the one that is remembered", got)
	}
	if got := s.ask(t, "DELETE", "/sessions?ip=127.0.0.0/8&forget=true", adminToken, http.StatusOK); !strings.Contains(got, `"forgotten": 1`) {
		t.Errorf("got %s, want 1 forgotten", got)
	}
	<-second.Dropped()
	connect(t, s.through(device, 0), stack.Options{Version: stack.V5, ClientID: id})
	if got := ownerNow(); got != "acme:door" {
		t.Errorf("with forget=true the owner is %v, want the one that certificate-acl says now", got)
	}
	s.ask(t, "GET", "/sessions?after=nonsense", "", http.StatusBadRequest)
}

func TestReadingCanNeedAToken(t *testing.T) {
	t.Parallel()
	const reader = "0123456789-for-reading"
	s := newFixture(t, broker, "VERNEGATE_ADMIN_TOKEN", adminToken, "VERNEGATE_ADMIN_READ_TOKEN", reader)
	for _, path := range []string{"/", "/status", "/sessions"} {
		s.ask(t, "GET", path, "", http.StatusUnauthorized)
		s.ask(t, "GET", path, reader, http.StatusOK)
		s.ask(t, "GET", path, adminToken, http.StatusOK)
	}
	s.ask(t, "GET", "/readyz", "", http.StatusOK)
	s.ask(t, "GET", "/metrics", "", http.StatusOK)
	s.ask(t, "POST", "/reload", reader, http.StatusUnauthorized)
}

func TestAdminInterfaceCanBeOff(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := prepareFixture(t)
	s.Vernegate = must(stack.LaunchVernegate(program, s.env(fake.Addr, "VERNEGATE_ADMIN", "off")))(t)
	t.Cleanup(func() { endWell(t, s.Vernegate) })
	must(s.WaitRecord(within(t, stepTime), "the start", func(r stack.Record) bool { return r.Has("msg", "started") }))(t)
	connect(t, s.through(s.device("acme:lamp"), 0), stack.Options{Version: stack.V5, ClientID: unique()})
	if got := s.Records(func(r stack.Record) bool { return r.Has("listener", "admin") }); len(got) > 0 {
		t.Errorf("it listens for operators: %v", got)
	}
}

func TestWithoutATokenNobodyChangesAnything(t *testing.T) {
	t.Parallel()
	s := newFixture(t, broker)
	s.ask(t, "DELETE", "/sessions?owner=acme:lamp", adminToken, http.StatusForbidden)
	s.ask(t, "POST", "/reload", "", http.StatusForbidden)
	s.ask(t, "GET", "/debug/pprof/", "", http.StatusForbidden)
}

func TestOperatorReloadsAndProfiles(t *testing.T) {
	t.Parallel()
	s := newFixture(t, broker, "VERNEGATE_ADMIN_TOKEN", adminToken)
	if got := s.ask(t, "POST", "/reload", adminToken, http.StatusOK); !strings.Contains(got, `"changed": false`) {
		t.Errorf("got %s of the same files", got)
	}
	broken := s.pki.Set()
	broken.CRL = []byte("nonsense")
	if err := s.folder.Rename(broken); err != nil {
		t.Fatal(err)
	}
	if got := s.ask(t, "POST", "/reload", adminToken, http.StatusUnprocessableEntity); !strings.Contains(got, "CRL file") {
		t.Errorf("got %s, want what is wrong", got)
	}
	if page := s.ask(t, "GET", "/", "", http.StatusOK); !strings.Contains(page, "The trust files are refused in part: ") {
		t.Error("the page does not say that the files are refused")
	}
	s.ask(t, "GET", "/debug/pprof/heap", adminToken, http.StatusOK)
}

// TestOperatorReloadsAtOnce asks for a reload that changes something before the store
// has read the files again by itself.
func TestOperatorReloadsAtOnce(t *testing.T) {
	t.Parallel()
	s := prepareFixture(t)
	lamp := s.device("acme:lamp")
	s.pki.Revoke(lamp.Leaf)
	changed := s.pki.Set()
	s.startBefore(t, broker, "VERNEGATE_ADMIN_TOKEN", adminToken)
	if err := s.folder.Rename(changed); err != nil {
		t.Fatal(err)
	}
	s.ask(t, "POST", "/reload", adminToken, http.StatusOK)
	if err := tryConnect(within(t, stepTime), s.through(lamp, 0)); err == nil {
		t.Error("a device came in that the files revoke")
	}
}

// auditLine waits for the audit's line with this reason.
func (s *fixture) auditLine(t *testing.T, reason string) (line map[string]any) {
	t.Helper()
	text := must(s.Output.Wait(within(t, stepTime), "the audit of "+reason, func(line string) bool {
		return strings.Contains(line, `"logger":"audit"`) && strings.Contains(line, `"reason":"`+reason+`"`)
	}))(t)
	if err := json.Unmarshal([]byte(text), &line); err != nil {
		t.Fatal(err)
	}
	return line
}

// However quiet the log is: who was refused is in it, and on the page.
func TestRefusalIsAuditedAndShown(t *testing.T) {
	t.Parallel()
	s := newFixture(t, broker, "VERNEGATE_LOG_LEVEL", "error")
	stranger := s.pki.Root.Issue("stranger")
	w := dialWire(t, s.through(stranger, 0))
	if err := w.Send(connectPacket{version: stack.V311, clientID: "nobodys"}.bytes()); err != nil {
		t.Fatal(err)
	}
	if got := must(w.ReadToEnd())(t); !bytes.Equal(got, []byte{0x20, 2, 0, 5}) {
		t.Fatalf("got % X, want CONNACK 5", got)
	}
	line := s.auditLine(t, "identity_unknown")
	for key, want := range map[string]any{
		"fingerprint": stack.Fingerprint(stranger.Leaf), "subject": "CN=stranger", "issuer": s.pki.Root.Cert.Subject.String(),
		"serial": stranger.Leaf.SerialNumber.Text(16), "client_id": "nobodys", "remote": w.LocalAddr().String(), "listener": "devices",
	} {
		if line[key] != want {
			t.Errorf("got %s %v in the audit, want %v", key, line[key], want)
		}
	}
	page := s.ask(t, "GET", "/?q="+url.QueryEscape(stack.Fingerprint(stranger.Leaf)), "", http.StatusOK)
	for _, text := range []string{"identity_unknown", "CN=stranger", "nobodys", stack.Fingerprint(stranger.Leaf)} {
		if !strings.Contains(page, text) {
			t.Errorf("the page does not show %q", text)
		}
	}
	if n := strings.Count(s.Output.String(), `"connection ended"`); n != 1 {
		t.Errorf("got %d lines about one connection", n)
	}
}

// Owner, client id and subject of a device are attacks: none comes out as markup.
func TestAttacksStayText(t *testing.T) {
	t.Parallel()
	const attack = `"><script>alert(1)<b>`
	s := newFixture(t, broker)
	device := s.pki.Root.Issue(attack)
	s.acl.Own(stack.Fingerprint(device.Leaf), attack)
	s.openSession(t, stack.V5, device, attack+unique())
	refused := s.pki.Root.Issue(attack)
	w := dialWire(t, s.through(refused, 0))
	if err := w.Send(connectPacket{version: stack.V311, clientID: attack}.bytes()); err != nil {
		t.Fatal(err)
	}
	_ = must(w.ReadToEnd())(t)
	s.auditLine(t, "identity_unknown")

	for _, path := range []string{"/", "/?q=" + url.QueryEscape(attack), "/sessions", "/status", "/metrics"} {
		body := s.ask(t, "GET", path, "", http.StatusOK)
		if strings.Contains(body, "<script") || strings.Contains(body, attack) {
			t.Errorf("%s has the attack as it is", path)
		}
	}
	page := s.sessions(t, "owner="+url.QueryEscape(attack))
	if len(page.Sessions) != 1 || page.Sessions[0]["owner"] != attack || page.Sessions[0]["subject"] != `CN=\"\>\<script\>alert(1)\<b\>` {
		t.Errorf("got %v, want the attacker's session", page.Sessions)
	}
}

// promtool is Prometheus' own opinion of what it is given, after every counter has something to count.
func TestMetricsPleasePromtool(t *testing.T) {
	t.Parallel()
	s := newFixture(t, broker)
	for _, v := range versions {
		c := connect(t, s.through(s.device("acme:lamp"), 0), stack.Options{Version: v, ClientID: unique()})
		if err := c.Publish(within(t, stepTime), stack.Message{Topic: unique(), Payload: "x", QoS: 1}); err != nil {
			t.Fatal(err)
		}
	}
	body := s.ask(t, "GET", "/metrics", "", http.StatusOK)
	cmd := exec.CommandContext(within(t, stepTime), "promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader(body)
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "go_") && !strings.HasPrefix(line, "process_") { // which are not ours to name
			t.Errorf("promtool: %s", line)
		}
	}
	if len(out) == 0 && err != nil {
		t.Fatal(err)
	}

	metrics := must(s.Metrics(within(t, stepTime)))(t)
	for _, series := range []struct {
		name   string
		labels []string
		least  float64
	}{
		{"vernegate_sessions", []string{`listener="devices"`}, 3},
		{"vernegate_handshakes_total", []string{`result="full"`, `version="1.3"`}, 3},
		{"vernegate_connects_total", []string{`version="3.1"`}, 1},
		{"vernegate_connects_total", []string{`version="5.0"`}, 1},
		{"vernegate_relayed_packets_total", []string{`direction="up"`}, 3},
		{"vernegate_relayed_packets_total", []string{`direction="down"`}, 6},
		{"vernegate_relayed_bytes_total", []string{`direction="up"`}, 3},
		{"vernegate_identity_cache_entries", nil, 3},
	} {
		if got := metrics.Sum(series.name, series.labels...); got < series.least {
			t.Errorf("got %v as %s%q while the sessions live, want at least %v", got, series.name, series.labels, series.least)
		}
	}
}
