// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"

	"github.com/vernegate/vernegate/backend"
	"github.com/vernegate/vernegate/certacl"
	"github.com/vernegate/vernegate/cmd/vernegate/admin"
	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore"
)

// works is what takes devices, once it is there.
type works struct {
	store  *truststore.Store
	cache  *certacl.Cache
	pool   *backend.Pool
	server *proxy.Server
}

// newAdminServer returns the server that operators and their machines ask. It
// works from the start, and tells what there is to tell.
func (g *gate) newAdminServer() *http.Server {
	return admin.New(admin.Config{
		Live:     g.live,
		Ready:    g.ready.err,
		Metrics:  g.registry,
		Status:   g.status,
		Sessions: g.sessions,
		Reload:   g.reload,
		History:  &g.history,
		Hosts:    g.cfg.AdminHosts,
		Token:    g.cfg.adminToken(),
		Log:      g.log,
		Audit:    g.audit,
	})
}

// live returns why the process has to be restarted, nil if it works.
func (g *gate) live() error {
	if w := g.works.Load(); w != nil {
		return w.server.Hung()
	}
	return nil
}

// sessions returns the live sessions, nil before there can be any.
func (g *gate) sessions() admin.Sessions {
	if w := g.works.Load(); w != nil {
		return w.server
	}
	return nil
}

// reload reads the trust files now.
func (g *gate) reload(ctx context.Context) (admin.Reloaded, error) {
	w := g.works.Load()
	if w == nil {
		return admin.Reloaded{}, admin.ErrNotStarted
	}
	before := w.store.Current().Sequence()
	err := w.store.Reload(ctx)
	now := w.store.Current().Sequence()
	return admin.Reloaded{Generation: now, Changed: now != before}, err
}

// adminToken is what allows operators to change something; the zero Token when
// there is none.
func (c config) adminToken() admin.Token {
	if c.AdminTokenFile.IsSet() {
		return c.AdminTokenFile
	}
	return c.AdminToken
}
