// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vernegate/vernegate/proxy"
)

// What the page shows at most of each.
const (
	refreshEvery  = 15 * time.Second
	shownRefusals = 8 // unless they are searched, or asked for
	shownSessions = 8
	shownTenants  = 8
	shownExpiries = 8
	maxSearch     = 200 // bytes
)

var (
	//go:embed page.html
	pageSource string
	//go:embed page.css
	pageStyle string
	//go:embed icon.svg
	iconSource []byte

	pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
		"number": number, "count": count, "stamp": stamp, "iso": iso, "clock": clock, "day": day, "percent": percent, "meaning": meaning,
	}).Parse(pageSource))

	// pagePolicy allows what is in the page's source and nothing else: one
	// style, the icon, and sending the form back here.
	pagePolicy = "default-src 'none'; style-src 'sha256-" + sha256Base64(pageStyle) +
		"'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

func sha256Base64(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// view is what the page's template shows.
type view struct {
	Status
	Style template.CSS

	// Of this request, and the same page with one of them changed.
	Search            string
	Pause, All        bool
	Toggle, More, Any string
	RefreshEvery      time.Duration

	Attention []attention
	Refused   int // in the last hour
	Chart     *chart
	Refusals  []Refusal
	Found     int // refusals, of which Refusals may be the first ones

	Matching     []proxy.SessionInfo // live sessions that Search names
	MoreMatching bool
	Newest       []proxy.SessionInfo
	Tenants      []tenant
	MoreTenants  int

	Expiries     []expiry
	MoreExpiries int
}

// page is GET /. The parameter q is a text to search for; with all it shows
// every refusal that is remembered, and with pause it does not reload itself.
func (a *server) page(w http.ResponseWriter, r *http.Request) {
	v := a.view(r.URL.Query())
	var b bytes.Buffer // so that what cannot be shown is an error and not half a page
	if err := pageTemplate.Execute(&b, v); err != nil {
		a.Log.Error("status page", "err", err)
		writeText(w, http.StatusInternalServerError, "the status page cannot be shown")
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", pagePolicy)
	if !v.Pause {
		header.Set("Refresh", strconv.Itoa(int(refreshEvery/time.Second)))
	}
	_, _ = b.WriteTo(w)
}

func icon(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Header().Set("Cache-Control", "max-age=86400")
	_, _ = w.Write(iconSource)
}

func (a *server) view(q url.Values) *view {
	v := &view{
		Status:       a.Status(),
		Style:        template.CSS(pageStyle),
		Search:       strings.ToValidUTF8(firstBytes(strings.TrimSpace(q.Get("q")), maxSearch), ""),
		Pause:        q.Has("pause"),
		All:          q.Has("all"),
		RefreshEvery: refreshEvery,
	}
	v.Toggle = link(v.Search, !v.Pause, v.All)
	v.More = link(v.Search, v.Pause, true)
	v.Any = link("", v.Pause, false)
	v.addRefusals(a.History)
	if sessions := a.Sessions(); sessions != nil {
		v.addSessions(sessions)
	}
	all := v.expiries()
	v.addExpiries(all)
	v.Attention = v.Status.attention(all)
	return v
}

func firstBytes(text string, n int) string { return text[:min(len(text), n)] }

// link is where the page is with these parameters.
func link(search string, pause, all bool) string {
	q := url.Values{}
	if search != "" {
		q.Set("q", search)
	}
	if pause {
		q.Set("pause", "")
	}
	if all {
		q.Set("all", "")
	}
	return "/?" + q.Encode()
}

func (v *view) addRefusals(h *History) {
	hour := h.Hour(v.Now)
	v.Chart = newChart(hour, v.Now)
	v.Refused = v.Chart.Total
	all := h.Refusals(v.Search)
	v.Found = len(all)
	if v.Refusals = all; !v.All && v.Search == "" {
		v.Refusals = all[:min(len(all), shownRefusals)]
	}
}

func (v *view) addSessions(sessions Sessions) {
	v.Newest = sessions.Newest(shownSessions)
	v.Tenants, v.MoreTenants = topTenants(sessions.Owners())
	if v.Search != "" {
		v.Matching, v.MoreMatching = sessions.Sessions(searchFilter(v.Search), 0, shownSessions)
	}
}

// searchFilter makes the filter that finds sessions by whatever is known of them; by a whole fingerprint, it does so quickly.
func searchFilter(text string) proxy.Filter {
	if fp, err := parseFingerprint(text); err == nil {
		return proxy.Filter{Fingerprint: fp}
	}
	return proxy.Filter{Text: text}
}
