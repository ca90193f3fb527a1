// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certacl_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/vernegate/vernegate/certacl"
	"github.com/vernegate/vernegate/internal/pki"
)

func TestForgetAsksAgain(t *testing.T) {
	for name, forget := range map[string]func(*certacl.Cache) bool{
		"certificate": func(c *certacl.Cache) bool { return c.Forget(pki.Fingerprint{}) },
		"owner":       func(c *certacl.Cache) bool { return c.ForgetOwner(lamp.owner) == 1 },
		"all":         func(c *certacl.Cache) bool { return c.ForgetAll() == 1 },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				acl := &certificateACL{owner: lamp.owner}
				cache := newHoldingCache(acl)
				defer cache.Close()
				wantReply(t, cache, acl, lamp, 1)
				acl.set(door.owner, nil)
				if !forget(cache) {
					t.Error("nothing was forgotten")
				}
				wantReply(t, cache, acl, door, 1)

				tell(t, cache, lamp, time.Now(), certacl.Counts) // an operator overrules events, too
				forget(cache)
				wantReply(t, cache, acl, door, 1)

				forget(cache)
				acl.set("", errDown)
				cache.Forget(pki.Fingerprint{})
				wantReply(t, cache, acl, down, 1) // nothing stands in
			})
		})
	}
}

func TestForgetOwnerLeavesTheOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cache := &certacl.Cache{Size: 3000, TTL: ttl, Hold: hold, Lookup: func(_ context.Context, fp pki.Fingerprint) (string, bool, error) {
			return fmt.Sprintf("admin:%d", fp[7]%3), true, nil
		}}
		defer cache.Close()
		for n := range 2000 {
			if _, _, err := cache.Owner(t.Context(), numbered(n)); err != nil {
				t.Fatal(err)
			}
		}
		cache.Tell(numbered(5000), "admin:1", true, time.Now()) // not known of before
		want := 1
		for n := range 2000 {
			if byte(n)%3 == 1 {
				want++
			}
		}
		if got := cache.ForgetOwner("admin:1"); got != want {
			t.Errorf("%d forgotten, want %d", got, want)
		}
		if got := cache.Len(); got != 2001-want {
			t.Errorf("%d left, want %d", got, 2001-want)
		}
		if got := cache.ForgetOwner("admin:1"); got != 0 {
			t.Errorf("%d forgotten twice", got)
		}
	})
}

func TestOutdatedIsAskedForAndStandsIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: lamp.owner}
		cache := newHoldingCache(acl)
		defer cache.Close()
		wantReply(t, cache, acl, lamp, 1)
		time.Sleep(time.Second)
		cache.Outdate()
		acl.set("", errDown)
		wantReply(t, cache, acl, lamp, 1) // stale
		wantReply(t, cache, acl, lamp, 0) // and not asked for with every call
		acl.set(door.owner, nil)
		time.Sleep(time.Second)
		wantReply(t, cache, acl, door, 1)
		wantReply(t, cache, acl, door, 0)
	})
}

// An event of a certificate may be among those that were missed, and is read again after the gap without the one behind it:
// certificate-acl has the last word.
func TestWhatWasToldBeforeAGapIsDoubtful(t *testing.T) {
	for name, after := range map[string]func(t *testing.T, cache *certacl.Cache, at time.Time){
		"told once": func(*testing.T, *certacl.Cache, time.Time) {},
		"told again": func(t *testing.T, cache *certacl.Cache, at time.Time) {
			time.Sleep(5 * time.Second)
			tell(t, cache, lamp, at, certacl.Counts)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				acl := &certificateACL{owner: lamp.owner}
				cache := newHoldingCache(acl)
				defer cache.Close()
				wantReply(t, cache, acl, lamp, 1)
				at := time.Now()
				tell(t, cache, lamp, at, certacl.Counts)
				time.Sleep(time.Second)
				cache.Outdate()
				acl.set(door.owner, nil)
				after(t, cache, at)
				if owner, ok, err := cache.CurrentOwner(t.Context(), pki.Fingerprint{}); owner != lamp.owner || !ok || !errors.Is(err, certacl.ErrDoubtful) {
					t.Errorf("got %q, %t, %v, want what was told and ErrDoubtful", owner, ok, err)
				}
				time.Sleep(hold)
				wantReply(t, cache, acl, door, 1)
			})
		})
	}
}

func TestCurrentOwnerSaysWhatIsStale(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: lamp.owner}
		cache := newHoldingCache(acl)
		defer cache.Close()
		if owner, ok, err := cache.CurrentOwner(t.Context(), pki.Fingerprint{}); owner != lamp.owner || !ok || err != nil {
			t.Errorf("got %q, %t, %v", owner, ok, err)
		}
		time.Sleep(ttl)
		acl.set("", errDown)
		for range 2 { // the second comes while nobody is to ask again
			if owner, ok, err := cache.CurrentOwner(t.Context(), pki.Fingerprint{}); owner != lamp.owner || !ok || !errors.Is(err, certacl.ErrStale) {
				t.Errorf("got %q, %t, %v, want the owner and ErrStale", owner, ok, err)
			}
		}
	})
}

func TestRememberedSaysFromWhereAndHowOld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		acl := &certificateACL{owner: lamp.owner, delay: time.Second}
		cache := newHoldingCache(acl)
		defer cache.Close()
		want := func(m certacl.Memory, known bool) {
			t.Helper()
			if got, ok := cache.Remembered(pki.Fingerprint{}); ok != known || got != m {
				t.Errorf("got %+v, %t, want %+v, %t", got, ok, m, known)
			}
		}
		want(certacl.Memory{}, false)
		begin := time.Now()
		wantReply(t, cache, acl, lamp, 1)
		fresh := time.Now().Add(ttl)
		want(certacl.Memory{Owner: lamp.owner, Owned: true, Since: begin, FreshUntil: fresh, UsableUntil: fresh.Add(window)}, true)

		cache.Outdate()
		want(certacl.Memory{Owner: lamp.owner, Owned: true, Since: begin, FreshUntil: time.Now(), UsableUntil: fresh.Add(window)}, true)

		time.Sleep(time.Second)
		now := time.Now()
		tell(t, cache, nobody, now, certacl.Counts)
		want(certacl.Memory{Told: true, Since: now, FreshUntil: now.Add(hold), UsableUntil: now.Add(hold)}, true)
		time.Sleep(hold)
		want(certacl.Memory{}, false)
	})
}

// TestChangesFromAllSides lets everything happen at once; it is for the race detector, and for waiters that would hang.
func TestChangesFromAllSides(t *testing.T) {
	t.Parallel()
	acl := &certificateACL{owner: lamp.owner}
	cache := newHoldingCache(acl)
	defer cache.Close()
	var running sync.WaitGroup
	for worker := range 8 {
		running.Go(func() {
			for n := range 2000 {
				fp := numbered((worker + n) % 7)
				switch n % 11 {
				case 0:
					cache.Tell(fp, "admin:b", n%2 == 0, time.Now())
				case 1:
					cache.Forget(fp)
				case 2:
					cache.ForgetOwner("admin:b")
				case 3:
					cache.Outdate()
				case 4:
					cache.Remembered(fp)
				case 5:
					cache.ForgetAll()
				default:
					if _, _, err := cache.Owner(t.Context(), fp); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	running.Wait()
}
