// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/x509"
	"testing"
	"testing/synctest"
	"time"
)

func TestGuardIsUpForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(*testing.T) {
		var g searchGuard
		want := func(when string, up bool) {
			t.Helper()
			if got := g.isUp(); got != up {
				t.Errorf("%s: it is up: %t, want %t", when, got, up)
			}
		}
		want("at first", false)
		g.note(make([]*x509.Certificate, manySent))
		want("after few certificates", false)
		g.note(make([]*x509.Certificate, manySent+1))
		time.Sleep(guardTime - time.Nanosecond)
		want("almost until its end", true)
		time.Sleep(time.Nanosecond)
		want("at its end", false)
	})
}
