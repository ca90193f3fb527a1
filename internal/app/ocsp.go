// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/internal/ocsp"
	"github.com/vernegate/vernegate/internal/outbound"
	"github.com/vernegate/vernegate/internal/untrusted"
	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore"
)

// revocationAsker asks OCSP responders about clients. Nil asks about nobody.
type revocationAsker struct {
	client  *ocsp.Client
	cache   *ocsp.Cache
	checker ocsp.Checker
	metrics *ocspMetrics
}

// newRevocationAsker returns what VERNEGATE_OCSP says, or nil. Its owner closes it. It starts nothing.
func (a *App) newRevocationAsker(current func() *truststore.Generation) *revocationAsker {
	if !a.cfg.OCSP {
		return nil
	}
	m := newOCSPMetrics(a.registry, a.cfg.OCSPIssuers, current().CAs())
	client := ocspClient(a.cfg, current)
	client.Observe = func(q ocsp.Question) {
		m.asked(q)
		a.logPanic(q)
	}
	cache := &ocsp.Cache{
		Ask:     client.Ask,
		Size:    int(a.cfg.OCSPCacheSize),
		Refresh: time.Duration(a.cfg.OCSPRefresh),
		Observe: m.answered,
	}
	m.watch(cache)
	return &revocationAsker{client, cache, ocspChecker(a.cfg, cache), m}
}

// ocspClient returns what asks responders. It starts nothing.
func ocspClient(cfg config.Config, current func() *truststore.Generation) *ocsp.Client {
	hosts := cfg.OCSPHosts()
	timeout := time.Duration(cfg.OCSPTimeout)
	return &ocsp.Client{
		HTTP: outbound.NewClient(outbound.Config{
			Hosts: hosts, Proxy: cfg.CRLProxy, Timeout: timeout, IdlePerHost: ocsp.DefaultMaxInFlight,
		}),
		URL:     cfg.OCSPURL.URL,
		Allows:  hosts.Allows,
		Timeout: timeout,
		Nonce:   bool(cfg.OCSPNonce),
		CheckSigner: func(signer, issuer *x509.Certificate) error {
			return current().CheckCRLs(signer, issuer, time.Now())
		},
	}
}

// logPanic tells of a mistake in this program, which has cost one question.
func (a *App) logPanic(q ocsp.Question) {
	if p, ok := errors.AsType[*ocsp.PanicError](q.Err); ok {
		a.log.Error("an OCSP response made vernegate panic; please report it", "responder", untrusted.Text(q.Responder),
			"err", untrusted.Text(p.Error()), "stack", string(p.Stack))
	}
}

func ocspChecker(cfg config.Config, cache *ocsp.Cache) ocsp.Checker {
	return ocsp.Checker{Status: cache.Status, Issuers: cfg.OCSPIssuers, Deny: cfg.OCSPOnError == truststore.Deny}
}

// authorize lets the proxy ask; nil = nobody is asked about.
func (r *revocationAsker) authorize() proxy.AuthorizeFunc {
	if r == nil {
		return nil
	}
	return func(ctx context.Context, peer proxy.Peer) (again time.Time, err error) {
		return r.checker.Check(ctx, peer.Chain, peer.Fingerprint, peer.Live)
	}
}

// close ends the requests under way.
func (r *revocationAsker) close() {
	if r != nil {
		r.cache.Close()
		r.client.HTTP.CloseIdleConnections()
	}
}
