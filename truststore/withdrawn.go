// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"crypto/x509"
	"errors"
	"iter"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
)

// Withdrawn returns the CA certificates of g that next does not trust: those
// that are not in its bundle any more, and those that it knows to be revoked,
// or to be below a revoked one.
func (g *Generation) Withdrawn(next *Generation, now time.Time) []*x509.Certificate {
	var gone []*x509.Certificate
	for _, cert := range g.bundle.certs {
		var path [4]*anchor
		heir := next.bundle.find(cert)
		if heir == nil || errors.Is(next.rules.checkAbove(append(path[:0], heir), now), pki.ErrRevoked) {
			gone = append(gone, cert)
		}
	}
	return gone
}

// Revoked iterates over the certificates that are revoked in next and were not
// in g, each as the raw name of its issuer and its serial number, big-endian
// without leading zeros. Both are only valid until the next one.
func (g *Generation) Revoked(next *Generation) iter.Seq2[[]byte, []byte] {
	return func(yield func(issuer, serial []byte) bool) {
		p, n := newPace(nil), 0
		for _, list := range next.crls {
			var known *serialSet
			if before := g.successor(list); before != nil {
				known = before.revoked
			}
			for serial := range list.revoked.all() {
				if n++; n%breath == 0 {
					p.breathe()
				}
				if !known.hasBytes(serial) && !yield(list.rawIssuer, serial) {
					return
				}
			}
		}
	}
}
