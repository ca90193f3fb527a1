// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/internal/pki"
)

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
