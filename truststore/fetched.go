// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vernegate/vernegate/internal/pace"
	"github.com/vernegate/vernegate/truststore/crl"
)

// TryFetched reads a file of lists that has just been fetched and is not in use yet, and
// returns why it cannot be, and when its first list is due to be replaced (zero: never).
// It has to be complete: a list that is cut or is no list spoils the file. Without a
// generation nothing more is asked of it; with one, a list of it has to count, and each
// list that was fetched from there (Remote.Name) needs a successor in it: one of the same
// CA and scope that is not older. So neither a server that answers with something else
// nor somebody on the way to it can take a list away. A list that is overdue needs none.
func (g *Generation) TryFetched(ctx context.Context, name, file string, now time.Time) (due time.Time, err error) {
	b := newBundle(nil)
	if g != nil {
		b = g.bundle
	}
	throttle := pace.NewThrottle(ctx.Done())
	s := readRemote(Remote{Name: name, File: file}, throttle)
	defer s.close()
	found := readListFile(&s, b, now, throttle)
	if found.err != nil {
		return due, found.err
	}
	for _, u := range found.unused {
		if errors.Is(u.err, crl.ErrMalformed) {
			return due, u.err
		}
	}
	if g == nil {
		return found.due, nil
	}
	if len(found.lists) == 0 {
		return due, fmt.Errorf("no list of it counts: %w", found.unused[0].err)
	}
	return found.due, g.hasSuccessors(name, found, now)
}

// hasSuccessors returns which list from one place would be lost with what has been found there now.
func (g *Generation) hasSuccessors(name string, found *listFile, now time.Time) error {
	for _, used := range g.read {
		if used.path != name || used.isOverdue(now) {
			continue
		}
		if !found.succeeds(used) {
			return fmt.Errorf("it has no newer list of %q than the one in use (%s)", used.Issuer, used.Age())
		}
	}
	return nil
}

// isOverdue reports whether a list is past its nextUpdate.
func (l *list) isOverdue(now time.Time) bool {
	return !l.NextUpdate.IsZero() && now.After(l.NextUpdate)
}

// succeeds reports whether a file has a list that takes the place of another one: one of
// the same series, or of the same CA and scope that is signed with a new key.
func (f *listFile) succeeds(used *list) bool {
	for _, l := range f.lists {
		switch {
		case l.series() == used.series() && !l.IsReplay(used.List),
			l.issuer == used.issuer && l.key != used.key && (l.BaseNumber == nil) == (used.BaseNumber == nil) && l.Scope() == used.Scope() && l.ThisUpdate.After(used.ThisUpdate):
			return true
		}
	}
	return false
}
