// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"crypto/x509"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vernegate/vernegate/internal/crlfetch"
)

// A sighting is that certificates which came by name a URL that is followed.
type sighting struct {
	last atomic.Int64           // when a certificate last named it, in Unix seconds
	ca   atomic.Pointer[string] // that answers for the first one, as caOf returns it; nil if none has come since the start
}

func (s *sighting) seen() { s.last.Store(time.Now().Unix()) }

// caName returns the name of the CA; "" if it is not known.
func (s *sighting) caName() string {
	if ca := s.ca.Load(); ca != nil {
		return *ca
	}
	return ""
}

// noteAll notes URLs of the first certificate of a chain that came by: the first ones, as a certificate has room for thousands.
func (l *listFetcher) noteAll(urls []string, chain []*x509.Certificate) {
	for _, u := range urls[:min(len(urls), maxNamed)] {
		u = withoutFragment(u)
		if known, ok := l.noted.Load(u); ok {
			s := known.(*sighting)
			s.seen()
			if s.ca.Load() == nil {
				s.ca.Store(new(l.caOf(chain)))
			}
			continue
		}
		if len(u) > maxURL {
			continue
		}
		if _, ok := l.passedOver.Get(u); !ok {
			l.noteURL(u, l.caOf(chain))
		}
	}
}

// caOf returns the name of the CA of the bundle that a chain leads to first. It answers for all certificates below it, whose
// issuers may have any names.
func (l *listFetcher) caOf(chain []*x509.Certificate) string {
	ca := chain[len(chain)-1]
	if store := l.store.Load(); store != nil {
		for _, cert := range chain[1:] {
			if slices.ContainsFunc(store.Current().CAs(), cert.Equal) {
				ca = cert
				break
			}
		}
	}
	return string(ca.RawSubject)
}

// noteURL has a URL followed if it may be, and remembers it, with the CA that answers for it. One for which there is no room
// now is not remembered, so that it gets another chance.
func (l *listFetcher) noteURL(raw, ca string) {
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
	if len(l.leafs) >= maxDiscovered && !l.makeRoom(ca) {
		return
	}
	l.remember(raw).ca.Store(&ca)
	l.leafs = append(slices.Clone(l.leafs), allowed...)
	select {
	case l.news <- struct{}{}:
	default: // it is awaited already
	}
}

// makeRoom stops following a URL for one of a CA, and reports whether it did: the one that no certificate has named for
// longest, if that is long, or if not, of those of the CA that has most of them. So no CA takes the room of another. mu must
// be held.
func (l *listFetcher) makeRoom(ca string) bool {
	oldest, at := l.leastRecent(func(*sighting) bool { return true })
	if time.Since(at) >= leafRest {
		l.unfollow(oldest)
		l.log.Info("CRL is not followed any more, as no certificate has named it for a while and another one needs the room", "url", oldest, "last_named", at)
		return true
	}
	l.tellOfMany(crlfetch.Leaf)
	most, more := l.mostNamed(ca)
	if !more {
		return false
	}
	oldest, at = l.leastRecent(func(s *sighting) bool { return s.caName() == most })
	l.unfollow(oldest)
	l.log.Warn("CRL is not followed any more, as certificates of its CA name the most of all and another CA needs the room", "url", oldest, "last_named", at)
	return true
}

// mostNamed returns the CA of most of the URLs that are followed, and whether it would still have as many as the other CA if
// that got one of its places. mu must be held.
func (l *listFetcher) mostNamed(other string) (ca string, more bool) {
	places := make(map[string]int)
	for _, value := range l.noted.Range {
		places[value.(*sighting).caName()]++
	}
	most := places[other] + 1
	for name, n := range places {
		if n > most {
			ca, most, more = name, n, true
		}
	}
	return ca, more
}

// unfollow stops following a URL. mu must be held.
func (l *listFetcher) unfollow(raw string) {
	l.noted.Delete(raw)
	l.leafs = slices.DeleteFunc(slices.Clone(l.leafs), func(s crlfetch.Source) bool { return s.URL == raw })
}

// remember notes a URL that is followed. mu must be held, but before the first handshake.
func (l *listFetcher) remember(raw string) *sighting {
	s := new(sighting)
	s.seen()
	l.noted.Store(raw, s)
	return s
}

// leastRecent returns the followed URL that matches and that no certificate has named for longest, and when one last did; ""
// if there is none.
func (l *listFetcher) leastRecent(matches func(*sighting) bool) (raw string, at time.Time) {
	var least int64
	for key, value := range l.noted.Range {
		if !matches(value.(*sighting)) {
			continue
		}
		if last := value.(*sighting).last.Load(); raw == "" || last < least {
			raw, least = key.(string), last
		}
	}
	return raw, time.Unix(least, 0)
}
