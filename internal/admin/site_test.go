// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/proxy"
)

// secret is the token of the sites that have one.
const secret = "correct-horse-battery-staple"

var errNotReady = errors.New("waiting for a first good set of trust files")

// A site is an admin server with nothing behind it but what a test says.
type site struct {
	t       *testing.T
	cfg     admin.Config
	crowd   *crowd
	status  admin.Status
	reload  error
	handler http.Handler
}

// newSite returns a site with a token and without sessions and refusals.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, crowd: &crowd{}, status: admin.Status{State: admin.Ready, Now: time.Now()}}
	s.cfg = admin.Config{
		Live:     func() error { return nil },
		Ready:    func() error { return nil },
		Metrics:  prometheus.NewRegistry(),
		Status:   func() admin.Status { return s.status },
		Sessions: func() admin.Sessions { return s.crowd },
		Reload: func(context.Context) (admin.Reloaded, error) {
			return admin.Reloaded{Generation: 7, Changed: true}, s.reload
		},
		History: &admin.History{},
		Token:   mustToken(t, secret),
		Log:     slog.New(slog.DiscardHandler),
	}
	return s
}

func mustToken(t *testing.T, text string) (token admin.Token) {
	t.Helper()
	if err := token.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return token
}

// ask sends a request with these headers, name and value in turn.
func (s *site) ask(method, path string, header ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	if s.handler == nil {
		s.handler = admin.New(s.cfg).Handler
	}
	r := httptest.NewRequest(method, path, nil)
	r.Host = "127.0.0.1:8885"
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// order is ask with the token.
func (s *site) order(method, path string) *httptest.ResponseRecorder {
	s.t.Helper()
	return s.ask(method, path, "Authorization", "Bearer "+secret)
}

// A crowd is live sessions.
type crowd struct {
	sessions []proxy.SessionInfo
	kicked   []proxy.Filter
	asked    proxy.Filter // last
}

func (c *crowd) Sessions(f proxy.Filter, after proxy.SessionID, limit int) (page []proxy.SessionInfo, more bool) {
	c.asked = f
	for _, s := range c.sessions {
		if s.ID <= after || f.Owner != "" && f.Owner != s.Owner || f.Text != "" && !s.Mentions(f.Text) {
			continue
		}
		if len(page) == limit {
			return page, true
		}
		page = append(page, s)
	}
	return page, false
}

func (c *crowd) Newest(n int) []proxy.SessionInfo {
	last := slices.Clone(c.sessions[max(0, len(c.sessions)-n):])
	slices.Reverse(last)
	return last
}

func (c *crowd) Owners() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for _, s := range c.sessions {
			if !yield(s.Owner, 1) {
				return
			}
		}
	}
}

func (c *crowd) Kick(f proxy.Filter, forget func(pki.Fingerprint)) int {
	if forget != nil {
		forget(mustFingerprint(fingerprint("of a session")))
	}
	c.kicked = append(c.kicked, f)
	return len(c.sessions)
}

// fingerprint is that of a certificate which does not exist.
func fingerprint(text string) string { return pki.Fingerprint(sha256.Sum256([]byte(text))).String() }

// busySite is what an operator meets on a bad day: much is refused, a file is
// broken, a CRL overdue, a broker down.
func busySite(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	now := time.Date(2026, 5, 1, 13, 37, 42, 0, time.UTC)
	ratio, used := 0.9968, 8213
	s.status = admin.Status{
		State: admin.Ready, Host: "vernemq-0", Version: "v1.4.2", Commit: "0123456789abcdef", Go: "go1.26.0",
		Now: now, Started: now.Add(-100 * time.Hour), UptimeSeconds: 360_000,
		Sessions: map[string]int{"devices": 84_213, "services": 6, "websocket": 1_204},
		Trust: &admin.Trust{
			Generation: 41, Loaded: now.Add(-2 * time.Hour),
			Files: []admin.File{
				{Path: "/vernemq/cert/vernemq-0.crt", SHA256: strings.Repeat("4f", 32)},
				{Path: "/vernemq/cert/vernemq-0.key", SHA256: strings.Repeat("a1", 32)},
				{Path: "/vernemq/cert/ca.crt", SHA256: strings.Repeat("9c", 32)},
				{Path: "/vernemq/cert/ca.crl", SHA256: strings.Repeat("07", 32)},
			},
			Certificates: []admin.Certificate{
				{Kind: "server", Subject: "CN=vernemq-0", Serial: "1f", NotAfter: now.Add(9 * 24 * time.Hour), DaysLeft: 9, Severity: admin.Warning},
				{Kind: "ca", Subject: "CN=X.509 Identity CA,O=dojot IoT Platform", Serial: "2", NotAfter: now.Add(2000 * 24 * time.Hour), DaysLeft: 2000, Severity: admin.OK},
				{Kind: "ca", Subject: "CN=Plant 7 Issuing CA,OU=Operations,O=Example Manufacturing GmbH & Co. KG,C=DE", Serial: "3", NotAfter: now.Add(300 * 24 * time.Hour), DaysLeft: 300, Severity: admin.OK},
			},
			CRLs: []admin.CRL{{
				Issuer: "CN=X.509 Identity CA,O=dojot IoT Platform", File: "/vernemq/cert/ca.crl", Number: "1834",
				ThisUpdate: now.Add(-45 * time.Hour), NextUpdate: now.Add(-21 * time.Hour), GoodUntil: now.Add(3 * time.Hour), Entries: 12_031, Severity: admin.Critical, BaseNumber: "1830",
			}},
		},
		CertificateACL: &admin.CertificateACL{
			URL: "http://certificate-acl:3000/internal/api/v1/acl-entries/", HitRatio: &ratio, CacheEntries: 84_502, CacheSize: 100_000,
			Answers:     map[string]uint64{"hit": 12_345_678},
			LastSuccess: now.Add(-3 * time.Minute), LastFailure: now.Add(-4 * time.Second), LastError: "timeout", LastDetail: "did not answer in time",
		},
		IdentityFile: &admin.IdentityFile{
			Path: "/etc/vernegate/owners.map", Lines: 1_204_117, Loaded: now.Add(-2 * time.Hour), Refused: true, RefusedSince: now.Add(-5 * time.Minute),
			Errors:  []string{"/etc/vernegate/owners.map: line 1204118: expected a key, a blank and an owner"},
			Notices: []string{`line 7: the owner contains '+'`},
		},
		OCSP: &admin.OCSP{
			OnError: "deny", CacheEntries: 48_210, CacheSize: 100_000,
			Issuers: []admin.OCSPIssuer{
				{Issuer: "CN=Plant 7 Issuing CA,OU=Operations,O=Example Manufacturing GmbH & Co. KG,C=DE", Responder: "ocsp.example.org",
					Answers: map[string]uint64{"good": 61_204, "revoked": 17, "unknown": 3}, Failures: 1, LastSuccess: now.Add(-2 * time.Second),
					LastFailure: now.Add(-time.Hour), LastError: "timeout"},
				{Issuer: "CN=Vendor CA", Responder: "203.0.113.9:8080", Answers: map[string]uint64{"good": 12}, Failures: 40, InARow: 2,
					LastSuccess: now.Add(-time.Hour), LastFailure: now.Add(-time.Second), LastError: "signer",
					LastDetail: "asking OCSP responder 203.0.113.9:8080: signer: the certificate of its signer \"CN=responder\" is valid from 2024-01-01T00:00:00Z to 2025-01-01T00:00:00Z"},
			},
		},
		Backends: []admin.Backend{
			{Address: "10.244.1.17:1883", Name: "vernemq:1883", Sessions: 42_110, State: "up", Severity: admin.OK, Reason: "silent", Since: now.Add(-90 * time.Hour)},
			{Address: "10.244.2.9:1883", Name: "vernemq:1883", State: "ejected", Severity: admin.Critical, Since: now.Add(-2 * time.Minute), Reason: "dial",
				Detail: "dial tcp 10.244.2.9:1883: connect: connection refused", NextTry: now.Add(8 * time.Second)},
		},
		Kafka: &admin.Kafka{
			State: "away", Severity: admin.Critical, Since: now.Add(-3 * time.Minute), LastError: "kafka-0.kafka:9092: connect: connection refused",
			LastEvent: now.Add(-3 * time.Hour), Topics: 1_012, Lag: 12_345, Gaps: 2,
		},
		AnyClientID: true,
		Limits:      []admin.Limit{{Name: "file descriptors", Limit: 1_048_448, Used: &used}, {Name: "bytes of a CONNECT", Limit: 262_144}},
	}
	s.status.Trust.Refused = []admin.Part{{
		Part: "crl", File: "/certs/ca.crl", Name: "CN=X.509 Identity CA,O=dojot IoT Platform", Since: now.Add(-10 * time.Minute),
		Error: "CRL file /certs/ca.crl: list 1: its signature is not that of CN=X.509 Identity CA,O=dojot IoT Platform",
	}}
	s.status.Trust.Notices = []string{"CRL is not needed and is passed over: file=/certs/ca.crl"}
	s.status.CRLSources = []admin.CRLSource{
		{URL: "http://crl.example.org/plant7.crl", Origin: "leaf", SizeBytes: 40_000_000, Changed: now.Add(-time.Hour), LastSuccess: now.Add(-3 * time.Minute), NextUpdate: now.Add(time.Hour), Severity: admin.OK},
		{URL: "https://ca.example.org/root.crl", Origin: "configured", LastSuccess: now.Add(-3 * time.Hour), Error: "the server answers 503 Service Unavailable", FailingSince: now.Add(-2 * time.Hour), Severity: admin.Critical},
		{URL: "http://crl.example.org/full.crl", Origin: "configured", SizeBytes: 40_000, Changed: now.Add(-time.Hour), LastSuccess: now.Add(-time.Minute), NotKept: "writing to /var/lib/vernegate/crl: no space left on device", Severity: admin.Warning},
	}
	s.status.LastLook = &admin.Look{At: now.Add(-30 * time.Second), Result: "refused", Errors: []string{
		"CRL file /vernemq/cert/ca.crl: list 1: its signature is not that of CN=X.509 Identity CA,O=dojot IoT Platform",
	}}
	for i := range 40 {
		s.crowd.sessions = append(s.crowd.sessions, proxy.SessionInfo{
			ID: proxy.SessionID(1_777_000_000_000_000 + i), Listener: "devices", Remote: fmt.Sprintf("203.0.113.%d:%d", i, 40000+i),
			Since: now.Add(time.Duration(i-40) * time.Minute), TLS: "1.3", Resumed: i%3 == 0, MQTT: []string{"3.1.1", "5.0"}[i%2],
			Fingerprint: fingerprint(fmt.Sprint(i)), Serial: "7f3a", Subject: fmt.Sprintf("CN=acme:lamp-%04d", i), Issuer: "CN=X.509 Identity CA",
			Owner: fmt.Sprintf("%s:lamp-%04d", []string{"acme", "acme", "beta", "gamma"}[i%4], i), ClientID: fmt.Sprintf("lamp-%04d", i), Backend: "10.244.1.17:1883",
		})
	}
	s.crowd.sessions = append(s.crowd.sessions, proxy.SessionInfo{ID: 1_777_000_000_000_099, Listener: "services", Remote: "10.244.0.5:51022",
		Since: now.Add(-time.Minute), TLS: "1.3", MQTT: "5.0", Owner: "v2k-bridge", Subject: "CN=v2k-bridge", ClientID: "v2k-bridge-0", Backend: "10.244.1.17:1883"})
	s.crowd.sessions = append(s.crowd.sessions, proxy.SessionInfo{ID: 1_777_000_000_000_100, Listener: "websocket", Remote: "203.0.113.77:40077", WebSocket: true,
		Since: now.Add(-30 * time.Second), TLS: "1.3", MQTT: "5.0", Owner: "acme:panel", Subject: "CN=acme:panel", ClientID: "panel", Backend: "10.244.1.17:1883"})
	s.crowd.sessions[39].WebSocket = true // on a port for both
	s.refuseForAnHour(now)
	return s
}

// calmSite is a good day: what busySite has, and nothing to be done.
func calmSite(t *testing.T) *site {
	t.Helper()
	s := busySite(t)
	s.cfg.History = &admin.History{}
	now := s.status.Now
	s.refuse(proxy.IdentityUnknown, "stranger", now.Add(-20*time.Minute))
	trust := s.status.Trust
	trust.Refused, trust.Notices = nil, nil
	trust.Certificates[0].NotAfter, trust.Certificates[0].DaysLeft, trust.Certificates[0].Severity = now.Add(60*24*time.Hour), 60, admin.OK
	trust.CRLs[0].ThisUpdate, trust.CRLs[0].NextUpdate, trust.CRLs[0].GoodUntil = now.Add(-25*time.Hour), now.Add(-time.Hour), now.Add(23*time.Hour)
	trust.CRLs[0].Severity = admin.OK // dojot's is late by two hours a day
	s.status.CRLSources = s.status.CRLSources[:1]
	file := s.status.IdentityFile
	file.Refused, file.Errors, file.Notices = false, nil, nil
	kafka := s.status.Kafka
	kafka.State, kafka.Severity, kafka.LastError, kafka.Lag = "well", admin.OK, "", 0
	s.status.LastLook = &admin.Look{At: now.Add(-30 * time.Second), Result: "unchanged"}
	s.status.CertificateACL.LastFailure, s.status.CertificateACL.LastSuccess = now.Add(-26*time.Hour), now.Add(-2*time.Second)
	up := &s.status.Backends[1]
	up.State, up.Severity, up.NextTry, up.Sessions = "up", admin.OK, time.Time{}, 42_109
	return s
}

// drainingSite is calmSite after SIGTERM.
func drainingSite(t *testing.T) *site {
	t.Helper()
	s := calmSite(t)
	s.status.State, s.status.Detail = admin.Draining, "shutting down"
	return s
}

// usedUpSite is calmSite with a small limit of open files.
func usedUpSite(t *testing.T) *site {
	t.Helper()
	s := calmSite(t)
	used := 74
	s.status.State, s.status.Detail = admin.NotReady, "file descriptors have been used up for 2m10s"
	s.status.Limits[0] = admin.Limit{Name: "file descriptors", Limit: 70, Used: &used, UsedUp: "New connections wait until others end."}
	return s
}

// faultySite has four faults at a time: no broker, a certificate-acl that fails, trust files that are refused in part, and a
// server certificate that was not renewed.
func faultySite(t *testing.T) *site {
	t.Helper()
	bad := busySite(t)
	s := calmSite(t)
	now := s.status.Now
	s.status.State, s.status.Detail = admin.NotReady, "no broker has been up for 1m30s"
	s.status.Backends = s.status.Backends[:1]
	b := &s.status.Backends[0]
	b.State, b.Severity, b.Reason, b.Detail, b.Since = "ejected", admin.Critical, "unavailable", "", now.Add(-90*time.Second)
	b.NextTry = now.Add(11 * time.Second)
	acl := s.status.CertificateACL
	acl.LastFailure, acl.LastError, acl.LastDetail = now.Add(-time.Second), "status", "answered 503"
	s.status.Trust.Refused, s.status.LastLook = bad.status.Trust.Refused, bad.status.LastLook
	cert := &s.status.Trust.Certificates[0]
	cert.NotAfter, cert.DaysLeft, cert.Severity = now.Add(2*24*time.Hour+time.Hour), 2, admin.Critical
	s.refuseForAnHour(now)
	return s
}

// refuseForAnHour fills the history as a changing mix of reasons would.
func (s *site) refuseForAnHour(now time.Time) {
	reasons := []proxy.Reason{
		proxy.IdentityUnavailable, proxy.TLSUntrusted, proxy.IdentityUnknown, proxy.TLSRevoked,
		proxy.TLSHandshake, proxy.ConnectMalformed, proxy.OwnerChanged,
	}
	for minute := 60; minute >= 0; minute-- {
		for i, reason := range reasons {
			times := (minute*7+i*13)%(9-i) + 1
			if reason == proxy.IdentityUnavailable && minute > 4 {
				times = 0
			}
			if reason == proxy.IdentityUnavailable {
				times *= 4
			}
			for n := range times {
				s.refuse(reason, fmt.Sprintf("%d-%d", minute, n%3), now.Add(-time.Duration(minute)*time.Minute+time.Duration(i)*time.Second))
			}
		}
	}
}

func (s *site) refuse(reason proxy.Reason, who string, at time.Time) {
	c := proxy.SessionInfo{Listener: "devices", Remote: "198.51.100.23:49152", Since: at.Add(-time.Second), Ended: at, Reason: reason}
	if reason != proxy.TLSHandshake {
		c.Fingerprint, c.Serial = fingerprint(who), "5d8c1f"
		c.Subject, c.Issuer = "CN=acme:sensor-"+who, "CN=X.509 Identity CA,O=dojot IoT Platform"
		c.Verified = reason > proxy.TLSExpired
	}
	switch reason {
	case proxy.IdentityUnavailable:
		c.TLS, c.MQTT, c.ClientID, c.Detail = "1.3", "3.1.1", "sensor-"+who, "certificate-acl did not answer in time: context deadline exceeded"
	case proxy.OwnerChanged:
		c.TLS, c.MQTT, c.ClientID, c.Owner, c.ID = "1.3", "5.0", "sensor-"+who, "acme:sensor-"+who, 1
	case proxy.TLSHandshake:
		c.Detail = "tls: first record does not look like a TLS handshake"
	}
	s.cfg.History.Add(c)
	s.cfg.History.Count(reason, at)
}
