// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"net/http"

	"github.com/vernegate/vernegate/certacl"
	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/internal/backend"
	"github.com/vernegate/vernegate/internal/identity/ownerfile"
	"github.com/vernegate/vernegate/internal/ownerevents"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore"
)

// components are what take devices, once they are there.
type components struct {
	store  *truststore.Store
	files  clientFiles
	cache  *certacl.Cache
	asker  *revocationAsker // nil = nobody is asked about
	pool   *backend.Pool
	server *proxy.Server
	events *ownerevents.Consumer // nil = none are followed
	owners *ownerfile.Store      // nil = there is no such file
}

// newAdminServer returns the server that operators and their machines ask. It
// works from the start, and answers with what is known so far.
func (a *App) newAdminServer() *http.Server {
	return admin.New(admin.Config{
		Live:     a.live,
		Ready:    a.notReady,
		Metrics:  a.registry,
		Status:   a.status,
		Sessions: a.sessions,
		Reload:   a.reload,
		History:  &a.history,
		Hosts:    a.cfg.AdminHosts,

		Forget:      a.forget,
		ForgetOwner: a.forgetOwner,
		Identity:    a.rememberedIdentity,
		Invalidate:  a.invalidate,
		Token:       a.cfg.Token(),
		ReadToken:   a.cfg.ReadToken(),

		Log:   a.log,
		Audit: a.audit,
	})
}

// live returns why the process has to be restarted, nil if it works.
func (a *App) live() error {
	if w := a.parts.Load(); w != nil {
		return w.server.Hung()
	}
	return nil
}

// sessions returns the live sessions, nil before there can be any.
func (a *App) sessions() admin.Sessions {
	if w := a.parts.Load(); w != nil {
		return w.server
	}
	return nil
}

// forget forgets who owns a certificate.
func (a *App) forget(fp pki.Fingerprint) bool {
	w := a.parts.Load()
	return w != nil && w.cache.Forget(fp)
}

// forgetOwner forgets the certificates of an owner, and returns how many.
func (a *App) forgetOwner(owner string) int {
	if w := a.parts.Load(); w != nil {
		return w.cache.ForgetOwner(owner)
	}
	return 0
}

// reload reads all files now and returns what is wrong with them.
func (c *components) reload(ctx context.Context) error {
	err := errors.Join(c.store.Reload(ctx), c.files.reload())
	if c.owners != nil {
		err = errors.Join(err, c.owners.Reload(ctx))
	}
	return err
}

// reload is reload once there are components. It has lists fetched, too, which it does
// not wait for.
func (a *App) reload(ctx context.Context) (admin.Reloaded, error) {
	w := a.parts.Load()
	if w == nil {
		return admin.Reloaded{}, admin.ErrNotStarted
	}
	a.lists.Load().fetchNow()
	before := w.store.Current().Sequence()
	err := a.reloadFiles(ctx, w)
	now := w.store.Current().Sequence()
	return admin.Reloaded{Generation: now, Changed: now != before}, err
}
