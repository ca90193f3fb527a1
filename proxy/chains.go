// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"sync"

	"github.com/vernegate/vernegate/internal/pki"
)

const (
	// mostChains is how many certificates a chainCache knows before it begins anew. Each takes some 230 bytes.
	mostChains = 1 << 17

	// mostAscents is how many ascents it knows, as each takes as much as the certificates of the CAs that clients send.
	mostAscents = 1 << 10

	// mostFresh is how many certificates wait for a moment in which nobody computes. When there are more, those who
	// compute have to wait for them.
	mostFresh = 64
)

// A chainCache knows client certificates that were verified in a full handshake, so that the signature of the CA on
// them, an eighth of what a handshake computes, is not verified each time they come. It answers for signatures alone,
// which stay good: what can change, such as validity in time and revocation, is up to crypto/x509 and Trust.Verify
// each time.
//
// crypto/tls has its own verification done by x509, and that is wanted, since only it can send the alert that fits. What
// x509 does not verify is a certificate that is in the pool of roots itself. So once the client has been told of the
// CAs, the handshake goes on with another configuration, in which the certificates that are known are among the roots;
// and when x509 is content with one, the chain that it was verified with takes the place of what x509 has found. They
// are among the roots by their digest only, without a name: nobody is verified through them.
//
// Methods may be called concurrently.
type chainCache struct {
	cas  *x509.CertPool
	most int // certificates

	// handshakes is held for reading by those who compute, as x509 looks into the pool then.
	handshakes sync.RWMutex
	config     *tls.Config // whose ClientCAs are cas and all that is in above
	above      map[pki.Fingerprint]*ascent
	ascents    map[pki.Fingerprint]*ascent // by digest

	root x509.Certificate // stands for all that are known: the pool wants one of each, and never looks at it again

	mu    sync.Mutex            // of fresh; handshakes may be held when it is taken, and not the other way round
	fresh [][]*x509.Certificate // chains of certificates that are to be known
}

// An ascent is what is above a client certificate in its chain: most share a few.
type ascent []*x509.Certificate

// newChainCache returns a cache for clients of cas, with base for all else that handshakes go on with. The server's
// certificates and ticket keys are not among that: they are chosen before, and the cache would keep those of its
// beginning for as long as the CAs stay the same. The verdict on a client is that of the Trust that is current when its
// handshake ends.
func newChainCache(base *tls.Config, cas *x509.CertPool, current func() Trust) *chainCache {
	c := &chainCache{cas: cas, most: mostChains, config: base.Clone()}
	c.config.GetConfigForClient = nil
	c.config.VerifyConnection = func(state tls.ConnectionState) error {
		if err := c.complete(state.PeerCertificates, state.VerifiedChains); err != nil {
			return err
		}
		_, err := current().Verify(state.PeerCertificates, state.VerifiedChains)
		return err
	}
	c.forget()
	return c
}

// fits tells whether the cache is good for other CAs, too.
func (c *chainCache) fits(cas *x509.CertPool) bool { return c.cas.Equal(cas) }

// forget begins anew; handshakes must be held for writing, or c be nobody else's.
func (c *chainCache) forget() {
	c.config.ClientCAs = c.cas.Clone()
	c.above, c.ascents = make(map[pki.Fingerprint]*ascent), make(map[pki.Fingerprint]*ascent)
}

// remember makes the client certificate known, soon, whose chains were verified in a full handshake that is over. Those
// with a choice of chains are rare, and verified each time.
//
// It does not wait for those who compute, unless it has been put off for long: if each new certificate did, and those who
// come next waited for it in turn, handshakes would take one round after the other, however many processors there are.
func (c *chainCache) remember(chains [][]*x509.Certificate) {
	if len(chains) != 1 || len(chains[0]) < 2 || c.knows(chains[0]) {
		return
	}
	c.mu.Lock()
	c.fresh = append(c.fresh, chains[0])
	overdue := len(c.fresh) == mostFresh // and not more: one who waits is enough
	c.mu.Unlock()
	if overdue {
		c.handshakes.Lock()
	} else if !c.handshakes.TryLock() {
		return
	}
	defer c.handshakes.Unlock()
	c.learn()
}

func (c *chainCache) knows(chain []*x509.Certificate) bool {
	c.handshakes.RLock()
	defer c.handshakes.RUnlock()
	above := c.above[pki.FingerprintOf(chain[0])]
	return above != nil && slices.EqualFunc(*above, chain[1:], (*x509.Certificate).Equal)
}

// learn makes known what is fresh; handshakes must be held for writing.
func (c *chainCache) learn() {
	c.mu.Lock()
	fresh := c.fresh
	c.fresh = nil
	c.mu.Unlock()
	for _, chain := range fresh {
		c.add(chain[0], chain[1:])
	}
}

// add makes one certificate known, or what is above it now; handshakes must be held for writing.
func (c *chainCache) add(leaf *x509.Certificate, above ascent) {
	fp, key := pki.FingerprintOf(leaf), above.digest()
	if c.above[fp] == nil && len(c.above) == c.most || c.ascents[key] == nil && len(c.ascents) == mostAscents {
		c.forget()
	}
	known := c.above[fp] != nil
	if c.ascents[key] == nil {
		above = slices.Clone(above) // which has the leaf in front of it
		c.ascents[key] = &above
	}
	c.above[fp] = c.ascents[key]
	if known {
		return
	}
	c.root.Raw = leaf.Raw
	c.config.ClientCAs.AddCert(&c.root) // its digest is taken now
	c.root.Raw = nil
}

func (a ascent) digest() pki.Fingerprint {
	h := sha256.New()
	for _, cert := range a {
		_, _ = h.Write(cert.Raw)
	}
	return pki.Fingerprint(h.Sum(nil))
}

// complete puts the chain of a known certificate in the place of the certificate alone, which is all that x509 looked
// at. handshakes must be held. Chains of others stay as they are.
//
// The client, whose certificates are peer, has to send what is between its own and the CA as one that is not known has
// to. If that is not what it has sent before, all of it is verified here; the error is what crypto/tls would have said.
func (c *chainCache) complete(peer []*x509.Certificate, chains [][]*x509.Certificate) error {
	if len(chains) != 1 || len(chains[0]) != 1 {
		return nil
	}
	above := c.above[pki.FingerprintOf(peer[0])]
	switch {
	case above == nil:
	case above.within(peer[1:]):
		chains[0] = slices.Concat(peer[:1], *above)
	default:
		verified, err := verifyAll(peer, c.cas)
		if err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: peer, Err: err}
		}
		chains[0] = verified[0]
	}
	return nil
}

// within tells whether all but the CA at the end were sent.
func (a ascent) within(sent []*x509.Certificate) bool {
	for _, cert := range a[:len(a)-1] {
		if !slices.ContainsFunc(sent, cert.Equal) {
			return false
		}
	}
	return true
}

// verifyAll does what crypto/tls does with a client's certificates.
func verifyAll(peer []*x509.Certificate, cas *x509.CertPool) ([][]*x509.Certificate, error) {
	opts := x509.VerifyOptions{
		Roots:         cas,
		Intermediates: x509.NewCertPool(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, cert := range peer[1:] {
		opts.Intermediates.AddCert(cert)
	}
	return peer[0].Verify(opts)
}
