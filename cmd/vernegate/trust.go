// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"sync"
	"time"

	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore"
)

// trustConfig says which files to trust, without observers and a patience for
// the start.
func (c config) trustConfig(log *slog.Logger) truststore.Config {
	return truststore.Config{
		Certs:           c.TLSCert,
		Keys:            c.TLSKey,
		CAs:             c.TLSCA,
		CRLs:            c.TLSCRL,
		CRLOptional:     !c.crlNamed,
		TicketKeys:      c.TicketKeys,
		RefreshInterval: time.Duration(c.TrustRefreshInterval),
		CRLExpired:      c.CRLExpired,
		CRLExpiredGrace: time.Duration(c.CRLExpiredGrace),
		CRLMissing:      c.CRLMissing,
		CANames:         c.TLSCANames,
		ServerConfig:    func(g *truststore.Generation) *tls.Config { return c.tlsPolicy().Handshake(trust{g}) },
		Logger:          log,
	}
}

// trust lets the proxy believe in a generation, and seal tickets with its keys.
type trust struct{ *truststore.Generation }

var (
	_ proxy.TicketTrust = trust{}
	_ proxy.NamingTrust = trust{}
)

// tlsPolicy is what handshakes may negotiate.
func (c config) tlsPolicy() proxy.TLSPolicy {
	return proxy.TLSPolicy{
		MinVersion:       uint16(c.TLSMinVersion),
		CipherSuites:     c.TLSCiphers,
		CurvePreferences: c.TLSCurves,
	}
}

// Verify asks the generation about now.
func (t trust) Verify(peer []*x509.Certificate, chains [][]*x509.Certificate) ([]*x509.Certificate, error) {
	return t.Generation.Verify(peer, chains, time.Now())
}

// followUp ends the sessions that a new generation does not trust any more. It
// does so beside the store, which goes on following the files.
type followUp struct {
	ctx     context.Context
	server  *proxy.Server
	running sync.WaitGroup
}

// begin has to come before the first swap. What is not followed up when ctx
// ends is left.
func (f *followUp) begin(ctx context.Context, server *proxy.Server) {
	f.ctx, f.server = ctx, server
}

// swapped is the store's OnSwap.
func (f *followUp) swapped(old, current *truststore.Generation) {
	f.running.Go(func() {
		f.server.Withdraw(f.ctx, proxy.Withdrawal{
			CAs:     old.Withdrawn(current, time.Now()),
			Revoked: old.Revoked(current),
		})
	})
}

// wait returns when nothing is being followed up. No swap may come any more.
func (f *followUp) wait() { f.running.Wait() }
