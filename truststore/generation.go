// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// Generation is what is in use at a time of all parts: server certificates, CA
// certificates, CRLs and ticket keys, each in its last good version. It never
// changes, may be used by any number of goroutines, and what its methods return
// must not be modified.
type Generation struct {
	sequence   uint64
	loaded     time.Time
	files      []File
	server     []tls.Certificate
	bundle     *bundle
	namesCAs   bool
	lists      []*list // complete, with their deltas
	read       []*list // as they were read, by series
	revocation map[*authority]*revocation
	rules      rules

	ticketKeys ticketKeys
}

// revocation is what says which certificates of a CA are revoked.
type revocation struct {
	lists  []*list // all that speak of its certificates
	newest []*list // of each scope: those that have to be current
}

// rules is how revocation is decided when the CRLs leave it open.
type rules struct {
	expired, missing Policy
	grace            time.Duration
}

// readOf returns the list of a series as it was read, or nil.
func (g *Generation) readOf(series seriesID) *list {
	i, found := slices.BinarySearchFunc(g.read, series, func(l *list, series seriesID) int { return l.series().compare(series) })
	if !found {
		return nil
	}
	return g.read[i]
}

// Sequence returns the number of the generation: 1 for the first one of a
// store and one more for each that followed.
func (g *Generation) Sequence() uint64 { return g.sequence }

// Loaded returns when the files were read.
func (g *Generation) Loaded() time.Time { return g.loaded }

// Files returns what the generation was built from, in the order of the
// configuration: each file as it was when it was last good, and none that never
// was.
func (g *Generation) Files() []File { return g.files }

// ServerCertificates returns the server certificates with their keys and
// Leaf set: at least one, in the order of the configuration but for those that
// are not valid now, which come last.
func (g *Generation) ServerCertificates() []tls.Certificate { return g.server }

// ClientCAs returns the pool that clients are verified against: every CA
// certificate of the bundle, intermediates included.
func (g *Generation) ClientCAs() *x509.CertPool { return g.bundle.pool }

// NamesCAs reports whether clients are to be told the names of ClientCAs.
func (g *Generation) NamesCAs() bool { return g.namesCAs }

// CAs returns the certificates of ClientCAs.
func (g *Generation) CAs() []*x509.Certificate { return g.bundle.certs }

// CAsWithoutCRL returns the CAs of whose certificates no list in use speaks.
func (g *Generation) CAsWithoutCRL() (without []*x509.Certificate) {
	for _, cert := range g.bundle.certs {
		if len(g.revocation[g.bundle.authorityOf(cert)].lists) == 0 {
			without = append(without, cert)
		}
	}
	return without
}

// CRLs returns the lists in use, one of each issuer, key and scope.
func (g *Generation) CRLs() []CRL { return g.describe(g.lists) }

// CRLsAbout returns the lists in use that Verify looks certificates of this CA up in.
func (g *Generation) CRLsAbout(ca *x509.Certificate) []CRL {
	r := g.revocation[g.bundle.authorityOf(ca)]
	if r == nil {
		return nil
	}
	return g.describe(r.lists)
}

// Needs reports whether something would be lost without the lists from a path or Remote: one of them is in use, and no
// newer complete list from elsewhere is about all that it is about.
func (g *Generation) Needs(path string) bool {
	return slices.ContainsFunc(g.lists, func(whole *list) bool {
		isNeeded := func(used *list) bool { return used.path == path && !g.isReplaced(whole, used) }
		return isNeeded(whole) || slices.ContainsFunc(whole.deltas(), isNeeded)
	})
}

// isReplaced reports whether a list, which is in use by itself or as the delta of another one, could be done without: a
// newer complete one from elsewhere speaks of the same certificates.
func (g *Generation) isReplaced(whole, used *list) bool {
	about := g.revocation[whole.authorityIn(g.bundle)].lists
	return slices.ContainsFunc(about, func(l *list) bool {
		return l != whole && l.path != used.path && l.ThisUpdate.After(used.ThisUpdate) && l.Includes(used.List, "")
	})
}

func (g *Generation) describe(lists []*list) []CRL {
	all := make([]CRL, len(lists))
	for i, l := range lists {
		all[i] = CRL{Path: l.path, Issuer: l.Issuer, Number: l.Number, ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate, Entries: l.Entries, Freshest: l.Freshest}
		if !l.NextUpdate.IsZero() {
			all[i].GoodUntil = g.rules.limit(l)
		}
		if l.delta != nil {
			all[i].DeltaPath, all[i].BaseNumber = l.delta.path, l.base.Number
		}
	}
	return all
}

// addLists gives each list to the authorities whose certificates it speaks of,
// and orders them as the bundle is.
func (g *Generation) addLists(lists map[seriesID]*list) (notices []Notice) {
	own := make(map[*authority][]*list)
	for _, series := range slices.SortedFunc(maps.Keys(lists), seriesID.compare) {
		l := lists[series]
		if auth := l.authorityIn(g.bundle); auth != nil {
			own[auth] = append(own[auth], l)
		}
	}
	g.revocation = make(map[*authority]*revocation)
	for _, cert := range g.bundle.certs {
		auth := g.bundle.authorityOf(cert)
		if g.revocation[auth] != nil {
			continue
		}
		r := new(revocation)
		g.revocation[auth] = r
		g.lists = append(g.lists, own[auth]...)
		for _, kin := range auth.kin {
			r.lists = append(r.lists, own[kin]...)
		}
		r.findNewest()
		if len(r.lists) == 0 {
			notices = append(notices, g.namesakesOf(auth, own)...)
		}
	}
	for _, l := range g.lists {
		if l.NextUpdate.IsZero() {
			notices = append(notices, Notice{"CRL has no next update and is never overdue", l.attrs()})
		}
	}
	return notices
}

// findNewest finds the newest list of each scope. A CA that has changed its key
// may renew the list with one of them only.
func (r *revocation) findNewest() {
	places := make(map[string]int) // in newest, by scope
	for _, l := range r.lists {
		i, found := places[l.Scope()]
		switch {
		case !found:
			places[l.Scope()] = len(r.newest)
			r.newest = append(r.newest, l)
		case l.ThisUpdate.After(r.newest[i].ThisUpdate):
			r.newest[i] = l
		}
	}
}

// namesakesOf tells of lists that bear the name of a CA without a list, and not
// its signature.
func (g *Generation) namesakesOf(auth *authority, own map[*authority][]*list) (notices []Notice) {
	for _, other := range g.bundle.byName[auth.name] {
		for _, l := range own[other] {
			notices = append(notices, Notice{"CRL of a CA of this name is signed with another key, which does not chain to the same CA: it is not used for this one", append(l.attrs(),
				slog.String("key", auth.keyID()), slog.String("other_key", other.keyID()), slog.String("missing", g.rules.missing.String()))})
		}
	}
	return notices
}

// keyID names the key of an authority for people.
func (auth *authority) keyID() string {
	return strings.ToUpper(fmt.Sprintf("%x", auth.anchors[0].cert.SubjectKeyId))
}
