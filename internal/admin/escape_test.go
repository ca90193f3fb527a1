// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/proxy"
)

var errTwoMistakes = errors.Join(errors.New("one is wrong"), errors.New("another is, too"))

// attacks are what a stranger would put into a name. None of them has what the proxy escapes already.
var attacks = []string{
	`<script>alert(1)</script>`,
	`"><img src=x onerror=alert(1)>`,
	`'onmouseover='alert(1)`,
	`</style><script>alert(1)</script>`,
	`</title></svg><script>alert(1)</script>`,
	`javascript:alert(1)`,
	`{{.Status}}`,
	`--><script>alert(1)</script><!--`,
}

// attacked is a site where everything that comes from outside is the attack.
func attacked(t *testing.T, attack string) *site {
	t.Helper()
	s := newSite(t)
	now := time.Now()
	c := proxy.SessionInfo{
		ID: 1_777_000_000_000_000, Listener: "devices", Remote: "192.0.2.1:1", Since: now, Ended: now, Reason: proxy.IdentityUnknown,
		TLS: "1.3", MQTT: "5.0", Fingerprint: fingerprint(attack), Serial: "1", Backend: "vernemq:1883",
		Owner: attack, ClientID: attack, Subject: attack, Issuer: attack, Detail: attack,
	}
	s.crowd.sessions = []proxy.SessionInfo{c}
	s.cfg.History.Add(c)
	s.status.State, s.status.Host, s.status.Detail = admin.Draining, attack, attack
	s.status.Trust = &admin.Trust{
		Files:        []admin.File{{Path: attack}},
		Certificates: []admin.Certificate{{Kind: admin.KindCA, Subject: attack, NotAfter: now, Severity: admin.Critical}},
		CRLs:         []admin.CRL{{Issuer: attack, File: attack, Number: "1", NextUpdate: now, Severity: admin.Critical}},
	}
	s.status.Trust.Refused = []admin.Part{{Part: "crl", File: attack, Name: attack, Error: attack}}
	s.status.Trust.Notices = []string{attack}
	s.status.LastLook = &admin.Look{Result: "refused", Errors: []string{attack}}
	s.status.CertificateACL = &admin.CertificateACL{URL: attack, LastError: attack, LastFailure: now}
	s.status.IdentityFile = &admin.IdentityFile{Path: attack, Refused: true, Errors: []string{attack}, Notices: []string{attack}}
	s.status.Backends = []admin.Backend{{Address: attack, Name: attack, State: attack, Severity: admin.Critical, Reason: attack, Detail: attack}}
	return s
}

func TestPageEscapesWhatComesFromOutside(t *testing.T) {
	t.Parallel()
	for _, attack := range attacks {
		harmless := "service"
		if strings.Contains(attack, ":") {
			harmless = "tenant:device" // which looks different
		}
		plain := attacked(t, harmless).ask("GET", "/?q="+url.QueryEscape(harmless)).Body.String()
		s := attacked(t, attack)
		w := s.ask("GET", "/?q="+url.QueryEscape(attack))
		if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || got != "text/html; charset=utf-8" {
			t.Fatalf("%s: got %d, %s", attack, w.Code, got)
		}
		body := w.Body.String()
		if strings.Contains(body, attack) && strings.ContainsAny(attack, `<>"'`) {
			t.Errorf("the page has %s as it is", attack)
		}
		for _, mark := range []string{"<", ">", `="`} {
			if got, want := strings.Count(body, mark), strings.Count(plain, mark); got != want {
				t.Errorf("%s: the page has %d of %q, want %d as with a harmless name", attack, got, mark, want)
			}
		}
		if strings.Contains(body, `href="javascript:`) {
			t.Errorf("%s has become a link", attack)
		}
	}
}

func TestJSONEscapesWhatComesFromOutside(t *testing.T) {
	t.Parallel()
	for _, attack := range attacks {
		s := attacked(t, attack)
		for _, path := range []string{"/sessions", "/status"} {
			w := s.ask("GET", path)
			if got := w.Header(); got.Get("Content-Type") != "application/json" || got.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: a browser may take it for %s", path, got.Get("Content-Type"))
			}
			if body := w.Body.String(); strings.ContainsAny(body, "<>&") || !json.Valid([]byte(body)) {
				t.Errorf("%s: has markup in it, or is no JSON: %s", path, body)
			}
		}
		p := decode[page](t, s.ask("GET", "/sessions"), http.StatusOK)
		if c := p.Sessions[0]; c.Owner != attack || c.ClientID != attack || c.Subject != attack {
			t.Errorf("%s came out as %q, %q, %q", attack, c.Owner, c.ClientID, c.Subject)
		}
	}
}

// In a browser, nothing of it runs or loads.
func TestAttacksInABrowser(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	for _, attack := range attacks {
		server := serve(t, attacked(t, attack))
		b.open(server+"/?q="+url.QueryEscape(attack), "light", 1280)
		var active int
		b.eval(`document.querySelectorAll("script, img, iframe, object, embed, [onerror], [onmouseover], [href^='javascript']").length`, &active)
		if active > 0 {
			t.Errorf("%s: the page has %d active elements", attack, active)
		}
		b.checkPage(attack)
	}
	for _, complaint := range b.trouble() {
		t.Errorf("the browser complains: %s", complaint)
	}
}
