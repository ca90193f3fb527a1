// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/proxy"
)

// How many sessions a page has.
const (
	defaultPage = 100
	maxPage     = 1000
)

// ErrNotStarted is that devices are not taken yet.
var ErrNotStarted = errors.New("vernegate does not take devices yet")

// sessionPage is the document of GET /sessions.
type sessionPage struct {
	Sessions []proxy.SessionInfo `json:"sessions"`
	// Next is what to pass as "after" for the next page; absent on the last.
	Next proxy.SessionID `json:"next,omitzero"`
}

// list is GET /sessions.
func (a *server) list(w http.ResponseWriter, r *http.Request) {
	sessions := a.Sessions()
	if sessions == nil {
		writeError(w, http.StatusServiceUnavailable, ErrNotStarted)
		return
	}
	q := queryOf(r)
	f, after, limit := q.filter(), q.id("after"), q.limit()
	if err := q.err("after", "limit"); err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	page := sessionPage{}
	var more bool
	page.Sessions, more = sessions.Sessions(f, after, limit)
	if more {
		page.Next = page.Sessions[len(page.Sessions)-1].ID
	}
	writeJSON(w, http.StatusOK, page)
}

// A query reads parameters and collects what is wrong with them.
type query struct {
	values url.Values
	errs   []error
}

// queryOf reads the parameters in the address of a request. What url.URL.Query would drop is a mistake: without a filter
// that has a stray "%" or ";", too many sessions would be meant.
func queryOf(r *http.Request) query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return query{values, []error{err}}
	}
	return query{values: values}
}

// filters are the parameters of query.filter.
var filters = []string{"id", "owner", "client_id", "fingerprint", "ip", "listener"}

// filter reads which sessions are meant.
func (q *query) filter() proxy.Filter {
	return proxy.Filter{
		ID:          q.id("id"),
		Owner:       q.values.Get("owner"),
		ClientID:    q.values.Get("client_id"),
		Fingerprint: parsed(q, "fingerprint", parseFingerprint),
		Address:     parsed(q, "ip", parseAddress),
		Listener:    parsed(q, "listener", parseListener),
	}
}

func (q *query) id(name string) proxy.SessionID {
	return parsed(q, name, func(text string) (id proxy.SessionID, err error) {
		err = id.UnmarshalText([]byte(text))
		return id, err
	})
}

func (q *query) limit() int {
	if !q.values.Has("limit") {
		return defaultPage
	}
	return parsed(q, "limit", func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPage {
			return 0, fmt.Errorf("expected a number from 1 to %d", maxPage)
		}
		return n, nil
	})
}

// parsed reads a parameter; the zero value stands for one that is absent. An
// empty one is a mistake: a script whose variable is empty does not mean all.
func parsed[T any](q *query, name string, parse func(string) (T, error)) (value T) {
	if !q.values.Has(name) {
		return value
	}
	value, err := parse(q.values.Get(name))
	if err != nil {
		q.errs = append(q.errs, fmt.Errorf("%s: %w", name, err))
	}
	return value
}

// err returns what is wrong, parameters included that are neither filters nor
// one of the others: with a misspelt filter, too many sessions would be shown, or ended.
func (q *query) err(others ...string) error {
	for name, values := range q.values {
		switch {
		case !slices.Contains(filters, name) && !slices.Contains(others, name):
			q.errs = append(q.errs, fmt.Errorf("%q: no such parameter", name))
		case len(values) > 1:
			q.errs = append(q.errs, fmt.Errorf("%s: expected once", name))
		case values[0] == "":
			q.errs = append(q.errs, fmt.Errorf("%s: is empty", name))
		}
	}
	slices.SortFunc(q.errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(slices.CompactFunc(q.errs, func(a, b error) bool { return a.Error() == b.Error() })...)
}

// parseFingerprint takes hexadecimal digits in either case, with or without
// colons.
func parseFingerprint(text string) (fp pki.Fingerprint, err error) {
	b, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if err != nil || len(b) != len(fp) {
		return fp, fmt.Errorf("expected the SHA-256 of a certificate, %d hexadecimal digits", 2*len(fp))
	}
	if fp = pki.Fingerprint(b); fp == (pki.Fingerprint{}) { // which a Filter takes for any
		return fp, errors.New("no certificate has this SHA-256")
	}
	return fp, nil
}

// parseAddress takes an address or a prefix of addresses.
func parseAddress(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return prefix, errors.New("expected an address such as 192.0.2.1 or a prefix such as 192.0.2.0/24")
	}
	return prefix, nil
}

func parseListener(text string) (*proxy.Role, error) {
	for _, role := range proxy.Roles() {
		if role.String() == text {
			return &role, nil
		}
	}
	return nil, fmt.Errorf("expected %v, %v or %v", proxy.Devices, proxy.Services, proxy.WebSockets)
}
