// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/proxy"
)

// decode reads the JSON of an answer, which must have this status.
func decode[T any](t *testing.T, w *httptest.ResponseRecorder, status int) (document T) {
	t.Helper()
	if got := w.Header().Get("Content-Type"); w.Code != status || got != "application/json" {
		t.Fatalf("got %d, %s, %s; want %d and JSON", w.Code, got, w.Body, status)
	}
	d := json.NewDecoder(iotest.OneByteReader(w.Body))
	d.DisallowUnknownFields()
	if err := d.Decode(&document); err != nil {
		t.Fatal(err)
	}
	return document
}

type page struct {
	Sessions []proxy.SessionInfo
	Next     string
}

type errorList struct{ Errors []string }

func TestSessionsInPages(t *testing.T) {
	t.Parallel()
	s := busySite(t)
	var owners []string
	path := "/sessions?limit=16"
	for pages := 1; ; pages++ {
		p := decode[page](t, s.ask("GET", path), http.StatusOK)
		for _, c := range p.Sessions {
			owners = append(owners, c.Owner)
		}
		if p.Next == "" {
			if pages != 3 {
				t.Errorf("got %d pages of 16 for %d sessions", pages, len(s.crowd.sessions))
			}
			break
		}
		path = "/sessions?limit=16&after=" + p.Next
	}
	for i, c := range s.crowd.sessions {
		if i >= len(owners) || owners[i] != c.Owner {
			t.Fatalf("got owners %q, want those of all sessions in their order", owners)
		}
	}
	if p := decode[page](t, s.ask("GET", "/sessions?owner=v2k-bridge"), http.StatusOK); len(p.Sessions) != 1 || p.Next != "" {
		t.Errorf("got %d sessions of an owner who has one", len(p.Sessions))
	}
}

func TestKickPassesTheFilterOn(t *testing.T) {
	t.Parallel()
	fp := fingerprint("lamp")
	var want proxy.Filter
	services := proxy.Services
	for query, change := range map[string]func(*proxy.Filter){
		"owner=acme:lamp":             func(f *proxy.Filter) { f.Owner = "acme:lamp" },
		"fingerprint=" + fp:           func(f *proxy.Filter) { f.Fingerprint = mustFingerprint(fp) },
		"id=hhw6j37wo1":               func(f *proxy.Filter) { _ = f.ID.UnmarshalText([]byte("hhw6j37wo1")) },
		"client_id=c-1":               func(f *proxy.Filter) { f.ClientID = "c-1" },
		"ip=192.0.2.1":                func(f *proxy.Filter) { f.Address = netip.MustParsePrefix("192.0.2.1/32") },
		"ip=10.0.0.0/8&forget=false":  func(f *proxy.Filter) { f.Address = netip.MustParsePrefix("10.0.0.0/8") },
		"owner=a&ip=192.0.2.1":        func(f *proxy.Filter) { f.Owner, f.Address = "a", netip.MustParsePrefix("192.0.2.1/32") },
		"owner=a&ip=::ffff:192.0.2.1": func(f *proxy.Filter) { f.Owner, f.Address = "a", netip.MustParsePrefix("192.0.2.1/32") },
		"owner=a&ip=2001:db8::/32":    func(f *proxy.Filter) { f.Owner, f.Address = "a", netip.MustParsePrefix("2001:db8::/32") },
		"owner=a&listener=services":   func(f *proxy.Filter) { f.Owner, f.Listener = "a", &services },
		"fingerprint=" + strings.ToLower(strings.ReplaceAll(fp, ":", "")): func(f *proxy.Filter) { f.Fingerprint = mustFingerprint(fp) },
	} {
		s := busySite(t)
		got := decode[struct{ Ended int }](t, s.order("DELETE", "/sessions?"+query), http.StatusOK)
		want = proxy.Filter{}
		change(&want)
		if got.Ended != len(s.crowd.sessions) || len(s.crowd.kicked) != 1 || !reflect.DeepEqual(s.crowd.kicked[0], want) {
			t.Errorf("%s: ended %d of %+v, want %+v", query, got.Ended, s.crowd.kicked, want)
		}
	}
}

// Who is ended with forget=true is asked about anew: the certificates of the sessions, and those that are named.
func TestKickForgets(t *testing.T) {
	t.Parallel()
	of, named := mustFingerprint(fingerprint("of a session")), mustFingerprint(fingerprint("lamp"))
	for query, want := range map[string]struct {
		certs  []pki.Fingerprint
		owners []string
		count  int
	}{
		"client_id=c-1":                    {[]pki.Fingerprint{of}, nil, 1},
		"ip=192.0.2.0/24":                  {[]pki.Fingerprint{of}, nil, 1},
		"fingerprint=" + named.String():    {[]pki.Fingerprint{named, of}, nil, 2},
		"owner=acme:lamp":                  {[]pki.Fingerprint{of}, []string{"acme:lamp"}, 3},
		"owner=acme:lamp&ip=192.0.2.1":     {[]pki.Fingerprint{of}, nil, 1},
		"owner=acme:lamp&listener=devices": {[]pki.Fingerprint{of}, nil, 1},
	} {
		s := busySite(t)
		var certs []pki.Fingerprint
		var owners []string
		s.cfg.Forget = func(fp pki.Fingerprint) bool {
			if len(s.crowd.kicked) > 0 {
				t.Errorf("%s: forgotten after the sessions had ended", query)
			}
			certs = append(certs, fp)
			return true
		}
		s.cfg.ForgetOwner = func(owner string) int { owners = append(owners, owner); return 2 }
		got := decode[struct{ Ended, Forgotten int }](t, s.order("DELETE", "/sessions?forget=true&"+query), http.StatusOK)
		if !slices.Equal(certs, want.certs) || !slices.Equal(owners, want.owners) || got.Forgotten != want.count || got.Ended != len(s.crowd.sessions) {
			t.Errorf("%s: forgot %v and %q, answered %+v", query, certs, owners, got)
		}
	}
}

// Without the word nothing is forgotten, and nothing is said about it.
func TestKickAloneForgetsNothing(t *testing.T) {
	t.Parallel()
	s := busySite(t) // whose Forget would panic
	if got := s.order("DELETE", "/sessions?owner=a").Body.String(); strings.Contains(got, "forgotten") {
		t.Errorf("got %s", got)
	}
}

func TestSessionsOfAClientID(t *testing.T) {
	t.Parallel()
	s := busySite(t)
	decode[page](t, s.ask("GET", "/sessions?client_id=c-1"), http.StatusOK)
	if got := s.crowd.asked.ClientID; got != "c-1" {
		t.Errorf("asked for client id %q", got)
	}
}

func mustFingerprint(text string) (fp pki.Fingerprint) {
	for i := range fp {
		const digits = "0123456789ABCDEF"
		fp[i] = byte(strings.IndexByte(digits, text[3*i])<<4 | strings.IndexByte(digits, text[3*i+1]))
	}
	return fp
}

// A script whose variable is empty, or a misspelt parameter, must not end everybody's session.
func TestVagueRequestsEndNothing(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"":                   "say whose sessions to end: with owner, client_id, fingerprint, id, or ip (which must not be all addresses)",
		"listener=devices":   "say whose sessions to end: with owner, client_id, fingerprint, id, or ip (which must not be all addresses)",
		"ip=0.0.0.0/0":       "say whose sessions to end: with owner, client_id, fingerprint, id, or ip (which must not be all addresses)",
		"ip=::/0":            "say whose sessions to end: with owner, client_id, fingerprint, id, or ip (which must not be all addresses)",
		"forget=true":        "say whose sessions to end: with owner, client_id, fingerprint, id, or ip (which must not be all addresses)",
		"client_id=":         "client_id: is empty",
		"owner=a&forget=yes": "forget: expected true or false",
		"owner=a&forget=":    "forget: expected true or false\nforget: is empty",
		"owner=":             "owner: is empty",
		"owner=a&ownr=b":     `"ownr": no such parameter`,
		"owner=a&owner=b":    "owner: expected once",
		"owner=a&limit=1":    `"limit": no such parameter`,
		"owner=a&ip=50%":     `invalid URL escape "%"`,
		"owner=a&ip=::1;":    "invalid semicolon separator in query",
		"id=_":               `id: "_" is no session id`,
		"fingerprint=AB:CD":  "fingerprint: expected the SHA-256 of a certificate, 64 hexadecimal digits",
		"fingerprint=" + strings.Repeat("0", 64) + "&ip=10.0.0.0/8": "fingerprint: no certificate has this SHA-256",
		"owner=a&ip=localhost":          "ip: expected an address such as 192.0.2.1 or a prefix such as 192.0.2.0/24",
		"owner=a&listener=admin&ip=300": "ip: expected an address such as 192.0.2.1 or a prefix such as 192.0.2.0/24\nlistener: expected devices, services or websocket",
	} {
		s := busySite(t)
		got := decode[errorList](t, s.order("DELETE", "/sessions?"+query), http.StatusBadRequest)
		if text := strings.Join(got.Errors, "\n"); text != want || len(s.crowd.kicked) > 0 {
			t.Errorf("DELETE /sessions?%s: got %q and %d kicks, want %q and none", query, text, len(s.crowd.kicked), want)
		}
	}
}

func TestPagesAreBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, query := range []string{"limit=0", "limit=1001", "limit=x", "after=0", "after=-1", "after=nonsense", "after=zzzzzzzzzz", "after=HHW6J37WO1", "client_id=", "limit=", "nonsense=1"} {
		decode[errorList](t, s.ask("GET", "/sessions?"+query), http.StatusBadRequest)
	}
}

func TestBeforeTheStart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.cfg.Sessions = func() admin.Sessions { return nil }
	s.reload = admin.ErrNotStarted
	decode[errorList](t, s.ask("GET", "/sessions"), http.StatusServiceUnavailable)
	decode[errorList](t, s.order("DELETE", "/sessions?owner=a"), http.StatusServiceUnavailable)
	decode[errorList](t, s.order("POST", "/reload"), http.StatusConflict)
	if got := s.ask("GET", "/"); got.Code != http.StatusOK {
		t.Errorf("GET /: %d", got.Code)
	}
}

func TestReloadTellsWhatCameOfIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if got := decode[admin.Reloaded](t, s.order("POST", "/reload"), http.StatusOK); got != (admin.Reloaded{Generation: 7, Changed: true}) {
		t.Errorf("got %+v", got)
	}
	s.reload = errTwoMistakes
	got := decode[errorList](t, s.order("POST", "/reload"), http.StatusUnprocessableEntity)
	if len(got.Errors) != 2 || got.Errors[0] != "one is wrong" || got.Errors[1] != "another is, too" {
		t.Errorf("got %q, want a line for each mistake", got.Errors)
	}
}
