// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bytes"
	_ "embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
)

// Identity is what is remembered of who owns a certificate, and the document of GET /identities.
type Identity struct {
	Fingerprint pki.Fingerprint `json:"fingerprint"`
	Remembered  bool            `json:"remembered"` // else the owner is asked for when it is needed, and the rest is absent
	Owned       bool            `json:"owned"`      // it has an owner; false = it is known to have none, or nothing is remembered
	Owner       string          `json:"owner,omitempty"`
	Source      string          `json:"source,omitempty"` // "certificate-acl", or "kafka" when an event has told it
	Since       time.Time       `json:"since,omitzero"`   // when it was asked for, or told
	AgeSeconds  float64         `json:"age_seconds,omitempty"`
	FreshUntil  time.Time       `json:"fresh_until,omitzero"`  // then it is asked for again
	UsableUntil time.Time       `json:"usable_until,omitzero"` // it counts until then when asking fails
	Sessions    int             `json:"sessions"`              // live ones of the certificate, 1000 at most
}

// Invalidation says which identities are to be forgotten: one of its fields is set.
type Invalidation struct {
	Fingerprint pki.Fingerprint
	Owner       string
	All         bool
}

// Invalidated is what came of it, and the document of POST /identities/invalidate.
type Invalidated struct {
	Forgotten     int     `json:"forgotten"`                // certificates of which something was remembered
	Sessions      int     `json:"sessions"`                 // live ones whose owner is asked for anew
	WithinSeconds float64 `json:"within_seconds,omitempty"` // the time over which that is spread; 0 = at once
}

var (
	errWhichIdentity = errors.New("say which certificate: with fingerprint")
	errWhichOnes     = errors.New("say what to forget: with fingerprint, with owner, or with all")
)

// identities is GET /identities.
func (a *server) identities(w http.ResponseWriter, r *http.Request) {
	fp, err := whichIdentity(r)
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	found, err := a.Identity(fp)
	if err != nil {
		writeError(w, http.StatusServiceUnavailable, err)
		return
	}
	writeJSON(w, http.StatusOK, found)
}

// whichIdentity returns the certificate that a request is about, by the parameter fingerprint.
func whichIdentity(r *http.Request) (pki.Fingerprint, error) {
	q := queryOf(r)
	fp := parsed(&q, "fingerprint", parseFingerprint)
	err := q.only("fingerprint")
	if err == nil && !q.values.Has("fingerprint") {
		err = errWhichIdentity
	}
	return fp, err
}

// only returns what is wrong with a query that has these parameters and no others.
func (q *query) only(names ...string) error {
	err := q.err(names...)
	for _, name := range filters {
		if q.values.Has(name) && !slices.Contains(names, name) {
			err = errors.Join(err, errors.New(name+": no such parameter here"))
		}
	}
	return err
}

// invalidation reads what is to be forgotten.
func (q *query) invalidation() (Invalidation, error) {
	of := Invalidation{
		Fingerprint: parsed(q, "fingerprint", parseFingerprint),
		Owner:       q.values.Get("owner"),
		All:         q.values.Has("all") && q.values.Get("all") != "false",
	}
	if q.values.Get("all") == "" {
		q.values.Del("all") // ?all, which is no empty value
	}
	q.flag("all")
	err := q.only("fingerprint", "owner", "all")
	n := 0
	for _, given := range []bool{q.values.Has("fingerprint"), q.values.Has("owner"), of.All} {
		if given {
			n++
		}
	}
	if err == nil && n != 1 {
		err = errWhichOnes
	}
	return of, err
}

// maxForm bounds the body of a form, in bytes.
const maxForm = 8 << 10

// invalidate is POST /identities/invalidate. What it needs comes as parameters, or as the form of its page; the token then
// as well, since a browser has no other way to show it. A token in the address does not count: proxies log addresses.
func (a *server) invalidate(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		writeError(w, http.StatusBadRequest, errors.New("the body is no form"))
		return
	}
	if secret := r.PostForm.Get("token"); secret != "" {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	byForm := r.PostForm.Has("token")
	values := r.Form
	if !r.URL.Query().Has("token") { // else it is refused, as no parameter
		values.Del("token")
	}
	a.requireToken(func(w http.ResponseWriter, r *http.Request) { a.invalidateFor(w, r, values, byForm) })(w, r)
}

func (a *server) invalidateFor(w http.ResponseWriter, r *http.Request, values url.Values, byForm bool) {
	q := query{values: values}
	of, err := q.invalidation()
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	done, err := a.Invalidate(of)
	if err != nil {
		writeError(w, http.StatusConflict, err)
		return
	}
	what := q.values.Encode()
	if of.All {
		what = "all"
	}
	a.Audit.Info("identities forgotten by an operator", append(requestAttrs(r), "of", what, "forgotten", done.Forgotten, "sessions", done.Sessions)...)
	if byForm {
		a.showIdentity(w, identityView{Fingerprint: values.Get("fingerprint"), Done: &done})
		return
	}
	writeJSON(w, http.StatusOK, done)
}

//go:embed identity.html
var identitySource string

var identityTemplate = template.Must(template.New("identity").Funcs(template.FuncMap{"stamp": stamp, "number": number}).Parse(identitySource))

// identityView is what the page of one identity shows.
type identityView struct {
	Style       template.CSS
	Host        string
	Fingerprint string
	Found       *Identity
	Done        *Invalidated
	Age         string
	CanAsk      bool // there is a token
}

// identityPage is GET /identities/invalidate: what is remembered of a certificate, and a form to have it asked for again.
func (a *server) identityPage(w http.ResponseWriter, r *http.Request) {
	fp, err := whichIdentity(r)
	if err != nil {
		writeText(w, http.StatusBadRequest, strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	found, err := a.Identity(fp)
	if err != nil {
		writeText(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	v := identityView{Fingerprint: fp.String(), Found: &found, CanAsk: a.Token.IsSet()}
	if found.Remembered {
		v.Age = ago(time.Duration(found.AgeSeconds * float64(time.Second)))
	}
	a.showIdentity(w, v)
}

func (a *server) showIdentity(w http.ResponseWriter, v identityView) {
	v.Style, v.Host = template.CSS(pageStyle), a.Status().Host
	var b bytes.Buffer
	if err := identityTemplate.Execute(&b, v); err != nil {
		a.Log.Error("page of an identity", "err", err)
		writeText(w, http.StatusInternalServerError, "the page cannot be shown")
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", pagePolicy)
	_, _ = b.WriteTo(w)
}
