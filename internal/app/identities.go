// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vernegate/vernegate/certacl"
	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/internal/untrusted"
	"github.com/vernegate/vernegate/proxy"
)

// eventSource is from where an owner is known that an event has told.
const eventSource = "kafka"

// aclOwner lets the proxy ask a cache. A session that lives is not helped by an owner that was right some time ago.
func aclOwner(cache *certacl.Cache) proxy.OwnerFunc {
	return func(ctx context.Context, peer proxy.Peer) (owner string, ok bool, err error) {
		owner, ok, err = cache.CurrentOwner(ctx, peer.Fingerprint)
		if errors.Is(err, certacl.ErrDoubtful) || errors.Is(err, certacl.ErrStale) && !peer.Live {
			err = fmt.Errorf("%w: %w", proxy.ErrAskAgain, err)
		}
		return owner, ok, err
	}
}

// rememberedIdentity returns what is remembered of a certificate.
func (a *App) rememberedIdentity(fp pki.Fingerprint) (admin.Identity, error) {
	w := a.parts.Load()
	if w == nil {
		return admin.Identity{}, admin.ErrNotStarted
	}
	found := admin.Identity{Fingerprint: fp}
	page, _ := w.server.Sessions(proxy.Filter{Fingerprint: fp}, 0, 1000)
	found.Sessions = len(page)
	m, ok := w.cache.Remembered(fp)
	if !ok {
		return found, nil
	}
	now := time.Now()
	found.Remembered, found.Owned, found.Owner = true, m.Owned, untrusted.Text(m.Owner)
	found.Source = string(config.CertificateACL)
	if m.Told {
		found.Source = eventSource
	}
	found.Since, found.AgeSeconds = m.Since, now.Sub(m.Since).Seconds()
	found.FreshUntil, found.UsableUntil = m.FreshUntil, m.UsableUntil
	return found, nil
}

// invalidate forgets what is remembered, and has the owners of live sessions asked for anew.
func (a *App) invalidate(of admin.Invalidation) (admin.Invalidated, error) {
	w := a.parts.Load()
	if w == nil {
		return admin.Invalidated{}, admin.ErrNotStarted
	}
	var done admin.Invalidated
	switch {
	case of.All:
		done.Forgotten = w.cache.ForgetAll()
		done.Sessions = w.server.RecheckSoon(proxy.Filter{}, spreadOver)
		done.WithinSeconds = spreadOver.Seconds()
	case of.Owner != "":
		done.Forgotten = w.cache.ForgetOwner(of.Owner)
		done.Sessions = w.server.RecheckSoon(proxy.Filter{Owner: of.Owner}, 0)
	default:
		if w.cache.Forget(of.Fingerprint) {
			done.Forgotten = 1
		}
		done.Sessions = w.server.RecheckSoon(proxy.Filter{Fingerprint: of.Fingerprint}, 0)
	}
	return done, nil
}
