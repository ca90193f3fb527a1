// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/certacl"
	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/proxy"
)

// What may not be so any more is asked for again: with an owner from before, newcomers come in, and live sessions stay.
func TestOwnersInDoubt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var down error
		cache := aclCache(config.Config{ACLCacheSize: 10}, nil, newIdentityMetrics(newRegistry(Build{})), slog.New(slog.DiscardHandler))
		cache.StaleIfError = time.Hour
		defer cache.Close()
		cache.Lookup = func(context.Context, pki.Fingerprint) (string, bool, error) { return "acme:lamp", true, down }
		owner := aclOwner(cache)
		want := func(live bool, matches error) {
			t.Helper()
			if got, ok, err := owner(t.Context(), proxy.Peer{Live: live}); got != "acme:lamp" || !ok || !errors.Is(err, matches) {
				t.Errorf("live %t: got %q, %t and %v, want %v", live, got, ok, err, matches)
			}
		}
		want(false, nil)
		cache.Doubt(pki.Fingerprint{}, time.Now())
		want(false, proxy.ErrAskAgain)
		want(true, proxy.ErrAskAgain)
		time.Sleep(holdTold)
		want(true, nil)
		down = errors.New("certificate-acl is down")
		want(false, proxy.ErrAskAgain)
		want(true, certacl.ErrStale)
	})
}

// A look-up that panics is told of with its stack; a mistake that meets every device is not told of for each.
func TestPanicOfALookupIsLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		cache := aclCache(config.Config{}, nil, newIdentityMetrics(newRegistry(Build{})), slog.New(slog.NewTextHandler(&out, nil)))
		defer cache.Close()
		cache.Lookup = func(context.Context, pki.Fingerprint) (string, bool, error) { panic("no such owner") }
		for minute := range 2 {
			for i := range 100 {
				if _, _, err := cache.Owner(t.Context(), pki.Fingerprint{byte(i)}); err == nil {
					t.Fatal("a look-up that panicked has answered")
				}
			}
			if n := strings.Count(out.String(), "TestPanicOfALookupIsLogged"); n < minute+1 || strings.Count(out.String(), "\n") != minute+1 {
				t.Errorf("in minute %d the log is\n%s", minute, &out)
			}
			time.Sleep(panicPause)
		}
	})
}
