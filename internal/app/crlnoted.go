// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/vernegate/vernegate/internal/crlfetch"
)

// A sighting is that certificates which came by name a URL. A URL that is not followed is
// remembered, too: it is not to be judged in each handshake.
type sighting struct {
	followed bool         // else it is not to be called
	last     atomic.Int64 // when a certificate last named it, in Unix seconds
}

func (s *sighting) seen() { s.last.Store(time.Now().Unix()) }

// noteAll notes URLs of a certificate that came by.
func (l *listFetcher) noteAll(urls []string) {
	for _, u := range urls {
		if known, ok := l.noted.Load(u); ok {
			known.(*sighting).seen()
			continue
		}
		l.noteURL(u)
	}
}

// noteURL remembers a URL, and has it followed if it may be. One for which there is no room
// now is not remembered, so that it gets another chance.
func (l *listFetcher) noteURL(raw string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.noted.Load(raw); known || len(raw) > maxURL {
		return
	}
	allowed := l.appendAllowed(nil, raw, crlfetch.Leaf)
	if len(allowed) == 0 {
		l.remember(raw, false)
		return
	}
	if len(l.leafs) >= maxDiscovered && !l.makeRoom() {
		return
	}
	l.remember(raw, true)
	l.leafs = append(slices.Clone(l.leafs), allowed...)
	select {
	case l.news <- struct{}{}:
	default: // it is awaited already
	}
}

// makeRoom stops following the URL that no certificate has named for longest, if that is
// long, and reports whether it did. mu must be held.
func (l *listFetcher) makeRoom() bool {
	oldest, at := l.leastRecent(true)
	if now := time.Now(); now.Sub(at) < leafRest {
		if !l.tooMany {
			l.tooMany = true
			l.log.Warn("certificates name more distribution points than are followed, and one has to be unused for a while to make room", "followed", maxDiscovered, "unused", leafRest.String())
		}
		return false
	}
	l.forget(oldest)
	l.leafs = slices.DeleteFunc(slices.Clone(l.leafs), func(s crlfetch.Source) bool { return s.URL == oldest })
	l.log.Info("CRL is not followed any more, as no certificate has named it for a while and another one needs the room", "url", oldest, "last_named", at)
	return true
}

// remember notes a URL. Of those that are not followed, the one that no certificate has
// named for longest makes room. mu must be held, but before the first handshake.
func (l *listFetcher) remember(raw string, followed bool) {
	if l.count >= maxNoted {
		if oldest, _ := l.leastRecent(false); oldest != "" {
			l.forget(oldest)
		}
	}
	s := &sighting{followed: followed}
	s.seen()
	l.noted.Store(raw, s)
	l.count++
}

// forget is the opposite of remember.
func (l *listFetcher) forget(raw string) {
	l.noted.Delete(raw)
	l.count--
}

// leastRecent returns the URL that no certificate has named for longest, among those that
// are followed or among the others, and when one last did; "" if there is none.
func (l *listFetcher) leastRecent(followed bool) (raw string, at time.Time) {
	var least int64
	for key, value := range l.noted.Range {
		s := value.(*sighting)
		if last := s.last.Load(); s.followed == followed && (raw == "" || last < least) {
			raw, least = key.(string), last
		}
	}
	return raw, time.Unix(least, 0)
}
