// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

const readSecret = "fedcba9876543210"

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// What names devices is for those who show a token, if there is one for reading. Probes and metrics name none.
func TestReadingNeedsATokenWhereThereIsOne(t *testing.T) {
	t.Parallel()
	s := busySite(t)
	s.cfg.ReadToken = mustToken(t, readSecret)
	for _, path := range []string{"/", "/?q=lamp", "/status", "/sessions"} {
		for authorization, want := range map[string]int{
			"":                           http.StatusUnauthorized,
			"Bearer " + readSecret:       http.StatusOK,
			"bearer " + readSecret:       http.StatusOK,
			"Bearer " + secret:           http.StatusOK, // who may change may read
			"Bearer " + readSecret + "x": http.StatusUnauthorized,
			"Bearer":                     http.StatusUnauthorized,
			readSecret:                   http.StatusUnauthorized,
			basic("anybody", readSecret): http.StatusOK, // a browser
			basic("", secret):            http.StatusOK,
			basic(readSecret, ""):        http.StatusUnauthorized,
			"Basic " + readSecret:        http.StatusUnauthorized,
		} {
			got := s.ask("GET", path, "Authorization", authorization)
			if got.Code != want {
				t.Errorf("GET %s with %q: %d, want %d", path, authorization, got.Code, want)
			}
			challenges := strings.Join(got.Header().Values("WWW-Authenticate"), ", ")
			if asks := strings.Contains(challenges, "Bearer") && strings.Contains(challenges, "Basic"); asks != (want == http.StatusUnauthorized) {
				t.Errorf("GET %s with %q: challenges %q", path, authorization, challenges)
			}
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/metrics", "/icon.svg"} {
		if got := s.ask("GET", path); got.Code == http.StatusUnauthorized {
			t.Errorf("GET %s needs a token", path)
		}
	}
}

// A token for reading changes nothing, and neither does a password, which a browser shows by itself.
func TestTokenForReadingChangesNothing(t *testing.T) {
	t.Parallel()
	s := busySite(t)
	s.cfg.ReadToken = mustToken(t, readSecret)
	for _, authorization := range []string{"Bearer " + readSecret, basic("anybody", readSecret), basic("anybody", secret)} {
		for method, path := range map[string]string{"DELETE": "/sessions?owner=a", "POST": "/reload"} {
			if got := s.ask(method, path, "Authorization", authorization); got.Code != http.StatusUnauthorized {
				t.Errorf("%s %s with %q: %d", method, path, authorization, got.Code)
			}
		}
	}
	if len(s.crowd.kicked) > 0 {
		t.Error("sessions were ended")
	}
}

// The token does not open the door to other sites: a page that points a name of its own here gets nothing, token or not.
func TestTokenForReadingIsNoKnownHost(t *testing.T) {
	t.Parallel()
	s := busySite(t)
	s.cfg.ReadToken = mustToken(t, readSecret)
	if got := s.ask("GET", "/status", "Host", "evil.example.org", "Authorization", "Bearer "+readSecret); got.Code != http.StatusMisdirectedRequest {
		t.Errorf("got %d", got.Code)
	}
}
