// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync/atomic"
	"time"
)

// A searchGuard decides who looks for the chain of a client. crypto/tls has x509 do it, and sends the alert that fits. But x509
// checks up to a hundred signatures with keys that a stranger has chosen, which takes half a second for 6 kB. Trust.Verify
// is bounded; after it, the alert is bad_certificate whatever is wrong. So once a client has sent more certificates
// than chains have, Trust.Verify looks for all clients for a while. The methods may be called concurrently.
type searchGuard struct {
	until atomic.Int64 // in ns since 1970; 0 = never
}

const (
	manySent  = 4 // certificates, the client's own among them
	guardTime = 10 * time.Minute
)

// note looks at the certificates that a client has sent.
func (g *searchGuard) note(sent []*x509.Certificate) {
	if len(sent) > manySent {
		g.until.Store(time.Now().Add(guardTime).UnixNano())
	}
}

// isUp reports whether Trust.Verify looks for chains.
func (g *searchGuard) isUp() bool {
	until := g.until.Load()
	return until != 0 && time.Now().UnixNano() < until
}

// sentBy returns the certificates that a client has sent in a handshake that has ended with err; nil = none.
func sentBy(state *tls.ConnectionState, err error) []*x509.Certificate {
	var refused *tls.CertificateVerificationError
	if len(state.PeerCertificates) == 0 && errors.As(err, &refused) {
		return refused.UnverifiedCertificates
	}
	return state.PeerCertificates
}
