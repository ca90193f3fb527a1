// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// An auditedGate keeps what it audits apart from what it logs.
type auditedGate struct {
	*gate
	audit  *logs
	forced chan proxy.SessionInfo
}

func startAuditedGate(t *testing.T, change func(*proxy.Config)) auditedGate {
	t.Helper()
	a := auditedGate{audit: &logs{}, forced: make(chan proxy.SessionInfo, 10)}
	a.gate = startGate(t, func(c *proxy.Config) {
		c.Audit = slog.New(slog.NewJSONHandler(a.audit, nil))
		c.OnForced = func(end proxy.SessionInfo) { a.forced <- end }
		change(c)
	})
	return a
}

func TestRefusalIsAudited(t *testing.T) {
	t.Parallel()
	g := startAuditedGate(t, func(c *proxy.Config) {
		c.Owner = func(context.Context, proxy.Peer) (string, bool, error) { return "", false, nil }
	})
	client := g.device(connect311)
	wantBytes(t, client, []byte("\x20\x02\x00\x05"))
	end := <-g.forced
	line := g.audit.await(t, func(map[string]any) bool { return true })
	leaf := testPKI().device.Leaf
	for key, want := range map[string]any{
		"reason": "identity_unknown", "fingerprint": fingerprint(testPKI().device), "issuer": leaf.Issuer.String(),
		"serial": leaf.SerialNumber.Text(16), "subject": leaf.Subject.String(), "client_id": "c1",
		"remote": client.LocalAddr().String(), "listener": "devices",
	} {
		if line[key] != want {
			t.Errorf("got %s %v in the audit, want %v", key, line[key], want)
		}
	}
	if end.Reason != proxy.IdentityUnknown || end.Fingerprint != fingerprint(testPKI().device) || end.Ended.Before(end.Since) {
		t.Errorf("was told of %+v", end)
	}
	if line := g.logs.find(func(map[string]any) bool { return true }); line != nil {
		t.Errorf("the log has it a second time: %v", line)
	}
}

func TestForcedEndIsAudited(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startAuditedGate(t, brokers(b))
	client, backend := session5(g.gate, b, testPKI().device)
	g.trust.Store(newTrust(testPKI().device.Leaf))
	g.Withdraw(t.Context(), proxy.Withdrawal{Revoked: revoking(testPKI().device.Leaf)})
	wantStopped(t, client, backend, 0x87)
	line := g.audit.await(t, func(map[string]any) bool { return true })
	end := <-g.forced
	for key, want := range map[string]any{
		"reason": "cert_revoked", "level": "WARN", "owner": "admin:dev1", "backend": b.addr(), "id": end.ID.String(),
	} {
		if line[key] != want {
			t.Errorf("got %s %v in the audit, want %v", key, line[key], want)
		}
	}
}

// A certificate says nothing of who shows it before a chain has been found: anybody can make one that has expired.
func TestRefusalTellsWhetherTheCertificateWasVerified(t *testing.T) {
	t.Parallel()
	g := startAuditedGate(t, func(c *proxy.Config) {
		c.Owner = func(context.Context, proxy.Peer) (string, bool, error) { return "", false, nil }
	})
	past := certtest.NotAfter(time.Now().Add(-time.Hour))
	for _, client := range []struct {
		cert     *certtest.Cert
		trust    *trust
		reason   proxy.Reason
		verified bool
	}{
		{certtest.NewCA("strangers").Issue("stranger", past), newTrust(), proxy.TLSExpired, false},
		{certtest.NewCA("strangers").Issue("stranger"), newTrust(), proxy.TLSUntrusted, false},
		{testPKI().device, newTrust(), proxy.IdentityUnknown, true},
		{testPKI().device, newTrust(testPKI().device.Leaf), proxy.TLSRevoked, true},
	} {
		g.trust.Store(client.trust)
		c := g.dial(client.cert)
		write(t, c, connect311)
		_, _ = io.Copy(io.Discard, c)
		if end := <-g.forced; end.Reason != client.reason || end.Verified != client.verified || end.Fingerprint == "" {
			t.Errorf("was told of %+v, want %v, verified %v", end, client.reason, client.verified)
		}
	}
}

func TestOrdinaryEndIsNotAudited(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startAuditedGate(t, brokers(b))
	client, backend := session(g.gate, b)
	_ = client.Close()
	wantEOF(t, backend)
	_ = backend.Close()
	g.wantEnd(proxy.ClientClosed)
	if line := g.audit.find(func(map[string]any) bool { return true }); line != nil || len(g.forced) > 0 {
		t.Errorf("the audit has %v", line)
	}
}

// Whatever a stranger puts into a certificate: the audit has one line, in which nothing is raw.
func TestAuditIsBoundedAndEscaped(t *testing.T) {
	t.Parallel()
	stranger := testPKI().ca.Issue("\x1b[31m\n{\"level\":\"ERROR\"}\u202e" + strings.Repeat("x", 10_000))
	g := startAuditedGate(t, func(c *proxy.Config) {
		c.Owner = func(context.Context, proxy.Peer) (string, bool, error) { return "", false, nil }
	})
	client := g.dial(stranger)
	write(t, client, connect311)
	wantBytes(t, client, []byte("\x20\x02\x00\x05"))
	line := g.audit.await(t, func(map[string]any) bool { return true })
	subject := line["subject"].(string)
	if !strings.HasPrefix(subject, `CN=\u001b[31m\u000a{`) || strings.ContainsAny(subject, "\x1b\n\u202e") || len(subject) > 1000 {
		t.Errorf("got subject %.1000q", subject)
	}
	if end := <-g.forced; end.Subject != subject {
		t.Errorf("was told of subject %.1000q, want that of the log", end.Subject)
	}
}

func TestHandshakesAndConnectsAreCounted(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	session5(g, b, testPKI().device)
	g.trust.Store(newTrust(testPKI().device.Leaf))
	refused := g.dial(testPKI().device) // TLS 1.3: the client is done before the server has looked at its certificate
	_, _ = refused.Read(make([]byte, 1))
	g.wantEnd(proxy.TLSRevoked)
	for _, series := range []struct {
		name   string
		labels map[string]string
	}{
		{"vernegate_handshakes_total", map[string]string{"listener": "devices", "result": "full", "version": "1.3"}},
		{"vernegate_handshakes_total", map[string]string{"listener": "devices", "result": "tls_revoked", "version": ""}},
		{"vernegate_connects_total", map[string]string{"listener": "devices", "version": "5.0"}},
	} {
		if got := counter(t, g.metrics, series.name, series.labels); got != 1 {
			t.Errorf("got %v as %s%v, want 1", got, series.name, series.labels)
		}
	}
	if got := counter(t, g.metrics, "vernegate_connects_total", map[string]string{"listener": "devices", "version": "3.1.1"}); got != 0 {
		t.Errorf("got %v CONNECTs of 3.1.1, want none", got)
	}
}

// What is carried is counted while the session lives, once, and stays counted when it has ended.
func TestTrafficIsCountedWhileItFlows(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	client, backend := session(g, b)
	carried := func(what, direction string) float64 {
		return counter(t, g.metrics, "vernegate_relayed_"+what+"_total", map[string]string{"listener": "devices", "direction": direction})
	}
	want := func(when string) {
		t.Helper()
		for _, row := range []struct {
			what, direction string
			want            float64
		}{{"bytes", "up", 6}, {"packets", "up", 3}, {"bytes", "down", 6}, {"packets", "down", 2}} {
			await(t, when+": "+row.what+" "+row.direction, func() bool { return carried(row.what, row.direction) >= row.want })
			if got := carried(row.what, row.direction); got != row.want {
				t.Errorf("%s: got %v %s %s, want %v", when, got, row.what, row.direction, row.want)
			}
		}
	}
	for range 3 {
		write(t, client, pingreq)
		wantBytes(t, backend, pingreq)
	}
	write(t, backend, pingresp)
	wantBytes(t, client, pingresp)
	want("live")
	_ = client.Close()
	wantEOF(t, backend)
	_ = backend.Close()
	g.wantEnd(proxy.ClientClosed)
	want("ended")
}

// flood opens connections that are no TLS at all, some at a time, until each of them has ended.
func (g *gate) flood(connections int) {
	g.t.Helper()
	var running sync.WaitGroup
	for range 10 {
		running.Go(func() {
			for range connections / 10 {
				c, err := net.Dial("tcp", g.addr)
				if err != nil {
					g.t.Error(err)
					return
				}
				_, _ = c.Write([]byte("no TLS at all"))
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			}
		})
	}
	running.Wait()
}

// tally counts the lines about connections in the audit, by reason, and those that were left out.
func (a auditedGate) tally(t *testing.T) (lines, suppressed map[string]int) {
	t.Helper()
	a.audit.mu.Lock()
	defer a.audit.mu.Unlock()
	lines, suppressed = map[string]int{}, map[string]int{}
	for _, line := range a.audit.lines {
		if line["msg"] == "connection ended" {
			lines[line["reason"].(string)]++
			continue
		}
		sum := 0
		reasons, _ := line["reasons"].(map[string]any)
		for reason, n := range reasons {
			suppressed[reason] += int(n.(float64))
			sum += int(n.(float64))
		}
		if float64(sum) != line["suppressed"] {
			t.Errorf("suppressed is %v, and its reasons are %v", line["suppressed"], reasons)
		}
	}
	return lines, suppressed
}

// Clients decide neither how many lines there are nor what is seen of others: what is left out is counted, and one kind of
// refusal does not hide another.
func TestLinesAboutRefusalsAreLimitedForEachReason(t *testing.T) {
	t.Parallel()
	const connections, others = 1000, 5
	var counted atomic.Int64
	g := startAuditedGate(t, func(c *proxy.Config) {
		c.LogRate = 10
		c.Logger, c.OnForced = nil, nil
		c.CountForced = func(proxy.Reason) { counted.Add(1) }
	})
	began := time.Now()
	g.flood(connections)
	for range others {
		c := g.dial(nil) // a client without a certificate, in the midst of them
		_, _ = c.Read(make([]byte, 1))
	}
	ended := func(reason string) float64 {
		return counter(t, g.metrics, "vernegate_connections_ended_total", map[string]string{"listener": "devices", "reason": reason})
	}
	await(t, "all have ended", func() bool { return ended("tls_no_cert") >= others && ended("tls_handshake") >= connections }) // before a shutdown becomes the reason
	if err := g.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	most := int(10 * (time.Since(began).Seconds() + 1))
	lines, suppressed := g.tally(t)
	if n := lines["tls_handshake"]; n < 10 || n > most || n+suppressed["tls_handshake"] != connections {
		t.Errorf("got %d lines and %d left out, want 10 to %d lines and %d in sum", n, suppressed["tls_handshake"], most, connections)
	}
	if n := lines["tls_no_cert"]; n != others || suppressed["tls_no_cert"] != 0 {
		t.Errorf("got %d lines about the others and %d left out, want all %d", n, suppressed["tls_no_cert"], others)
	}
	if got := ended("tls_handshake"); got != connections {
		t.Errorf("got %v connections counted, want %d", got, connections)
	}
	if got := counted.Load(); got != connections+others {
		t.Errorf("got %d refusals told, want %d", got, connections+others)
	}
}

// Who is known and refused is sampled as well: all devices come at once when the broker is gone. A session that has lived
// has its line in any case.
func TestSessionsAlwaysHaveTheirLine(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	const sessions = 5
	g := startAuditedGate(t, func(c *proxy.Config) {
		brokers(b)(c)
		c.LogRate = 1
		c.MaxConnections = sessions
		c.OnForced = nil
	})
	var clients []net.Conn
	for range sessions {
		client, backend := session(g.gate, b)
		clients = append(clients, client, backend)
	}
	began := time.Now()
	for range 20 {
		refused := g.device(connect311)
		wantBytes(t, refused, versions["3.1.1"].unavailable)
		wantEOF(t, refused)
	}
	for _, c := range clients {
		_ = c.Close()
	}
	await(t, "the end of the sessions", func() bool { return g.Count(proxy.Devices) == 0 })
	if err := g.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	most := int(time.Since(began).Seconds() + 1)
	lines, suppressed := g.tally(t)
	if n := lines["limit_connections"]; n > most || n+suppressed["limit_connections"] != 20 {
		t.Errorf("got %d lines about refusals and %d left out, want at most %d lines and 20 in sum", n, suppressed["limit_connections"], most)
	}
	ended := 0
	g.logs.mu.Lock()
	defer g.logs.mu.Unlock()
	for _, line := range g.logs.lines {
		if line["msg"] == "connection ended" && line["owner"] == "admin:dev1" && line["backend"] != nil {
			ended++
		}
	}
	if ended != sessions {
		t.Errorf("got %d lines about sessions, want %d", ended, sessions)
	}
}

// 0 is no limit.
func TestLinesWithoutALimit(t *testing.T) {
	t.Parallel()
	g := startAuditedGate(t, func(c *proxy.Config) { c.Logger, c.OnForced = nil, nil })
	g.flood(100)
	if err := g.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if lines, suppressed := g.tally(t); lines["tls_handshake"] != 100 || len(suppressed) != 0 {
		t.Errorf("got %v lines and %v left out", lines, suppressed)
	}
}
