// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/proxy"
)

// errKickWhom keeps a DELETE without a condition, or with a vague one, from
// putting out everybody.
var errKickWhom = errors.New("say whose sessions to end: with owner, client_id, fingerprint, id, or ip (which must not be all addresses)")

// kicked is the document of DELETE /sessions.
type kicked struct {
	Ended     int  `json:"ended"`
	Forgotten *int `json:"forgotten,omitempty"` // certificates whose owner is asked for anew; absent without forget=true
}

// kick is DELETE /sessions.
func (a *server) kick(w http.ResponseWriter, r *http.Request) {
	sessions := a.Sessions()
	if sessions == nil {
		writeError(w, http.StatusServiceUnavailable, ErrNotStarted)
		return
	}
	q := queryOf(r)
	f, forget := q.filter(), q.flag("forget")
	err := q.err("forget")
	if err == nil && !says(f) {
		err = errKickWhom
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	var done kicked
	if forget {
		done = a.kickAndForget(sessions, f)
	} else {
		done.Ended = sessions.Kick(f, nil)
	}
	attrs := append(requestAttrs(r), "filter", q.values.Encode(), "ended", done.Ended)
	if done.Forgotten != nil {
		attrs = append(attrs, "forgotten", *done.Forgotten)
	}
	a.Audit.Info("sessions ended by an operator", attrs...)
	writeJSON(w, http.StatusOK, done)
}

// says reports whether a filter says whose sessions are meant: of one or a few.
func says(f proxy.Filter) bool {
	return f.ID != 0 || f.Owner != "" || f.ClientID != "" || f.Fingerprint != (pki.Fingerprint{}) ||
		f.Address.IsValid() && f.Address.Bits() > 0
}

// kickAndForget has the owners forgotten of the certificates whose sessions it ends:
// before, so that who comes back at once is asked about. A fingerprint, or an owner
// without any other condition, is forgotten also without a session.
func (a *server) kickAndForget(sessions Sessions, f proxy.Filter) kicked {
	forgotten := 0
	forget := func(fp pki.Fingerprint) {
		if a.Forget(fp) {
			forgotten++
		}
	}
	if f == (proxy.Filter{Owner: f.Owner}) {
		forgotten = a.ForgetOwner(f.Owner)
	}
	if f.Fingerprint != (pki.Fingerprint{}) {
		forget(f.Fingerprint)
	}
	return kicked{sessions.Kick(f, forget), &forgotten}
}

// flag reads a parameter that is true or false; absent is false.
func (q *query) flag(name string) bool {
	return parsed(q, name, func(text string) (bool, error) {
		if text != "true" && text != "false" {
			return false, errors.New("expected true or false")
		}
		return strconv.ParseBool(text)
	})
}
