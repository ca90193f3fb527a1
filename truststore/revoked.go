// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"crypto/x509"
	"errors"
	"iter"
	"time"

	"github.com/vernegate/vernegate/internal/pace"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore/crl"
)

// Withdrawn returns the CA certificates of g that next does not trust: those
// that are not in its bundle any more, and those that it knows to be revoked,
// or to be below a revoked one.
func (g *Generation) Withdrawn(next *Generation, now time.Time) []*x509.Certificate {
	var gone []*x509.Certificate
	for _, cert := range g.bundle.certs {
		heir := next.bundle.find(cert)
		if heir == nil || errors.Is(next.checkAbove(heir, now), pki.ErrRevoked) {
			gone = append(gone, cert)
		}
	}
	return gone
}

// Revoked iterates over the certificates that are revoked in next and were not
// in g, each as the name of its issuer and its serial number, big-endian without
// leading zeros. The name is as pki.CanonicalName has it: a CRL, the certificates
// of its CA and those that it has issued may each encode it in another way. The
// serial number is only valid until the next one.
func (g *Generation) Revoked(next *Generation) iter.Seq2[string, []byte] {
	return func(yield func(issuer string, serial []byte) bool) {
		throttle, n := pace.NewThrottle(nil), 0
		before := make(map[seriesID]*list, len(g.lists))
		for _, l := range g.lists {
			before[l.series()] = l
		}
		for _, l := range next.lists {
			known := g.known(before[l.series()], l, next)
			for serial := range l.Since(known) {
				if n++; n%yieldEvery == 0 {
					throttle.Yield()
				}
				if !known.HasBytes(serial) && !yield(l.issuer, serial) {
					return
				}
			}
		}
	}
}

// yieldEvery is how many serial numbers are compared between two looks at the
// throttle.
const yieldEvery = 256

// known returns the version of a list of next that g has, which is in use or nil. It is nil if that did not speak of the
// certificates of all CAs that the list of next speaks of: then what it names may not have been revoked in g.
func (g *Generation) known(used, l *list, next *Generation) *crl.List {
	if used == nil {
		return nil
	}
	before := l.authorityIn(g.bundle).kin
	for _, auth := range l.authorityIn(next.bundle).kin {
		if withKey(before, auth.publicKey) == nil {
			return nil
		}
	}
	return used.List
}
