// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/vernegate/vernegate/internal/crlfetch"
)

// A sighting is that certificates which came by name a URL that is followed.
type sighting struct {
	last atomic.Int64 // when a certificate last named it, in Unix seconds
}

func (s *sighting) seen() { s.last.Store(time.Now().Unix()) }

// noteAll notes URLs of a certificate that came by: the first ones, as a certificate has room for thousands.
func (l *listFetcher) noteAll(urls []string) {
	for _, u := range urls[:min(len(urls), maxNamed)] {
		if known, ok := l.noted.Load(u); ok {
			known.(*sighting).seen()
			continue
		}
		if len(u) > maxURL {
			continue
		}
		if _, ok := l.passedOver.Get(u); !ok {
			l.noteURL(u)
		}
	}
}

// noteURL has a URL followed if it may be, and remembers it. One for which there is no room now is not remembered, so that
// it gets another chance.
func (l *listFetcher) noteURL(raw string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.noted.Load(raw); known {
		return
	}
	allowed := l.appendAllowed(nil, raw, crlfetch.Leaf)
	if len(allowed) == 0 {
		l.passedOver.Add(raw, struct{}{})
		return
	}
	if len(l.leafs) >= maxDiscovered && !l.makeRoom() {
		return
	}
	l.remember(raw)
	l.leafs = append(slices.Clone(l.leafs), allowed...)
	select {
	case l.news <- struct{}{}:
	default: // it is awaited already
	}
}

// makeRoom stops following the URL that no certificate has named for longest, if that is
// long, and reports whether it did. mu must be held.
func (l *listFetcher) makeRoom() bool {
	oldest, at := l.leastRecent()
	if time.Since(at) < leafRest {
		l.tellOfMany(crlfetch.Leaf)
		return false
	}
	l.noted.Delete(oldest)
	l.leafs = slices.DeleteFunc(slices.Clone(l.leafs), func(s crlfetch.Source) bool { return s.URL == oldest })
	l.log.Info("CRL is not followed any more, as no certificate has named it for a while and another one needs the room", "url", oldest, "last_named", at)
	return true
}

// remember notes a URL that is followed. mu must be held, but before the first handshake.
func (l *listFetcher) remember(raw string) {
	s := new(sighting)
	s.seen()
	l.noted.Store(raw, s)
}

// leastRecent returns the followed URL that no certificate has named for longest, and when one last did; "" if there is
// none.
func (l *listFetcher) leastRecent() (raw string, at time.Time) {
	var least int64
	for key, value := range l.noted.Range {
		if last := value.(*sighting).last.Load(); raw == "" || last < least {
			raw, least = key.(string), last
		}
	}
	return raw, time.Unix(least, 0)
}
