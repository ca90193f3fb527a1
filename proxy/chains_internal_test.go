// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"testing"

	"github.com/vernegate/vernegate/truststore/certtest"
)

// The cache begins anew rather than grow without bounds.
func TestChainCacheIsBounded(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA("devices")
	c := newChainCache(new(tls.Config), ca.Pool(), nil)
	c.most = 3
	knows := func(cert *certtest.Cert) bool {
		chains := [][]*x509.Certificate{{cert.Leaf}}
		if err := c.complete(chains[0], chains); err != nil {
			t.Error(err)
		}
		_, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: c.config.ClientCAs, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		return len(chains[0]) == 2 && err == nil
	}
	var all []*certtest.Cert
	for i := range 7 {
		cert := ca.Issue("admin:dev1")
		all = append(all, cert)
		c.remember([][]*x509.Certificate{{cert.Leaf, ca.Cert}})
		for j, other := range all {
			if got, want := knows(other), j/3 == i/3; got != want {
				t.Errorf("of %d certificates, number %d is known: got %v, want %v", i+1, j, got, want)
			}
		}
	}
}

// Who has a CA below ours can send as many above its devices as it likes.
func TestAscentsAreBounded(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA("devices")
	c := newChainCache(new(tls.Config), ca.Pool(), nil)
	for i := range 2 * mostAscents {
		leaf, plant := &x509.Certificate{Raw: fmt.Appendf(nil, "leaf %d", i)}, &x509.Certificate{Raw: fmt.Appendf(nil, "plant %d", i)}
		chain := []*x509.Certificate{leaf, plant, ca.Cert}
		c.remember([][]*x509.Certificate{chain})
		if !c.knows(chain) {
			t.Fatalf("number %d is not known", i)
		}
		if len(c.ascents) > mostAscents {
			t.Fatalf("%d ascents, want at most %d", len(c.ascents), mostAscents)
		}
	}
}

// A pair is a trust with a server certificate of its own.
type pair struct {
	certificate tls.Certificate
	cas         *x509.CertPool
}

func (p *pair) ServerCertificates() []tls.Certificate { return []tls.Certificate{p.certificate} }
func (p *pair) ClientCAs() *x509.CertPool             { return p.cas }
func (p *pair) Verify([]*x509.Certificate, [][]*x509.Certificate) ([]*x509.Certificate, error) {
	return nil, nil
}

// The cache outlives the Trust that it began with, and must not keep its private keys.
func TestChainCacheKeepsNoServerKey(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA("devices")
	current := func() Trust { return nil }
	base := tlsConfig(TLSPolicy{}, current)
	var c *trustConfig
	for range 2 {
		before := c
		c = c.next(base, &pair{ca.Issue("gate").TLS(), ca.Pool()}, current)
		if before != nil && before.chains != c.chains {
			t.Error("the cache is another one though the CAs are the same")
		}
		if n := len(c.chains.config.Certificates); n != 0 {
			t.Errorf("the cache has %d server certificates, want none", n)
		}
	}
}

// Handshakes on several processors would otherwise wait for each other's certificates.
func TestRememberingWaitsForNobody(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA("devices")
	c := newChainCache(new(tls.Config), ca.Pool(), nil)
	c.handshakes.RLock() // somebody computes
	var chains [][]*x509.Certificate
	remember := func() {
		chains = append(chains, []*x509.Certificate{ca.Issue("admin:dev1").Leaf, ca.Cert})
		c.remember(chains[len(chains)-1:])
	}
	for range mostFresh - 1 {
		remember()
	}
	c.handshakes.RUnlock()
	for i, chain := range chains {
		if c.knows(chain) {
			t.Errorf("certificate %d became known while somebody computed", i)
		}
	}
	remember()
	for i, chain := range chains {
		if !c.knows(chain) {
			t.Errorf("certificate %d is not known when nobody computes", i)
		}
	}
}
