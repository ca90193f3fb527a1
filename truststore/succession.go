// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"errors"
	"fmt"
	"slices"
)

// checkSuccession refuses a generation that goes back behind the current one:
// a CRL older than the one in use, which somebody may have put there to bring a
// revoked certificate back, or the file of a CRL in use gone.
func (g *Generation) checkSuccession(next *Generation) error {
	var mistakes []error
	for _, list := range g.crls {
		if other := next.successor(list); other != nil && list.newerThan(other) {
			mistakes = append(mistakes, fmt.Errorf("CRL file %s: the list of %q is older (%s) than the one in use (%s)",
				other.Path, other.Issuer, other.age(), list.age()))
		}
		if !slices.ContainsFunc(next.files, func(f File) bool { return f.Path == list.Path }) {
			mistakes = append(mistakes, fmt.Errorf("CRL file %s was in use for %q and is gone", list.Path, list.Issuer))
		}
	}
	return errors.Join(mistakes...)
}

// takesAway tells what the next generation gives up that the current one has, or
// nothing. A file that is being written in place looks complete whenever it is
// cut between two PEM blocks, but then it lacks something. So a set that lacks
// nothing may be believed at once, and only one that does has to be watched.
func (g *Generation) takesAway(next *Generation) string {
	for _, cert := range g.bundle.certs {
		if next.bundle.find(cert) == nil {
			return fmt.Sprintf("CA certificate %q", cert.Subject)
		}
	}
	for i := range g.server {
		if len(next.server[i].Certificate) < len(g.server[i].Certificate) {
			return fmt.Sprintf("an intermediate of server certificate %d", i+1)
		}
	}
	for _, list := range g.crls {
		if next.successor(list) == nil {
			return fmt.Sprintf("a CRL of %q", list.Issuer)
		}
	}
	return ""
}

// successor returns the list of g that has replaced one of another generation.
func (g *Generation) successor(list *crl) *crl {
	for _, other := range g.crls {
		if other.series() == list.series() {
			return other
		}
	}
	return nil
}
