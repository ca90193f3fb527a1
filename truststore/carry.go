// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"io"
	"slices"
	"time"

	"github.com/vernegate/vernegate/internal/pace"
	"github.com/vernegate/vernegate/truststore/crl"
)

// writeInstead writes what may be used in place of a file that was fetched, if that has anything new: those of its lists
// that count, and the last good version of each list that would be lost with it, from the copy that it would have replaced.
func (s *Store) writeInstead(g *Generation, to io.Writer, file *source, found *listFile, now time.Time, t *pace.Throttle) error {
	if !g.hasNews(found) {
		return nil
	}
	copied := s.openCopy(found.Path, t)
	defer copied.close()
	before := readListFile(&copied, g.bundle, now, t)
	good := found.withLists(without(found.lists, func(l *list) bool {
		t.Yield()
		newest := before.newest[l.series()]
		return newest != nil && newest.NewerThan(l.List)
	}))
	lost := without(before.lists, func(l *list) bool {
		t.Yield()
		return good.replaces(l, now) && (l.BaseNumber == nil || g.losesDelta(l, good) == nil)
	})
	if err := crl.Copy(to, file.contents(t), places(good.lists), t); err != nil {
		return err
	}
	return crl.Copy(to, copied.contents(t), places(lost), t)
}

// without returns a copy of lists without those that match.
func without(lists []*list, matches func(*list) bool) []*list {
	return slices.DeleteFunc(slices.Clone(lists), matches)
}

// hasNews reports whether a file has a list that is newer than those in use, or of another CA or scope. Without a successor
// or a namesake of any list that came from there it is another file, such as that of another CA, and nothing of it is.
func (g *Generation) hasNews(found *listFile) bool {
	fromThere := without(g.read, func(used *list) bool { return used.path != found.Path || used.authorityIn(g.bundle) == nil })
	if len(fromThere) > 0 && !slices.ContainsFunc(fromThere, func(used *list) bool { return found.succeeds(used) || found.hasNamesakeOf(used) }) {
		return false
	}
	return slices.ContainsFunc(found.lists, func(l *list) bool {
		used := g.readOf(l.series())
		return used == nil || l.NewerThan(used.List)
	})
}

// openCopy opens the copy of a list that is fetched. It has to be closed.
func (s *Store) openCopy(name string, t *pace.Throttle) source {
	if s.config.Remotes != nil {
		for _, remote := range s.config.Remotes() {
			if remote.Name == name {
				return readRemote(remote, nil, t)
			}
		}
	}
	return source{} // which has no list
}

// places says where in their file lists are.
func places(lists []*list) (places []int) {
	for _, l := range lists {
		places = append(places, l.Place)
	}
	return places
}
