// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/internal/admin"
)

func TestHealthByState(t *testing.T) {
	t.Parallel()
	ready, waiting, hung := newSite(t), newSite(t), newSite(t)
	waiting.cfg.Ready = func() error { return errNotReady }
	hung.cfg.Live = func() error { return errors.New("a loop hangs") }
	for _, row := range []struct {
		site   *site
		path   string
		status int
		body   string
	}{
		{ready, "/livez", http.StatusOK, "ok\n"},
		{ready, "/readyz", http.StatusOK, "ok\n"},
		{waiting, "/livez", http.StatusOK, "ok\n"},
		{waiting, "/readyz", http.StatusServiceUnavailable, errNotReady.Error() + "\n"},
		{hung, "/livez", http.StatusServiceUnavailable, "a loop hangs\n"},
		{ready, "/nothing", http.StatusNotFound, "404 page not found\n"},
		{ready, "/livez/x", http.StatusNotFound, "404 page not found\n"},
	} {
		got := row.site.ask(http.MethodGet, row.path)
		if got.Code != row.status || got.Body.String() != row.body {
			t.Errorf("GET %s: %d %q, want %d %q", row.path, got.Code, got.Body, row.status, row.body)
		}
	}
}

// changing lists what needs the token.
var changing = [][2]string{
	{"DELETE", "/sessions?owner=acme:lamp"}, {"POST", "/reload"}, {"POST", "/identities/invalidate?all"},
	{"GET", "/debug/pprof/"}, {"GET", "/debug/pprof/cmdline"}, {"GET", "/debug/pprof/goroutine"}, {"GET", "/debug/pprof/symbol"},
	{"GET", "/debug/pprof/profile?seconds=1"}, {"GET", "/debug/pprof/trace?seconds=1"},
}

func TestChangesNeedTheToken(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		authorization string
		challenge     string
	}{
		{"", `Bearer realm="vernegate"`},
		{"Basic " + secret, `Bearer realm="vernegate"`},
		{"Bearer", `Bearer realm="vernegate", error="invalid_token"`},
		{"Bearer ", `Bearer realm="vernegate", error="invalid_token"`},
		{"Bearer " + secret[1:], `Bearer realm="vernegate", error="invalid_token"`},
		{"Bearer " + secret + " ", `Bearer realm="vernegate", error="invalid_token"`},
		{"Bearer " + strings.ToUpper(secret), `Bearer realm="vernegate", error="invalid_token"`},
	} {
		s := newSite(t)
		for _, call := range changing {
			got := s.ask(call[0], call[1], "Authorization", row.authorization)
			if got.Code != http.StatusUnauthorized || got.Header().Get("WWW-Authenticate") != row.challenge {
				t.Errorf("%s %s with %q: %d and %q, want 401 and %q", call[0], call[1], row.authorization,
					got.Code, got.Header().Get("WWW-Authenticate"), row.challenge)
			}
		}
		if len(s.crowd.kicked) > 0 {
			t.Errorf("%q has ended sessions", row.authorization)
		}
	}
}

func TestWithoutATokenNothingChanges(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.cfg.Token = admin.Token{}
	for _, call := range changing {
		for _, authorization := range []string{"", "Bearer ", "Bearer " + secret} {
			got := s.ask(call[0], call[1], "Authorization", authorization)
			if got.Code != http.StatusForbidden || !strings.Contains(got.Body.String(), "VERNEGATE_ADMIN_TOKEN is not set") {
				t.Errorf("%s %s with %q: %d %q, want 403 and why", call[0], call[1], authorization, got.Code, got.Body)
			}
		}
	}
	if len(s.crowd.kicked) > 0 {
		t.Error("sessions have ended")
	}
}

func TestTheTokenIsEnough(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, call := range [][2]string{{"DELETE", "/sessions?owner=acme:lamp"}, {"POST", "/reload"}, {"GET", "/debug/pprof/"}} {
		if got := s.ask(call[0], call[1], "Authorization", "bearer "+secret); got.Code != http.StatusOK {
			t.Errorf("%s %s: %d %s", call[0], call[1], got.Code, got.Body)
		}
	}
}

// A page of another site may send requests from an operator's browser; if the browser said so, not even the token
// would help.
func TestOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	got := s.ask("POST", "/reload", "Authorization", "Bearer "+secret, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
	if got.Code != http.StatusForbidden {
		t.Errorf("got %d, want %d", got.Code, http.StatusForbidden)
	}
	for name := range s.ask("OPTIONS", "/sessions", "Origin", "https://evil.example").Header() {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("the answer has %s", name)
		}
	}
}

func TestWrongMethodsAreToldTheRightOnes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for path, want := range map[string]string{
		"/": "GET, HEAD", "/livez": "GET, HEAD", "/readyz": "GET, HEAD", "/metrics": "GET, HEAD", "/status": "GET, HEAD",
		"/sessions": "DELETE, GET, HEAD", "/reload": "POST", "/debug/pprof/": "GET, HEAD",
	} {
		got := s.ask("PUT", path)
		if got.Code != http.StatusMethodNotAllowed || got.Header().Get("Allow") != want {
			t.Errorf("PUT %s: %d, Allow: %s, want 405 and %s", path, got.Code, got.Header().Get("Allow"), want)
		}
	}
}

func TestEveryAnswerIsHardened(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, path := range []string{"/", "/livez", "/readyz", "/metrics", "/status", "/sessions", "/reload", "/nothing", "/icon.svg"} {
		header := s.ask("GET", path).Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if policy := header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
	}
}

func TestTokenSyntax(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "short", "0123456789abcde", "with white space in it", "correct-horse\x00battery", "šifra-šifra-šifra"} {
		var token admin.Token
		err := token.UnmarshalText([]byte(text))
		if err == nil || token.IsSet() {
			t.Errorf("%q was accepted", text)
		} else if text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q is quoted in %q", text, err)
		}
	}
	s := newSite(t)
	s.cfg.Token = mustToken(t, " "+secret+"\n") // as a file ends
	if got := s.order("POST", "/reload"); got.Code != http.StatusOK {
		t.Errorf("got %d with a token that had white space around it", got.Code)
	}
}
