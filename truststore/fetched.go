// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/vernegate/vernegate/internal/pace"
	"github.com/vernegate/vernegate/truststore/crl"
)

// Fetched is a file that has just been fetched and is not in use yet.
type Fetched struct {
	Name   string // as that of the Remote
	File   string // its path
	Data   []byte // its content, if it is not in a file; else nil
	SHA256 [sha256.Size]byte

	// Instead, if not nil, takes what may be used in its place if only some of its lists may.
	Instead io.Writer
}

// TryFetched reads a file of lists that has just been fetched and is not in use yet, and
// returns why it cannot be, and when the first list of it is due to be replaced (zero: never): of those that CAs of the bundle
// have signed, of each series the newest; of all, while there is no bundle.
// It has to be complete: a list that is cut or is no list spoils the file. Without a
// store (nil) nothing more is asked of it; with one, a list of it has to count, and each
// list that was fetched from there needs a successor in it: one of the same
// CA and scope that is not older. So neither a server that answers with something else
// nor somebody on the way to it can take a list away. A list that is overdue needs none, but is
// not replaced by an older one; that of a CA that is no longer trusted needs none either.
// A delta that is ahead of its complete list does not replace the one before it, unless both have the same base.
//
// Each list is judged by itself: where some of them cannot be used, or are not there, and others are new, those and the last
// good versions from the copy of what is missing are written to Fetched.Instead. That is to be tried as any other file.
//
// The file is renamed to where Config.Remotes says that it is, and not written to. Nor is Data.
func (s *Store) TryFetched(ctx context.Context, fetched Fetched, now time.Time) (due time.Time, err error) {
	var g *Generation
	if s != nil {
		g = s.Current()
	}
	throttle := pace.NewThrottle(ctx.Done())
	file := fetched.open(throttle)
	defer file.close()
	found := g.readFetched(&file, now, throttle)
	if err := g.judgeFetched(found, now); err != nil {
		if g != nil && fetched.Instead != nil && ctx.Err() == nil {
			if wrong := s.writeInstead(g, fetched.Instead, &file, found, now, throttle); wrong != nil {
				err = fmt.Errorf("%w; keeping the lists of it that count: %w", err, wrong)
			}
		}
		return time.Time{}, err
	}
	if s != nil && ctx.Err() == nil { // else it is not followed any more
		s.tried.add(found)
	}
	if g == nil {
		return found.due, nil // whose lists count is not known yet
	}
	return found.nextUpdate(), nil
}

// open opens the file. It has to be closed.
func (f *Fetched) open(t *pace.Throttle) source {
	known := &listFile{File: File{SHA256: f.SHA256}}
	known.info, _ = os.Stat(f.File) // whose mistake reading it tells, too
	return readRemote(Remote{Name: f.Name, File: f.File, Data: f.Data, SHA256: f.SHA256}, []*listFile{known}, t)
}

// readFetched reads a file of lists under the CAs of a generation, or under none.
func (g *Generation) readFetched(file *source, now time.Time, t *pace.Throttle) *listFile {
	b := newBundle(nil)
	if g != nil {
		b = g.bundle
	}
	return readListFile(file, b, now, t)
}

// judgeFetched returns why what was fetched must not be used.
func (g *Generation) judgeFetched(found *listFile, now time.Time) error {
	if found.err != nil {
		return found.err
	}
	for _, u := range found.unused {
		switch {
		case errors.Is(u.err, crl.ErrMalformed):
			return u.err
		case u.passed > 0:
			return fmt.Errorf("%w%s", u.err, u.others())
		}
	}
	if g == nil {
		return nil
	}
	if len(found.lists) == 0 {
		return fmt.Errorf("no list of it counts: %w", found.unused[0].err)
	}
	if err := g.hasSuccessors(found, now); err != nil {
		return err
	}
	return g.hasDeltas(found)
}

// triedLists are files of lists that were tried, by name: a large list is read once for that and for its use.
type triedLists struct {
	mu     sync.Mutex
	byName map[string]*listFile
}

func (t *triedLists) add(f *listFile) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byName == nil {
		t.byName = make(map[string]*listFile)
	}
	t.byName[f.Path] = f
}

func (t *triedLists) all() map[string]*listFile {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.byName)
}

// forget drops those that are among the files that were read last, and those that were
// there before and are not followed any more.
func (t *triedLists) forget(before map[string]*listFile, files []*listFile, follows func(name string) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range files {
		if tried := t.byName[f.Path]; tried != nil && tried.File == f.File {
			delete(t.byName, f.Path)
		}
	}
	for name, f := range before {
		if t.byName[name] == f && !follows(name) {
			delete(t.byName, name)
		}
	}
}

// hasSuccessors returns which list from one place would be lost with what has been found there now.
func (g *Generation) hasSuccessors(found *listFile, now time.Time) error {
	for _, used := range g.read {
		if used.path != found.Path || used.authorityIn(g.bundle) == nil {
			continue
		}
		switch {
		case found.replaces(used, now):
		case found.hasNamesakeOf(used):
			return fmt.Errorf("it has no newer list of %q than the one in use (%s), but one that is signed with another key, which does not chain to the same CA",
				used.Issuer, used.Age())
		default:
			return fmt.Errorf("it has no newer list of %q than the one in use (%s)", used.Issuer, used.Age())
		}
	}
	return nil
}

// hasDeltas returns which delta from one place would be lost with what has been found there now.
func (g *Generation) hasDeltas(found *listFile) error {
	for _, whole := range g.lists {
		for _, delta := range whole.deltas() {
			if delta.path != found.Path {
				continue
			}
			if err := g.losesDelta(delta, found); err != nil {
				return err
			}
		}
	}
	return nil
}

// losesDelta returns why a delta is still needed beside those that have been found in its place: they are older, or ahead of
// their complete list and do not repeat what that says. Until the list comes, a start would have it from this delta alone.
func (g *Generation) losesDelta(delta *list, found *listFile) error {
	newest := found.newest[delta.series()]
	base := g.baseOf(delta, found)
	if newest == nil || base == nil || errors.Is(base.CheckDelta(delta.List), crl.ErrSuperseded) {
		return nil // whether it may be missing was decided with all other lists
	}
	if slices.ContainsFunc(found.bySeries[delta.series()], func(l *list) bool {
		return !delta.NewerThan(l.List) && (l.hasBaseOf(delta) || base.CheckDelta(l.List) == nil)
	}) {
		return nil
	}
	if wrong := base.CheckDelta(newest.List); wrong != nil {
		return fmt.Errorf("the complete list of %q has not come yet that its delta applies to: %w", delta.Issuer, wrong)
	}
	return fmt.Errorf("it has no newer delta CRL of %q than the one in use (%s)", delta.Issuer, delta.Age())
}

// baseOf returns the newest complete list of the series of a delta, of those in use and those that were found; nil if there is
// none.
func (g *Generation) baseOf(delta *list, found *listFile) *list {
	series := delta.series().complete()
	base := found.newest[series]
	if used := g.readOf(series); used != nil && (base == nil || used.NewerThan(base.List)) {
		return used
	}
	return base
}

// replaces reports whether a list may be given up for what a file has.
func (f *listFile) replaces(used *list, now time.Time) bool {
	return f.succeeds(used) || used.isOverdue(now) && f.standsInFor(used)
}

// isOverdue reports whether a list is past its nextUpdate.
func (l *list) isOverdue(now time.Time) bool {
	return !l.NextUpdate.IsZero() && now.After(l.NextUpdate)
}

// succeeds reports whether a file has a list that takes the place of another one: one of
// the same series, or of the same CA and scope that is signed with a new key.
func (f *listFile) succeeds(used *list) bool {
	series := used.series()
	return slices.ContainsFunc(f.bySeries[series], func(l *list) bool { return !used.NewerThan(l.List) }) ||
		f.hasOfOtherKey(used, used.isKin)
}

// hasNamesakeOf reports whether a file has a newer list of the same name and scope as another one, of a CA that it has nothing
// else in common with. It takes the place of none; where a CA begins anew with a root of the same name, both count.
func (f *listFile) hasNamesakeOf(used *list) bool {
	return f.hasOfOtherKey(used, func(l *list, b *bundle) bool { return !used.isKin(l, b) })
}

// hasOfOtherKey reports whether a file has a newer list of the same name and scope as another one that is signed with another
// key and matches.
func (f *listFile) hasOfOtherKey(used *list, matches func(l *list, b *bundle) bool) bool {
	return slices.ContainsFunc(f.ofAnyKey[used.series().ofAnyKey()], func(l *list) bool {
		return l.key != used.key && l.ThisUpdate.After(used.ThisUpdate) && matches(l, f.bundle)
	})
}

// standsInFor reports whether a file has a newer complete list of the CA of another one, whose place it may take once that is
// overdue: a CA may partition its lists in another way, or give up making deltas. Others that the CA has
// signed, such as a part about other certificates, would take the list away.
func (f *listFile) standsInFor(used *list) bool {
	return slices.ContainsFunc(f.lists, func(l *list) bool {
		return l.issuer == used.issuer && l.BaseNumber == nil && l.ThisUpdate.After(used.ThisUpdate) && l.Includes(used.List, f.Path) && used.isKin(l, f.bundle)
	})
}
