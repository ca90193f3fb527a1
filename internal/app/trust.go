// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"sync"
	"time"

	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore"
)

// trustConfig says which files to trust, without observers and a patience for
// the start.
func trustConfig(cfg config.Config, log *slog.Logger) truststore.Config {
	return truststore.Config{
		Certs:           cfg.TLSCert,
		Keys:            cfg.TLSKey,
		CAs:             cfg.TLSCA,
		CRLs:            cfg.TLSCRL.Files(),
		CRLOptional:     !cfg.CRLNamed,
		TicketKeys:      cfg.TicketKeys,
		RefreshInterval: time.Duration(cfg.TrustRefreshInterval),
		CRLExpired:      cfg.CRLExpired,
		CRLExpiredGrace: time.Duration(cfg.CRLExpiredGrace),
		CRLMissing:      cfg.CRLMissing,
		CANames:         cfg.TLSCANames,
		ServerConfig:    func(g *truststore.Generation) *tls.Config { return tlsPolicy(cfg).Handshake(trust{Generation: g}) },
		Logger:          log,
	}
}

// trust lets the proxy believe in a generation, and seal tickets with its keys.
type trust struct {
	*truststore.Generation
	lists *listFetcher // told of each chain that is good
}

var (
	_ proxy.TicketTrust = trust{}
	_ proxy.NamingTrust = trust{}
)

// tlsPolicy is what handshakes may negotiate.
func tlsPolicy(cfg config.Config) proxy.TLSPolicy {
	return proxy.TLSPolicy{
		MinVersion:       uint16(cfg.TLSMinVersion),
		CipherSuites:     cfg.TLSCiphers,
		CurvePreferences: cfg.TLSCurves,
	}
}

// Verify asks the generation about now.
func (t trust) Verify(peer []*x509.Certificate, chains [][]*x509.Certificate) ([]*x509.Certificate, error) {
	chain, err := t.Generation.Verify(peer, chains, time.Now())
	t.lists.note(chain) // also when its revocation is not known, which may be for lack of a list
	return chain, err
}

// revoker ends the sessions that a new generation does not trust any more. It
// does so beside the store, which goes on following the files.
type revoker struct {
	ctx     context.Context
	server  *proxy.Server
	running sync.WaitGroup

	mu    sync.Mutex
	ended bool // nothing is followed up any more
}

// begin has to come before the first swap. What is not followed up when ctx
// ends is left.
func (f *revoker) begin(ctx context.Context, server *proxy.Server) {
	f.ctx, f.server = ctx, server
}

// swapped is the store's OnSwap.
func (f *revoker) swapped(old, current *truststore.Generation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return
	}
	f.running.Go(func() {
		f.server.Withdraw(f.ctx, proxy.Withdrawal{
			CAs:     old.Withdrawn(current, time.Now()),
			Revoked: old.Revoked(current),
		})
	})
}

// wait returns when nothing is being followed up. A swap that comes later, since an
// operator has had the files read at the last moment, concerns nobody: all sessions
// have ended.
func (f *revoker) wait() {
	f.mu.Lock()
	f.ended = true
	f.mu.Unlock()
	f.running.Wait()
}
