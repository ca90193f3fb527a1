// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/internal/pki"
)

// withIdentities gives a site an identity of the certificate "lamp", and returns what it was told to forget.
func withIdentities(s *site) *[]admin.Invalidation {
	var told []admin.Invalidation
	lamp := mustFingerprint(fingerprint("lamp"))
	since := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	s.cfg.Identity = func(fp pki.Fingerprint) (admin.Identity, error) {
		if fp != lamp {
			return admin.Identity{Fingerprint: fp}, nil
		}
		return admin.Identity{
			Fingerprint: fp, Remembered: true, Owned: true, Owner: "acme:<lamp>", Source: "kafka", Since: since, AgeSeconds: 12.5,
			FreshUntil: since.Add(time.Minute), UsableUntil: since.Add(time.Hour), Sessions: 2,
		}, nil
	}
	s.cfg.Invalidate = func(of admin.Invalidation) (admin.Invalidated, error) {
		told = append(told, of)
		return admin.Invalidated{Forgotten: 3, Sessions: 2}, nil
	}
	return &told
}

func TestIdentityIsShown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	withIdentities(s)
	lamp := fingerprint("lamp")
	got := s.ask("GET", "/identities?fingerprint="+lamp)
	var found admin.Identity
	if err := json.Unmarshal(got.Body.Bytes(), &struct {
		Owner      *string
		Remembered *bool
		Source     *string
		Age        *float64 `json:"age_seconds"`
	}{&found.Owner, &found.Remembered, &found.Source, &found.AgeSeconds}); err != nil || got.Code != http.StatusOK {
		t.Fatalf("%d %s: %v", got.Code, got.Body, err)
	}
	if found.Owner != "acme:<lamp>" || !found.Remembered || found.Source != "kafka" || found.AgeSeconds != 12.5 {
		t.Errorf("got %s", got.Body)
	}
	if got := s.ask("GET", "/identities?fingerprint="+fingerprint("door")); got.Code != http.StatusOK || !strings.Contains(got.Body.String(), `"remembered": false`) {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	for _, wrong := range []string{"", "?fingerprint=", "?fingerprint=AA", "?owner=acme:lamp", "?fingerprint=" + lamp + "&limit=1", "?fingerprint=" + lamp + "&fingerprint=" + lamp} {
		if got := s.ask("GET", "/identities"+wrong); got.Code != http.StatusBadRequest {
			t.Errorf("GET /identities%s: %d %s", wrong, got.Code, got.Body)
		}
	}
}

func TestInvalidate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	told := withIdentities(s)
	var audit bytes.Buffer
	s.cfg.Audit = slog.New(slog.NewTextHandler(&audit, nil))
	lamp := fingerprint("lamp")
	for query, want := range map[string]admin.Invalidation{
		"fingerprint=" + lamp: {Fingerprint: mustFingerprint(lamp)},
		"owner=acme:lamp":     {Owner: "acme:lamp"},
		"all":                 {All: true},
		"all=true":            {All: true},
	} {
		*told = nil
		got := s.order("POST", "/identities/invalidate?"+query)
		if got.Code != http.StatusOK || len(*told) != 1 || (*told)[0] != want {
			t.Errorf("%s: %d, told %+v, want %+v", query, got.Code, *told, want)
		}
		if !strings.Contains(got.Body.String(), `"forgotten": 3`) || !strings.Contains(got.Body.String(), `"sessions": 2`) {
			t.Errorf("%s: %s", query, got.Body)
		}
	}
	if n := strings.Count(audit.String(), "identities forgotten by an operator"); n != 4 || strings.Contains(audit.String(), secret) {
		t.Errorf("audit has %d lines:\n%s", n, &audit)
	}
	*told = nil
	for _, wrong := range []string{"", "all=false", "all=no", "owner=", "fingerprint=AA", "fingerprint=" + strings.Repeat("00", 32), "all&owner=a", "owner=a&fingerprint=" + lamp, "owner=a&owner=b", "id=1", "ip=192.0.2.1", "everything"} {
		if got := s.order("POST", "/identities/invalidate?"+wrong); got.Code != http.StatusBadRequest {
			t.Errorf("%q: %d %s", wrong, got.Code, got.Body)
		}
	}
	if got := s.ask("POST", "/identities/invalidate?all", "Authorization", "Bearer "+secret, "Host", "rebound.example"); got.Code != http.StatusMisdirectedRequest && got.Code != http.StatusForbidden {
		t.Errorf("by another name: %d", got.Code)
	}
	if len(*told) > 0 {
		t.Errorf("told %+v", *told)
	}
}

func TestInvalidateBeforeTheStart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.cfg.Identity = func(pki.Fingerprint) (admin.Identity, error) { return admin.Identity{}, admin.ErrNotStarted }
	s.cfg.Invalidate = func(admin.Invalidation) (admin.Invalidated, error) { return admin.Invalidated{}, admin.ErrNotStarted }
	if got := s.order("POST", "/identities/invalidate?all"); got.Code != http.StatusConflict {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	if got := s.ask("GET", "/identities?fingerprint="+fingerprint("lamp")); got.Code != http.StatusServiceUnavailable {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}

// submit sends the form of the page.
func (s *site) submit(form url.Values, header ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	if s.handler == nil {
		s.handler = admin.New(s.cfg).Handler
	}
	r := httptest.NewRequest("POST", "/identities/invalidate", strings.NewReader(form.Encode()))
	r.Host = "127.0.0.1:8885"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// An operator with a browser comes from the row of a device, and shows the token in a form.
func TestAskAgainFromThePage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	told := withIdentities(s)
	lamp := fingerprint("lamp")
	page := s.ask("GET", "/identities/invalidate?fingerprint="+lamp)
	for _, want := range []string{lamp, "acme:&lt;lamp&gt;", "kafka", `action="/identities/invalidate"`, `type="password"`} {
		if !strings.Contains(page.Body.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, page.Body)
		}
	}
	if policy := page.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self'") {
		t.Errorf("its policy is %q", policy)
	}
	done := s.submit(url.Values{"fingerprint": {lamp}, "token": {secret}}, "Authorization", "Basic eDp5") // as a browser adds for reading
	if done.Code != http.StatusOK || len(*told) != 1 || (*told)[0].Fingerprint != mustFingerprint(lamp) || !strings.Contains(done.Body.String(), "Forgotten") {
		t.Errorf("%d, told %+v\n%s", done.Code, *told, done.Body)
	}
	*told = nil
	for _, got := range []*httptest.ResponseRecorder{
		s.submit(url.Values{"fingerprint": {lamp}, "token": {"wrong-horse-battery-staple"}}),
		s.submit(url.Values{"fingerprint": {lamp}}),
		s.submit(url.Values{"fingerprint": {lamp}, "token": {secret}}, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"),
		s.submit(url.Values{"fingerprint": {strings.Repeat("A", 10_000)}, "token": {secret}}),
	} {
		if got.Code < 400 {
			t.Errorf("%d %s", got.Code, got.Body)
		}
	}
	if len(*told) > 0 {
		t.Errorf("told %+v", *told)
	}
}

// Proxies log addresses: whoever shows the token in one has not shown it.
func TestTokenInTheAddressDoesNotCount(t *testing.T) {
	t.Parallel()
	s := busySite(t)
	told := withIdentities(s)
	var audit bytes.Buffer
	s.cfg.Audit = slog.New(slog.NewTextHandler(&audit, nil))
	s.cfg.ReadToken = mustToken(t, readSecret)
	lamp := fingerprint("lamp")
	for method, paths := range map[string][]string{
		"POST":   {"/identities/invalidate?all&", "/identities/invalidate?fingerprint=" + lamp + "&", "/reload?"},
		"DELETE": {"/sessions?owner=acme:lamp&"},
		"GET":    {"/?", "/status?", "/sessions?", "/identities?fingerprint=" + lamp + "&", "/identities/invalidate?fingerprint=" + lamp + "&", "/debug/pprof/?", "/debug/pprof/cmdline?"},
	} {
		for _, path := range paths {
			for _, name := range []string{"token", "access_token"} {
				if got := s.ask(method, path+name+"="+secret); got.Code != http.StatusUnauthorized {
					t.Errorf("%s %s%s=…: %d", method, path, name, got.Code)
				}
			}
		}
	}
	if got := s.order("POST", "/identities/invalidate?all&token="+secret); got.Code != http.StatusBadRequest || strings.Contains(got.Body.String(), secret) {
		t.Errorf("with the right header as well: %d %s", got.Code, got.Body)
	}
	if len(*told) > 0 || len(s.crowd.kicked) > 0 || strings.Contains(audit.String(), secret) {
		t.Errorf("told %+v, ended %+v\n%s", *told, s.crowd.kicked, &audit)
	}
}
