// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vernegate/vernegate/internal/pace"
	"github.com/vernegate/vernegate/internal/watch"
)

// parts are the versions in use of all parts.
type parts struct {
	pairs   []part[serverPair] // as configured
	cas     []part[caFile]     // one a file
	bundle  *bundle            // of all CA files; nil before the first
	lists   listsInUse
	tickets part[ticketKeys]
}

func newParts(c *Config) parts {
	return parts{pairs: make([]part[serverPair], len(c.Certs)), cas: make([]part[caFile], len(c.CAs))}
}

// clone returns parts that may be changed without changing these.
func (p *parts) clone() parts {
	c := *p
	c.pairs, c.cas = slices.Clone(p.pairs), slices.Clone(p.cas)
	c.lists.lists, c.lists.pending = maps.Clone(p.lists.lists), maps.Clone(p.lists.pending)
	return c
}

// An attempt makes the next generation of one read of the files. Each part is judged by itself: one that is no good
// keeps the version that it has, and holds up no other.
type attempt struct {
	config   *Config
	set      *fileSet
	current  *Generation // nil before the first
	before   *parts
	tried    map[string]*listFile // lists that were tried as they were fetched, by name
	force    bool                 // believe at once also what takes something away
	fetching bool                 // there is time left for fetching lists
	began    time.Time            // before the files were read
	now      time.Time            // after that
	throttle *pace.Throttle

	next     parts
	problems []problem
	notices  []Notice
	settling []string  // what versions lack that are not believed yet
	until    time.Time // when the first of them will be
	later    time.Time // when something that is decided by the time alone may be decided differently; zero is never
}

func (a *attempt) refuse(p problem) { a.problems = append(a.problems, p) }

func (a *attempt) notice(message string, attrs ...slog.Attr) {
	a.notices = append(a.notices, Notice{message, attrs})
}

// settle notes that a version is not believed yet, since when, and what it lacks.
func (a *attempt) settle(since time.Time, lacks string) {
	a.settling = append(a.settling, lacks)
	a.until = earlier(a.until, since.Add(watch.SettleDelay))
}

// believes reports whether a good version counts now. One that lacks something that the version in use has may be half
// written, and has to stay as it is for a while.
func (a *attempt) believes(pending *candidate, files []File, lacks string) bool {
	if lacks == "" || a.force || pending.hasSettled(files, a) {
		return true
	}
	a.settle(pending.since, lacks)
	return false
}

// make judges all parts and puts the next generation together; nil if there is none to be had.
func (a *attempt) make() *Generation {
	a.next = a.before.clone()
	a.judgePairs()
	a.judgeCAs()
	a.judgeTickets()
	if a.next.bundle == nil {
		a.next.bundle = newBundle(nil) // to find out what is wrong with the lists, too
		a.judgeLists()
		return nil
	}
	a.judgeLists()
	g := &Generation{
		sequence: 1,
		loaded:   a.now,
		files:    a.files(),
		server:   a.serverCertificates(),
		bundle:   a.next.bundle,
		namesCAs: a.config.namesCAs(a.next.bundle),
		rules:    rules{expired: a.config.CRLExpired, missing: a.config.CRLMissing, grace: a.config.CRLExpiredGrace},
	}
	if a.current != nil {
		g.sequence = a.current.sequence + 1
	}
	if keys := a.next.tickets.good; keys != nil {
		g.ticketKeys = *keys
	}
	a.noticesOfCAs(g)
	for _, series := range slices.SortedFunc(maps.Keys(a.next.lists.lists), seriesID.compare) {
		g.read = append(g.read, a.next.lists.lists[series])
	}
	a.notices = append(a.notices, g.addLists(a.next.lists.whole)...)
	if len(g.server) == 0 {
		return nil
	}
	return g
}

// judgeCAs decides about each file of CA certificates by itself, and about the set of all.
func (a *attempt) judgeCAs() {
	for i := range a.next.cas {
		part, file := &a.next.cas[i], &a.set.cas[i]
		files := []File{file.File}
		if part.isCurrent(files) {
			continue
		}
		version, err := readCAFile(file, a.now)
		if err != nil {
			part.pending = candidate{}
			a.refuse(problem{Refusal: Refusal{Kind: KindCAs, File: file.Path, Err: err}, start: fails, none: part.good == nil})
			continue
		}
		if part.good != nil && !a.believes(&part.pending, files, version.lacks(part.good)) {
			continue
		}
		part.take(version, files)
	}
	if slices.EqualFunc(a.next.cas, a.before.cas, func(x, y part[caFile]) bool { return x.good == y.good }) && a.next.bundle != nil {
		return
	}
	if slices.ContainsFunc(a.next.cas, func(p part[caFile]) bool { return p.good == nil }) {
		return // before the start, which waits for all of them
	}
	if err := a.takeBundle(); err != nil {
		a.takeCAsOneByOne(err)
	}
}

// takeBundle takes the CAs of all files together, unless they cannot be used.
func (a *attempt) takeBundle() error {
	b := newBundle(a.certs())
	if err := a.checkBundle(b); err != nil {
		return err
	}
	a.next.bundle = b
	return nil
}

// takeCAsOneByOne takes those of the changed files with which the CAs can be used, and refuses the others, all of which
// cannot be used together. What takes a CA away does not wait for what another file adds.
func (a *attempt) takeCAsOneByOne(together error) {
	taken := slices.Clone(a.next.cas)
	var removing, adding []int
	for i := range a.next.cas {
		switch part, old := &a.next.cas[i], a.before.cas[i]; {
		case part.good == old.good:
			continue
		case old.good != nil && part.good.lacks(old.good) != "":
			removing = append(removing, i)
		default:
			adding = append(adding, i)
		}
		a.next.cas[i] = a.before.cas[i]
	}
	for _, i := range slices.Concat(removing, adding) {
		old, err := a.before.cas[i], together
		if a.next.bundle != nil { // else this is the start, which needs all of them
			a.next.cas[i] = taken[i]
			if err = a.takeBundle(); err == nil {
				continue
			}
			a.next.cas[i] = old
		}
		a.refuse(problem{Refusal: Refusal{Kind: KindCAs, File: a.set.cas[i].Path, Err: err}, start: fails, none: old.good == nil})
	}
}

// certs returns the certificates of all CA files.
func (a *attempt) certs() (all []*x509.Certificate) {
	for i := range a.next.cas {
		all = append(all, a.next.cas[i].good.certs...)
	}
	return all
}

// checkBundle says why a set of CAs cannot be used.
func (a *attempt) checkBundle(b *bundle) error {
	if len(b.certs) == 0 {
		var files []string
		for _, file := range a.set.cas {
			files = append(files, file.Path)
		}
		return fmt.Errorf("there is no CA certificate that can be used in %s", strings.Join(files, ", "))
	}
	if n := b.nameBytes(); a.config.CANames == CANamesAll && n > maxCANameBytes {
		return fmt.Errorf("the names of the %d CAs take %d bytes, and a handshake has room for %d", len(b.certs), n, maxCANameBytes)
	}
	return a.tryBundle(b)
}

// noticesOfCAs reports what is odd about the CAs in use.
func (a *attempt) noticesOfCAs(g *Generation) {
	for i := range a.next.cas {
		a.notices = append(a.notices, a.next.cas[i].good.notices...)
	}
	if a.config.CANames == CANamesAuto && !g.NamesCAs() {
		a.notice("clients are not told the names of the CAs, which are too long for a handshake",
			slog.Int("cas", len(g.bundle.certs)), slog.Int("bytes", g.bundle.nameBytes()), slog.Int("room", maxCANameBytes))
	}
}

// judgeTickets decides about the keys of session tickets.
func (a *attempt) judgeTickets() {
	if len(a.set.ticketKeys) == 0 {
		return
	}
	var files []File
	for _, file := range a.set.ticketKeys {
		files = append(files, file.File)
	}
	part := &a.next.tickets
	if part.isCurrent(files) {
		return
	}
	keys, at, err := readTicketKeys(a.set.ticketKeys)
	if err != nil {
		a.refuse(problem{Refusal: Refusal{Kind: KindTickets, File: at, Err: err}, start: fails, none: part.good == nil})
		return
	}
	part.take(&keys, files)
}

// files returns what the parts in use were read from, in the order of the configuration.
func (a *attempt) files() []File {
	var certs, keys, rest []File
	for i := range a.next.pairs {
		if files := a.next.pairs[i].files; files != nil {
			certs, keys = append(certs, files[0]), append(keys, files[1])
		}
	}
	for i := range a.next.cas {
		rest = append(rest, a.next.cas[i].files...)
	}
	for _, file := range a.next.lists.files {
		if version, ok := a.inUse(file); ok {
			rest = append(rest, version)
		}
	}
	return slices.Concat(certs, keys, rest, a.next.tickets.files)
}

// inUse returns the version of a file of CRLs that is in use: the one that was read, or an earlier one where there is
// no reading it.
func (a *attempt) inUse(file *listFile) (File, bool) {
	if file.err == nil {
		return file.File, true
	}
	if a.current != nil {
		if i := slices.IndexFunc(a.current.files, func(f File) bool { return f.Path == file.Path }); i >= 0 {
			return a.current.files[i], true
		}
	}
	return File{}, false
}

// changes reports whether a generation differs from the current one.
func (a *attempt) changes(g *Generation) bool {
	sameLeaf := func(x, y tls.Certificate) bool { return x.Leaf == y.Leaf }
	return a.current == nil || !slices.Equal(g.files, a.current.files) || g.bundle != a.current.bundle ||
		!slices.Equal(g.lists, a.current.lists) || !slices.EqualFunc(g.server, a.current.server, sameLeaf)
}

// startProblem returns everything that is wrong, if something of it keeps the
// first generation from being used: yet, or at all.
func (a *attempt) startProblem() error {
	rule := waits
	switch {
	case a.force:
		rule = fails
	case a.fetching:
		rule = fetches
	}
	if slices.ContainsFunc(a.problems, func(p problem) bool { return p.start >= rule }) {
		return a.err()
	}
	return nil
}

// err is everything that is wrong with the files.
func (a *attempt) err() error {
	var all []error
	for _, p := range a.problems {
		all = append(all, p.Err)
	}
	return errors.Join(all...)
}

// isUnread reports whether a file could not be read, such as for lack of descriptors or memory. That passes without a sign,
// other than that a file is not there.
func (a *attempt) isUnread() bool {
	return slices.ContainsFunc(a.set.sources(), func(s source) bool { return s.err != nil && !errors.Is(s.err, fs.ErrNotExist) }) ||
		slices.ContainsFunc(a.next.lists.files, (*listFile).isUnread)
}

// retry has the files read again at a time, unless that is past.
func (a *attempt) retry(at time.Time) {
	if at.After(a.now) {
		a.later = earlier(a.later, at)
	}
}
