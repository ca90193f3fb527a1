// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import "github.com/vernegate/vernegate/internal/crlfetch"

// namedURLs are the URLs of an origin that may be followed, by the CA that has chosen them.
type namedURLs struct {
	fetcher *listFetcher
	origin  crlfetch.Origin
	issuers []string // in their order
	allowed map[string][]crlfetch.Source
}

func (l *listFetcher) newNamedURLs(origin crlfetch.Origin) *namedURLs {
	return &namedURLs{fetcher: l, origin: origin, allowed: make(map[string][]crlfetch.Source)}
}

// add adds what a certificate or list of an issuer names.
func (n *namedURLs) add(issuer string, urls []string) {
	allowed, known := n.allowed[issuer]
	if !known {
		n.issuers = append(n.issuers, issuer)
	}
	for _, u := range urls {
		allowed = n.fetcher.appendAllowed(allowed, u, n.origin)
	}
	n.allowed[issuer] = allowed
}

// inTurns returns what to follow: the first URL of each issuer, then the second of each, and so on while there is room. An
// issuer that names many takes no room from others.
func (n *namedURLs) inTurns() (sources []crlfetch.Source) {
	for turn := range maxDiscovered {
		for _, issuer := range n.issuers {
			of := n.allowed[issuer]
			if turn >= len(of) || hasName(sources, of[turn].Name) {
				continue
			}
			if len(sources) >= maxDiscovered {
				n.fetcher.tellOfMany(n.origin)
				return sources
			}
			sources = append(sources, of[turn])
		}
	}
	return sources
}
