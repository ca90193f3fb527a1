// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"crypto/x509"
	"time"
)

// CheckCRLs decides by the CRLs of its issuer alone whether a certificate is revoked, such as that of an OCSP responder.
// That its issuer has issued it is the caller's to know. Errors are those of Verify about revocation.
func (g *Generation) CheckCRLs(cert, issuer *x509.Certificate, now time.Time) error {
	return g.check(cert, g.bundle.authorityOf(issuer), now)
}
