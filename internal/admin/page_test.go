// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/proxy"
)

// screenshots is the folder that TestPageInABrowser leaves pictures in; unset:
// none.
const screenshots = "SCREENSHOTS"

// lowContrast lists the texts of a page that are hard to read on what is behind
// them: below 4.5 to 1 (WCAG 2.2, 1.4.3). It is written for plain colours.
const lowContrast = `(() => {
  const rgba = text => text.match(/[\d.]+/g).map(Number);
  const luminance = c => { const [r, g, b] = c.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  const found = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n; n = walker.nextNode();) {
    const e = n.parentElement;
    if (!n.data.trim() || e.closest("svg") || e.tagName == "STYLE") continue;
    const [a, b] = [luminance(rgba(getComputedStyle(e).color).slice(0, 3)), luminance(behind(e))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) found.add(ratio.toFixed(2) + " " + n.data.trim().slice(0, 40));
  }
  return [...found];
})()`

// tooWide lists what sticks out of the window.
const tooWide = `[...document.querySelectorAll("body *")]
  .filter(e => !e.closest("svg, .hidden, .cards thead") && e.getBoundingClientRect().right > document.documentElement.clientWidth + .5)
  .map(e => e.tagName + "." + e.className + " " + e.textContent.trim().slice(0, 40))`

func TestPageInABrowser(t *testing.T) {
	t.Parallel()
	sites := map[string]*site{
		"busy": busySite(t), "quiet": newSite(t),
		"ready": calmSite(t), "draining": drainingSite(t), "used-up": usedUpSite(t), "four-faults": faultySite(t),
	}
	b := startBrowser(t)
	for name, s := range sites {
		address := serve(t, s)
		for _, path := range []string{"/", "/?q=sensor-3-1"} {
			if path != "/" && name != "busy" && name != "quiet" {
				continue
			}
			for _, scheme := range []string{"light", "dark"} {
				for _, width := range []int64{360, 1280} {
					shot := fmt.Sprintf("%s%s-%s-%d", name, map[bool]string{true: "-search"}[path != "/"], scheme, width)
					b.open(address+path, scheme, width)
					b.checkPage(shot)
					keep(t, shot+".png", b.screenshot())
				}
			}
		}
	}
	for _, complaint := range b.trouble() {
		t.Errorf("the browser complains: %s", complaint)
	}
}

// checkPage looks at the page that is open.
func (b *browser) checkPage(name string) {
	b.t.Helper()
	var width struct{ Scroll, Client int }
	b.eval(`({Scroll: document.documentElement.scrollWidth, Client: document.documentElement.clientWidth})`, &width)
	if width.Scroll > width.Client {
		b.t.Errorf("%s: %d pixels have to be scrolled sideways", name, width.Scroll-width.Client)
	}
	for what, expression := range map[string]string{"sticks out": tooWide, "has too little contrast": lowContrast} {
		var found []string
		b.eval(expression, &found)
		if len(found) > 0 {
			b.t.Errorf("%s: %s: %q", name, what, found)
		}
	}
	var styled string
	b.eval(`getComputedStyle(document.body).fontVariantNumeric`, &styled)
	if styled != "tabular-nums" {
		b.t.Errorf("%s: the style was not applied", name)
	}
}

// keep writes a picture where SCREENSHOTS says.
func keep(t *testing.T, name string, png []byte) {
	t.Helper()
	dir := os.Getenv(screenshots)
	if dir == "" {
		return
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// serve serves a site until the test ends, and returns its address.
func serve(t *testing.T, s *site) string {
	t.Helper()
	server := httptest.NewServer(admin.New(s.cfg).Handler)
	t.Cleanup(server.Close)
	return server.URL
}

// wantOnPage fails for each text that the page does not show.
func wantOnPage(t *testing.T, body string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(body, text) {
			t.Errorf("the page does not show %q", text)
		}
	}
}

func TestPageAnswersWhyADeviceWasRefused(t *testing.T) {
	t.Parallel()
	s := busySite(t)
	s.refuse(proxy.IdentityUnavailable, "door", s.status.Now.Add(-2*time.Hour)) // too old for the first rows
	fp := fingerprint("door")
	for _, query := range []string{fp, "CN=acme:sensor-door", "sensor-door", strings.ToLower(fp[:20])} {
		body := s.ask("GET", "/?q="+url.QueryEscape(query)).Body.String()
		wantOnPage(t, body, fp, "CN=acme:sensor-door", "client id <bdi>sensor-door", "identity_unavailable",
			"certificate-acl could not tell: timeout, 5xx, or an answer that is none",
			"certificate-acl did not answer in time: context deadline exceeded", "2 h ago", "198.51.100.23")
		if n := strings.Count(body, "<code>"+fp); n != 1 {
			t.Errorf("%s: got %d rows of it, want 1", query, n)
		}
	}
	wantOnPage(t, s.ask("GET", "/?q=nobody").Body.String(), "No recent refusal matches.", "Nothing that is known of a live session has")
}

func TestPageSaysInWhichStateItIs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		site *site
		want []string
	}{
		"ready":       {calmSite(t), []string{`<p class="state ready">ready</p>`, "<title>vernegate vernemq-0</title>"}},
		"draining":    {drainingSite(t), []string{`<p class="state draining">draining</p>`, "(1) vernegate", `<li class="soon"><bdi>Draining: new devices are sent elsewhere.`}},
		"used up":     {usedUpSite(t), []string{`<p class="state unready">unready</p>`, "(2) vernegate", `<tr class="over"><th scope="row">file descriptors</th><td class="n end">74</td>`, "File descriptors are used up: 74 of 70. New connections wait until others end.", "Not ready: file descriptors have been used up for 2m10s. New devices are sent elsewhere."}},
		"four faults": {faultySite(t), []string{`<p class="state unready">unready</p>`, "(5) vernegate", "no broker has been up for 1m30s", "certificate-acl answered 503", "Backend 10.244.1.17:1883 is ejected.", "The trust files are refused in part", "The server certificate CN=vernemq-0 expires in 2 days."}},
	} {
		wantOnPage(t, html.UnescapeString(test.site.ask("GET", "/").Body.String()), test.want...)
		if name == "ready" && strings.Contains(test.site.ask("GET", "/").Body.String(), "attention\"") {
			t.Error("something needs attention where nothing is")
		}
	}
}

func TestPageShowsWhatNeedsAttention(t *testing.T) {
	t.Parallel()
	s := busySite(t)
	s.status.OCSP.Issuers[1].InARow = 40
	s.status.Trust.Refused = append(s.status.Trust.Refused, admin.Part{Part: "acl_token", File: "/acl/token"}, admin.Part{Part: "novelty", File: "/a/file"})
	s.status.State, s.status.Detail = admin.Draining, "shutting down"
	used := 95
	s.status.Limits = []admin.Limit{
		{Name: "sessions", Limit: 100, Used: &used}, {Name: "owners", Used: &used},
		{Name: "file descriptors", Limit: 90, Used: &used, UsedUp: "New connections wait until others end."},
	}
	body := html.UnescapeString(s.ask("GET", "/").Body.String())
	wantOnPage(t, body, "(15) vernegate vernemq-0", "The CRL at http://crl.example.org/full.crl is in use, but cannot be kept on the disk.", "no space left on device",
		"The trust files are refused in part: CRL in /certs/ca.crl, since 2026-05-01 ", "its signature is not that of",
		"refused in part: token for certificate-acl in /acl/token, since", "refused in part: novelty in /a/file, since",
		"The CRL at https://ca.example.org/root.crl cannot be fetched, since 2026-05-01 11:37:42 UTC.", "the server answers 503 Service Unavailable", "http://crl.example.org/plant7.crl",
		"delta to 1830",
		"<summary>1 notice about what was read</summary>", "CRL is not needed",
		"certificate-acl did not answer in time, 4 s ago.", "Looked at</dt><dd>30 s ago: something is refused",
		"The OCSP responder of CN=Vendor CA fails. Devices whose status is not remembered are refused.", `signer "CN=responder" is valid from`,
		"The file of owners /etc/vernegate/owners.map is refused, since 2026-05-01 13:32:42 UTC. The last good one stays in use",
		"line 1204118: expected a key", "<dd>1\u202f204\u202f117</dd>", "1 line is of no use", "line 7: the owner contains '+'",
		"as each certificate names it", "ocsp.example.org", "timeout, 60 min ago",
		"Backend 10.244.2.9:1883 is ejected.", "<code>dial</code>", "connection refused",
		"The CRL of CN=X.509 Identity CA,O=dojot IoT Platform should have been replaced 21 h ago. It is still used, until 2026-05-01 16:37:42 UTC.",
		"The server certificate CN=vernemq-0 expires in 9 days.",
		"Draining: new devices are sent elsewhere.",
		"Sessions are nearly used up: 95 of 100.", "File descriptors are used up: 95 of 90. New connections wait until others end.", "Any owner may use any client id",
		"Kafka is away, for 3 min. Devices that are taken from their owner stay until they are asked for again.", "kafka-0.kafka:9092: connect: connection refused",
		"21 h ago</span> CRL was due", "<dd>12\u202f345</dd>", "61\u202f204", "<small>websocket</small>", "<small>devices · WebSocket</small>",
	)
	if strings.Contains(body, "Owners are nearly") {
		t.Error("what has no limit is nearly used up")
	}
	if strings.Index(body, "should have been replaced") > strings.Index(body, "expires in 9 days") {
		t.Error("what is near comes before what is over")
	}
	if body := newSite(t).ask("GET", "/").Body.String(); strings.Contains(body, "attention\"") {
		t.Error("something needs attention where nothing is")
	}
}

// The list of what ends shows a few. What needs attention may be behind those.
func TestPageWarnsOfWhatIsNotInTheList(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	now := time.Now()
	s.status.Trust = &admin.Trust{Certificates: []admin.Certificate{
		{Kind: admin.KindServer, Subject: "CN=gate", NotAfter: now.Add(36 * time.Hour), Severity: admin.Critical},
	}}
	for range 20 {
		s.status.Trust.CRLs = append(s.status.Trust.CRLs, admin.CRL{Issuer: "CN=plant", NextUpdate: now.Add(time.Hour), Severity: admin.OK})
	}
	wantOnPage(t, s.ask("GET", "/").Body.String(), "The server certificate CN=gate expires")
}

func TestPageShowsWhoIsConnected(t *testing.T) {
	t.Parallel()
	s := busySite(t)
	wantOnPage(t, s.ask("GET", "/").Body.String(),
		`<bdi>acme</bdi></th><td class="n">21</td><td class="n">21</td><td class="n">50 %</td>`,
		`<bdi>v2k-bridge</bdi> <small class="tag">service</small>`, "84\u202f213", "203.0.113.39:40039")
	for _, text := range []string{"v2k-bridge", "V2K", "CN=v2k", "bridge-0", "10.244.0.5", "10.244.0.0/24", "51022", s.crowd.sessions[40].ID.String(), " v2k-bridge "} {
		body := s.ask("GET", "/?q="+url.QueryEscape(text)).Body.String()
		if strings.Contains(body, "Nothing that is known") {
			t.Errorf("%q finds nothing", text)
		}
		wantOnPage(t, body, "<h2>Connected now</h2>", "10.244.0.5:51022")
	}
	wantOnPage(t, s.ask("GET", "/?q=gamma:").Body.String(), "gamma:lamp-0003", "There are more.")
}

func TestPageRefreshesItselfUnlessPaused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	running, paused := s.ask("GET", "/?q=a+b&all="), s.ask("GET", "/?q=a+b&all=&pause=")
	if got := running.Header().Get("Refresh"); got != "15" {
		t.Errorf("refreshes after %q s, want 15", got)
	}
	if got := paused.Header().Get("Refresh"); got != "" {
		t.Errorf("refreshes after %q s while it is paused", got)
	}
	wantOnPage(t, running.Body.String(), `href="/?all=&amp;pause=&amp;q=a&#43;b">pause`)
	wantOnPage(t, paused.Body.String(), `href="/?all=&amp;q=a&#43;b">resume`, `<input type="hidden" name="pause">`)
}

func TestPageShowsAllRefusalsWhenAsked(t *testing.T) {
	t.Parallel()
	s := busySite(t)
	few, all := s.ask("GET", "/").Body.String(), s.ask("GET", "/?all=").Body.String()
	wantOnPage(t, few, `<a href="/?all=">All `)
	if a, b := strings.Count(few, `data-label="Times"`), strings.Count(all, `data-label="Times"`); a != 8 || b <= 100 {
		t.Errorf("got %d rows, and %d of all", a, b)
	}
}

func TestAnAnswerThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.status.Trust = &admin.Trust{CRLs: []admin.CRL{{NextUpdate: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}}}
	got := decode[errorList](t, s.ask("GET", "/status"), http.StatusInternalServerError)
	if len(got.Errors) == 0 {
		t.Error("it does not say why")
	}
}

func TestStatusIsTheDocument(t *testing.T) {
	t.Parallel()
	s := busySite(t)
	got := decode[admin.Status](t, s.ask("GET", "/status"), 200)
	if !reflect.DeepEqual(got, s.status) {
		t.Errorf("got %+v, want %+v", got, s.status)
	}
}
