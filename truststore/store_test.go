// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"context"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// bubble is a store that follows a volume in the time of a synctest bubble.
// What a watcher would notice is told by touch.
type bubble struct {
	*volume
	store   *truststore.Store
	changes chan struct{}
	record
}

// inBubble runs a test with a store of a good volume that is told of changes by
// touch. The first look of following it, which finds nothing changed, is over
// when the test begins.
func inBubble(t *testing.T, interval time.Duration, change func(*bubble, *truststore.Config), test func(*bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, func(b *bubble, c *truststore.Config) {
			if change != nil {
				change(b, c)
			}
		})
		defer b.start(func(ctx context.Context) { b.store.Follow(ctx, b.changes, interval) })()
		b.pass(truststore.QuietTime)
		b.begin()
		test(b)
	})
}

// inBubbleUnwatched runs a test with a store that cannot watch its files.
func inBubbleUnwatched(t *testing.T, interval time.Duration, test func(*bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, func(_ *bubble, c *truststore.Config) { c.RefreshInterval = interval })
		b.store.TestingOnlyFailWatching(errors.New("no inotify instances left"))
		defer b.start(func(ctx context.Context) { b.store.Run(ctx) })()
		b.pass(truststore.QuietTime)
		test(b)
	})
}

func newBubble(t *testing.T, change func(*bubble, *truststore.Config)) *bubble {
	t.Helper()
	b := &bubble{volume: newVolume(t), changes: make(chan struct{}, 1)}
	config := b.config()
	config.Logger = slog.New(slog.NewTextHandler(b, nil))
	config.OnReload = b.observe
	change(b, &config)
	b.store = open(t, config)
	return b
}

// start runs f until the returned function is called.
func (b *bubble) start(f func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	var running sync.WaitGroup
	running.Go(func() { f(ctx) })
	return func() { cancel(); running.Wait() }
}

// pass lets time go by.
func (b *bubble) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// touch tells the store that files have changed, and lets some time go by.
func (b *bubble) touch(then time.Duration) {
	b.changes <- struct{}{}
	b.pass(then)
}

// wantLooks fails the test unless exactly these looks were taken.
func (b *bubble) wantLooks(want ...look) {
	b.t.Helper()
	if got := b.taken(); !slices.Equal(got, want) {
		b.t.Errorf("looks %v, want %v", got, want)
	}
}

// wantLogged fails the test unless the log has so many lines with the text.
func (b *bubble) wantLogged(text string, times int) {
	b.t.Helper()
	if got := strings.Count(b.logged(), text); got != times {
		b.t.Errorf("logged %q %d times, want %d:\n%s", text, got, times, b.logged())
	}
}

func TestFilesAreLookedAtOnceQuiet(t *testing.T) {
	t.Parallel()
	inBubble(t, 0, nil, func(b *bubble) {
		for range 3 {
			b.touch(200 * time.Millisecond)
		}
		b.pass(time.Hour)
		b.wantLooks(look{400*time.Millisecond + truststore.QuietTime, truststore.Unchanged})
	})
}

func TestQuietIsNotWaitedForEndlessly(t *testing.T) {
	t.Parallel()
	inBubble(t, 0, nil, func(b *bubble) {
		for range 29 {
			b.touch(100 * time.Millisecond)
		}
		b.wantLooks(look{truststore.Patience, truststore.Unchanged})
		b.pass(time.Hour)
		if got := b.taken(); len(got) != 2 {
			b.t.Errorf("looks %v, want one more when it is quiet", got)
		}
	})
}

func TestSetThatOnlyAddsIsTakenOnceQuiet(t *testing.T) {
	t.Parallel()
	inBubble(t, 0, nil, func(b *bubble) {
		other := certtest.NewCA("other")
		b.write("ca.crt", b.root.PEM(), other.PEM())
		b.touch(time.Hour)
		b.wantLooks(look{truststore.QuietTime, truststore.Swapped})
		if err := verify(b.store, other.Issue("acme:lamp")); err != nil {
			b.t.Error(err)
		}
	})
}

func TestWhatLacksSomethingHasToSettle(t *testing.T) {
	t.Parallel()
	other := certtest.NewCA("other")
	for name, row := range map[string]struct {
		before, after func(*bubble)
		first         truststore.Result
	}{
		"a CA": {
			func(b *bubble) { b.write("ca.crt", b.root.PEM(), other.PEM()) },
			func(b *bubble) { b.write("ca.crt", b.root.PEM()) },
			truststore.Settling,
		},
		"a CRL": {
			func(b *bubble) {
				b.write("ca.crt", b.root.PEM(), other.PEM())
				b.write("ca.crl", revoking(b.root, 1), revoking(other, 1))
			},
			func(b *bubble) { b.write("ca.crl", revoking(b.root, 1)) },
			truststore.Swapped, // the other list of the file counts at once
		},
		"an intermediate of the server": {
			func(b *bubble) {
				b.server = b.root.Intermediate("servers").Issue("broker")
				b.write("tls.crt", b.server.CertPEM())
				b.write("tls.key", b.server.KeyPEM())
			},
			func(b *bubble) { b.write("tls.crt", certtest.CertsPEM(b.server.Leaf)) },
			truststore.Settling,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, 0, func(b *bubble, _ *truststore.Config) { row.before(b) }, func(b *bubble) {
				row.after(b)
				b.touch(time.Hour)
				b.wantLooks(
					look{truststore.QuietTime, row.first},
					look{truststore.QuietTime + truststore.SettleDelay, truststore.Swapped},
				)
				b.wantLogged("trust files take something away", 1)
			})
		})
	}
}

func TestSettlingBeginsAnewWithEveryChange(t *testing.T) {
	t.Parallel()
	one, two := certtest.NewCA("one"), certtest.NewCA("two")
	whole := func(b *bubble, _ *truststore.Config) { b.write("ca.crt", b.root.PEM(), one.PEM(), two.PEM()) }
	inBubble(t, 0, whole, func(b *bubble) {
		b.write("ca.crt", b.root.PEM())
		b.touch(2 * time.Second)
		b.write("ca.crt", b.root.PEM(), one.PEM())
		b.touch(2 * time.Second)
		whole(b, nil)
		b.touch(time.Hour)
		if got := b.store.Current().Sequence(); got != 1 {
			b.t.Errorf("generation %d is in use, want the first still: %v", got, b.taken())
		}
	})
}

func TestReloadDoesNotWait(t *testing.T) {
	t.Parallel()
	other := certtest.NewCA("other")
	both := func(b *bubble, _ *truststore.Config) { b.write("ca.crt", b.root.PEM(), other.PEM()) }
	inBubble(t, 0, both, func(b *bubble) {
		b.write("ca.crt", b.root.PEM())
		if err := b.store.Reload(b.t.Context()); err != nil {
			b.t.Fatal(err)
		}
		b.wantLooks(look{0, truststore.Swapped})
	})
}

func TestReloadTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	store := open(t, v.config())
	good := store.Current()
	v.write("ca.crt")
	if err := store.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "holds no certificate") {
		t.Errorf("got %v", err)
	}
	if store.Current() != good {
		t.Error("the last good generation is no longer in use")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.Reload(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestIntervalFindsChangesThatNobodyNoticed(t *testing.T) {
	t.Parallel()
	inBubble(t, time.Minute, nil, func(b *bubble) {
		device := b.root.Issue("acme:lamp")
		b.pass(90 * time.Second)
		b.write("ca.crl", revoking(b.root, 2, device.Leaf))
		b.pass(29 * time.Second)
		if err := verify(b.store, device); err != nil {
			b.t.Errorf("before the interval is over: %v", err)
		}
		b.pass(time.Second)
		if err := verify(b.store, device); !errors.Is(err, pki.ErrRevoked) {
			b.t.Errorf("got %v, want %v", err, pki.ErrRevoked)
		}
		b.wantLooks(look{time.Minute, truststore.Unchanged}, look{2 * time.Minute, truststore.Swapped})
	})
}

// A file that cannot be read is read again soon, although nothing tells of a change: a process that has run out of descriptors
// gets some back without a sign. Here a link that leads to itself is such a file.
func TestAFileThatCannotBeReadIsReadAgainSoon(t *testing.T) {
	t.Parallel()
	const quiet, s, m = truststore.QuietTime, time.Second, time.Minute
	for name, row := range map[string]struct {
		file     string
		absent   bool // in place of unreadable
		interval time.Duration
		want     []time.Duration // after the first reading, up to 20 minutes
	}{
		"a list":                   {file: "ca.crl", interval: 10 * s, want: []time.Duration{1 * s, 3 * s, 7 * s, 15 * s, 25 * s, 35 * s}},
		"a CA":                     {file: "ca.crt", interval: 10 * s, want: []time.Duration{1 * s, 3 * s, 7 * s, 15 * s, 25 * s, 35 * s}},
		"a key, without interval":  {file: "tls.key", want: []time.Duration{1 * s, 3 * s, 7 * s, 15 * s, 31 * s, 63 * s, 127 * s, 255 * s, 511 * s, 811 * s, 1111 * s}},
		"a list that is not there": {file: "ca.crl", absent: true, interval: 15 * m, want: []time.Duration{15 * m}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, row.interval, nil, func(b *bubble) {
				b.rename(row.file, "away")
				if !row.absent {
					b.symlink(row.file, row.file)
				}
				b.touch(20 * time.Minute)
				var got []time.Duration
				for _, l := range b.taken()[1:] {
					got = append(got, l.at-quiet)
				}
				if got = got[:min(len(got), len(row.want))]; !slices.Equal(got, row.want) {
					b.t.Errorf("read again after %v, want %v", got, row.want)
				}
			})
		})
	}
}

// A change that cannot be read counts a second after it can be, however long the files could not be read before.
func TestARevocationCountsOnceItCanBeRead(t *testing.T) {
	t.Parallel()
	inBubble(t, 5*time.Minute, nil, func(b *bubble) {
		bad := b.root.Issue("acme:bad")
		b.remove("ca.crl")
		b.symlink("ca.crl", "ca.crl")
		b.touch(time.Minute)
		b.touch(truststore.QuietTime)
		b.remove("ca.crl")
		b.write("ca.crl", revoking(b.root, 2, bad.Leaf))
		b.pass(time.Second)
		wantRevoked(b.t, b.store, bad)
		b.wantLogged("too many levels of symbolic links", 1)
		b.wantLogged("are good again", 1)
	})
}

func TestRefusedSetIsLoggedOncePerState(t *testing.T) {
	t.Parallel()
	inBubble(t, time.Minute, nil, func(b *bubble) {
		good := b.store.Current()
		b.write("tls.key")
		b.pass(10 * time.Minute)
		b.wantLogged("are refused", 1)
		b.write("tls.key", certtest.NewCA("x").Issue("x").KeyPEM())
		b.pass(10 * time.Minute)
		b.wantLogged("are refused", 2)
		b.wantLogged("does not belong to", 1)
		b.write("tls.key", b.server.KeyPEM())
		b.pass(10 * time.Minute)
		b.wantLogged("are good again", 1)
		if b.store.Current() != good {
			b.t.Error("equal bytes have become a new generation")
		}
		if got := len(b.taken()); got != 30 {
			b.t.Errorf("the observer was told of %d looks, want 30", got)
		}
	})
}

func TestOlderCRLIsRefused(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, row := range map[string]struct {
		used, offered certtest.CRLOptions
		refused       bool
	}{
		"lower number":                        {certtest.CRLOptions{Number: 5, ThisUpdate: now}, certtest.CRLOptions{Number: 4, ThisUpdate: now}, true},
		"lower number, later":                 {certtest.CRLOptions{Number: 5, ThisUpdate: now.Add(-time.Hour)}, certtest.CRLOptions{Number: 4, ThisUpdate: now}, false},
		"same number, earlier":                {certtest.CRLOptions{Number: 5, ThisUpdate: now}, certtest.CRLOptions{Number: 5, ThisUpdate: now.Add(-time.Hour)}, true},
		"no numbers, earlier":                 {certtest.CRLOptions{Number: -1, ThisUpdate: now}, certtest.CRLOptions{Number: -1, ThisUpdate: now.Add(-time.Hour)}, true},
		"same number, signed again":           {certtest.CRLOptions{Number: 5, ThisUpdate: now}, certtest.CRLOptions{Number: 5, ThisUpdate: now}, false},
		"lower number, hardly later":          {certtest.CRLOptions{Number: 5, ThisUpdate: now.Add(-time.Minute)}, certtest.CRLOptions{Number: 4, ThisUpdate: now}, true},
		"higher number, earlier":              {certtest.CRLOptions{Number: 5, ThisUpdate: now}, certtest.CRLOptions{Number: 6, ThisUpdate: now.Add(-time.Hour)}, true},
		"higher number, hardly earlier":       {certtest.CRLOptions{Number: 5, ThisUpdate: now}, certtest.CRLOptions{Number: 6, ThisUpdate: now.Add(-time.Minute)}, false},
		"lower number of another scope":       {certtest.CRLOptions{Number: 5}, certtest.CRLOptions{Number: 4, Extensions: distributionPoint(usersOnlyField)}, false},
		"no number any more, but it is later": {certtest.CRLOptions{Number: 5, ThisUpdate: now.Add(-time.Hour)}, certtest.CRLOptions{Number: -1, ThisUpdate: now}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVolume(t)
			v.write("ca.crl", v.root.CRL(row.used))
			store := open(t, v.config())
			v.write("ca.crl", v.root.CRL(row.offered))
			err := store.Reload(t.Context())
			if row.refused && (err == nil || !strings.Contains(err.Error(), "is older (")) || !row.refused && err != nil {
				t.Errorf("got %v, want refused %v", err, row.refused)
			}
		})
	}
}

// TestACAThatCountsAnewIsBelieved has a CA that was restored from a backup: its lists have lower numbers than those before,
// which anybody can put in their place again.
func TestACAThatCountsAnewIsBelieved(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	bad := v.root.Issue("acme:bad")
	before := v.root.CRL(certtest.CRLOptions{Number: 100, ThisUpdate: pastHours(2)})
	after := v.root.CRL(certtest.CRLOptions{Number: 5, ThisUpdate: pastHours(1), Serials: []*big.Int{bad.Leaf.SerialNumber}})
	v.write("ca.crl", before)
	store := open(t, v.config())
	if err := verify(store, bad); err != nil {
		t.Fatal(err)
	}
	v.write("ca.crl", after)
	if err := store.Reload(t.Context()); err != nil || !errors.Is(verify(store, bad), pki.ErrRevoked) {
		t.Errorf("restored: %v, %v", err, verify(store, bad))
	}
	v.write("ca.crl", before)
	if err := store.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "is older (number 100 of ") || !errors.Is(verify(store, bad), pki.ErrRevoked) {
		t.Errorf("replayed: %v, %v", err, verify(store, bad))
	}
	v.write("first.crl", before)
	v.write("second.crl", after)
	for _, files := range [][]string{{"first.crl", "second.crl"}, {"second.crl", "first.crl"}} {
		config := v.config()
		config.CRLs = []string{v.path(files[0]), v.path(files[1])}
		if err := verify(open(t, config), bad); !errors.Is(err, pki.ErrRevoked) {
			t.Errorf("with both, in %v: got %v", files, err)
		}
	}
}

func TestOptionalCRLMayBeAbsentUntilItIsUsed(t *testing.T) {
	t.Parallel()
	absent := func(b *bubble, c *truststore.Config) {
		b.remove("ca.crl")
		c.CRLOptional = true
	}
	inBubble(t, 0, absent, func(b *bubble) {
		device := b.root.Issue("acme:lamp")
		if got := len(b.store.Current().Files()); got != 3 {
			b.t.Errorf("%d files, want 3", got)
		}
		b.write("ca.crl", revoking(b.root, 1, device.Leaf))
		b.touch(time.Hour)
		if err := verify(b.store, device); !errors.Is(err, pki.ErrRevoked) {
			b.t.Errorf("got %v, want %v", err, pki.ErrRevoked)
		}
		b.remove("ca.crl")
		b.touch(time.Hour)
		b.wantLogged("is gone", 1)
		if err := verify(b.store, device); !errors.Is(err, pki.ErrRevoked) {
			b.t.Errorf("without its CRL: got %v, want %v", err, pki.ErrRevoked)
		}
	})
}

func TestOptionalCRLMustBeReadableWhenItIsThere(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	v.remove("ca.crl")
	config := v.config()
	config.CRLOptional = true
	store := open(t, config)
	v.mkdir("ca.crl")
	if err := store.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "reading CRL file") {
		t.Errorf("got %v", err)
	}
}

func TestOverdueCRLIsToldOncePerState(t *testing.T) {
	t.Parallel()
	soon := func(b *bubble, c *truststore.Config) {
		b.write("ca.crl", b.root.CRL(certtest.CRLOptions{Number: 1, NextUpdate: time.Now().Add(time.Hour)}))
		c.CRLExpiredGrace = time.Hour
	}
	inBubble(t, 0, soon, func(b *bubble) { // not even the interval is needed
		device := b.root.Issue("acme:lamp")
		b.pass(90 * time.Minute)
		b.wantLogged("CRL is overdue, it is used until its grace ends", 1)
		if err := verify(b.store, device); err != nil {
			b.t.Errorf("within the grace: %v", err)
		}
		b.pass(time.Hour)
		b.wantLogged("CRL is overdue, it is used until its grace ends", 1)
		b.wantLogged("CRL is overdue, clients of its CA are refused", 1)
		if err := verify(b.store, device); !errors.Is(err, pki.ErrRevocationUnknown) {
			b.t.Errorf("beyond the grace: got %v, want %v", err, pki.ErrRevocationUnknown)
		}
		b.write("ca.crl", revoking(b.root, 2))
		b.touch(time.Minute)
		b.wantLogged("CRL is no longer overdue", 1)
		if err := verify(b.store, device); err != nil {
			b.t.Errorf("replaced: %v", err)
		}
	})
}

func TestGoodSetWithOdditiesWarns(t *testing.T) {
	t.Parallel()
	inBubble(t, 0, nil, func(b *bubble) {
		expired := certtest.NewCA("old", certtest.NotAfter(time.Now().Add(-time.Minute)))
		b.write("ca.crt", b.root.PEM(), expired.PEM(), b.root.Issue("acme:lamp").CertPEM())
		b.write("ca.crl", b.root.CRL(certtest.CRLOptions{Number: 2, NoNextUpdate: true}))
		b.touch(time.Minute)
		b.wantLogged("level=WARN", 3)
		b.wantLogged("is not a CA and is ignored", 1)
		b.wantLogged("CA certificate has expired", 1)
		b.wantLogged("CRL has no next update", 1)
	})
}

func TestEachMistakeIsLoggedOnce(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	var r record
	config := v.config()
	config.Logger = slog.New(slog.NewTextHandler(&r, nil))
	store := open(t, config)
	v.write("ca.crl", revoking(v.root, 1), block("X509 CRL", []byte("no list")), block("X509 CRL", []byte("nor this")))
	for range 3 {
		_ = store.Reload(t.Context())
	}
	for _, mistake := range []string{"list 2: ", "list 3: "} {
		if got := strings.Count(r.logged(), mistake); got != 1 {
			t.Errorf("%q is logged %d times, want once:\n%s", mistake, got, r.logged())
		}
	}
	v.write("ca.crl", revoking(v.root, 1))
	_ = store.Reload(t.Context())
	if got := strings.Count(r.logged(), "good again"); got != 1 {
		t.Errorf("that the file is good again is logged %d times, want once:\n%s", got, r.logged())
	}
}

func TestOpenWaitsForAFirstGoodSet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newVolume(t)
		v.remove("tls.key")
		config := v.config()
		config.StartTimeout = time.Minute
		var r record
		config.Logger = slog.New(slog.NewTextHandler(&r, nil))
		start := time.Now()
		// Between two looks: at the instant of one, the store could find the file half written and rightly say so.
		const mended = 10*time.Second + time.Millisecond
		go func() {
			time.Sleep(mended)
			v.write("tls.key", v.server.KeyPEM())
		}()
		open(t, config)
		if got, want := time.Since(start), mended+truststore.QuietTime; got > want {
			t.Errorf("took %v, want at most %v", got, want)
		}
		if got := strings.Count(r.logged(), "level=WARN"); got != 1 {
			t.Errorf("%d warnings, want one:\n%s", got, r.logged())
		}
	})
}

func TestOpenDoesNotLogWhatItReturns(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	v.remove("tls.key")
	var r record
	config := v.config()
	config.Logger = slog.New(slog.NewTextHandler(&r, nil))
	if _, err := truststore.Open(t.Context(), config); err == nil {
		t.Error("accepted")
	}
	if got := r.logged(); got != "" {
		t.Errorf("logged %s", got)
	}
}

func TestOpenGivesUpWithAllMistakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newVolume(t)
		v.remove("tls.key")
		v.remove("ca.crt")
		config := v.config()
		config.StartTimeout = time.Minute
		start := time.Now()
		_, err := truststore.Open(t.Context(), config)
		if got := time.Since(start); got != time.Minute {
			t.Errorf("took %v, want %v", got, time.Minute)
		}
		if err == nil || !strings.Contains(err.Error(), "tls.key") || !strings.Contains(err.Error(), "ca.crt") {
			t.Errorf("got error %v, want it to name both files", err)
		}
	})
}

func TestOpenEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newVolume(t)
		v.remove("tls.key")
		config := v.config()
		config.StartTimeout = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := truststore.Open(ctx, config); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
	})
}

func TestFilesJustWrittenAreLeftAloneAtTheStart(t *testing.T) {
	t.Parallel()
	v := newVolume(t) // in real time, which the files are dated in
	var looks []truststore.Result
	config := v.config()
	config.StartTimeout = time.Minute
	config.OnReload = func(result truststore.Result, _ error) { looks = append(looks, result) }
	v.date(time.Now().Add(-time.Hour))
	open(t, config)
	if want := []truststore.Result{truststore.Swapped}; !slices.Equal(looks, want) {
		t.Errorf("old files: %v, want %v", looks, want)
	}
	looks = nil
	v.date(time.Now())
	open(t, config)
	if len(looks) < 2 || looks[0] != truststore.Settling || looks[len(looks)-1] != truststore.Swapped {
		t.Errorf("young files: %v, want first %v and then %v", looks, truststore.Settling, truststore.Swapped)
	}
	looks = nil
	v.write("ca.crl", []byte("-----BEGIN X509 CRL-----")) // half written
	v.date(time.Now())
	config.StartTimeout = time.Second
	if _, err := truststore.Open(t.Context(), config); err == nil {
		t.Error("half a file was taken for a good one")
	}
	if len(looks) < 2 || looks[0] != truststore.Settling || looks[len(looks)-1] != truststore.Refused {
		t.Errorf("young and broken files: %v, want first %v and then %v", looks, truststore.Settling, truststore.Refused)
	}
}

func TestReloadBringsRevocation(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	store := open(t, v.config())
	device := v.root.Issue("acme:lamp")
	if err := verify(store, device); err != nil {
		t.Fatalf("before: %v", err)
	}
	v.write("ca.crl", revoking(v.root, 2, device.Leaf))
	if err := store.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := verify(store, device); !errors.Is(err, pki.ErrRevoked) {
		t.Errorf("after: got %v, want %v", err, pki.ErrRevoked)
	}
	if got, want := store.Current().Sequence(), uint64(2); got != want {
		t.Errorf("sequence %d, want %d", got, want)
	}
}

func TestPolicyText(t *testing.T) {
	t.Parallel()
	for _, want := range []truststore.Policy{truststore.Allow, truststore.Deny} {
		var got truststore.Policy
		if err := got.UnmarshalText([]byte(want.String())); err != nil || got != want {
			t.Errorf("got %v and %v, want %v", got, err, want)
		}
	}
	var p truststore.Policy
	if err := p.UnmarshalText([]byte("Allow")); err == nil {
		t.Error("accepted a policy that is spelled differently")
	}
}

// A server certificate that is renewed ahead of time is taken when it becomes valid, and one that has expired is told of,
// without a change of any file.
func TestServerCertificatesFollowTheClock(t *testing.T) {
	t.Parallel()
	inBubble(t, 0, nil, func(b *bubble) {
		renewed := b.root.Issue("renewed", certtest.Server("localhost"), certtest.NotBefore(time.Now().Add(time.Hour)))
		b.write("tls.crt", renewed.CertPEM())
		b.write("tls.key", renewed.KeyPEM())
		b.touch(time.Minute)
		if got := b.store.Current().ServerCertificates()[0].Leaf; !got.Equal(b.server.Leaf) || len(b.store.Refusals()) != 1 {
			b.t.Errorf("before: %v is in use, refused: %v", got.Subject, b.store.Refusals())
		}
		b.pass(time.Hour)
		if got := b.store.Current().ServerCertificates()[0].Leaf; !got.Equal(renewed.Leaf) || len(b.store.Refusals()) != 0 {
			b.t.Errorf("after: %v is in use, refused: %v", got.Subject, b.store.Refusals())
		}
		b.pass(48 * time.Hour)
		b.wantLogged("server certificate is not valid now and is used nevertheless", 1)
	})
}

func TestRefusalsHaveTheTimeSinceWhen(t *testing.T) {
	t.Parallel()
	inBubble(t, time.Minute, nil, func(b *bubble) {
		began := time.Now()
		b.write("tls.key")
		b.touch(10 * time.Minute)
		b.write("tls.key", certtest.NewCA("x").Issue("x").KeyPEM())
		b.touch(10 * time.Minute)
		got := b.store.Refusals()
		if len(got) != 1 || got[0].Kind != truststore.KindServer || got[0].File != b.path("tls.crt") || got[0].Since.Sub(began) != truststore.QuietTime {
			b.t.Errorf("got %+v, want one of the server certificate since %v", got, began.Add(truststore.QuietTime))
		}
	})
}

// To open a pipe is to wait for its writer, and then nothing would be read any more.
func TestAPipeIsRefused(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	device := v.root.Issue("acme:lamp")
	v.write("ca.crl", revoking(v.root, 2, device.Leaf))
	store := open(t, v.config())
	for _, name := range []string{"ca.crl", "ca.crt", "tls.key"} {
		v.remove(name)
		if err := syscall.Mkfifo(v.path(name), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := store.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), name+" is a pipe, expected a file") {
			t.Errorf("%s: got %v", name, err)
		}
		if err := verify(store, device); !errors.Is(err, pki.ErrRevoked) {
			t.Errorf("%s: got %v, want the last good files in use", name, err)
		}
	}
}

// TestABrokenPartOfAFileMakesNoOtherGenerations: the file is as it was, and so are the lists that count.
func TestABrokenPartOfAFileMakesNoOtherGenerations(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]string{
		"cut":     "-----BEGIN X509 CRL-----\nMIIB\n",
		"no list": "-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n",
		"garbled": "-----BEGIN X509 CRL-----\n!\n-----END X509 CRL-----\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVolume(t)
			swaps := 0
			config := v.config()
			config.OnSwap = func(_, _ *truststore.Generation) { swaps++ }
			store := open(t, config)
			bad := v.root.Issue("acme:bad")
			for number := int64(2); number < 4; number++ {
				v.write("ca.crl", revoking(v.root, number, bad.Leaf), []byte(broken))
				for range 3 {
					if err := store.Reload(t.Context()); err == nil || !errors.Is(verify(store, bad), pki.ErrRevoked) {
						t.Errorf("got %v and %v, want that the broken part is refused and the list counts", err, verify(store, bad))
					}
				}
			}
			if swaps != 2 {
				t.Errorf("%d generations of two changes", swaps)
			}
			v.write("ca.crl", revoking(v.root, 4))
			if err := store.Reload(t.Context()); err != nil || verify(store, bad) != nil {
				t.Errorf("once it is whole: %v and %v", err, verify(store, bad))
			}
		})
	}
}

// TestAFileThatCannotBeReadToItsEndIsReadAgain: it is as it was, and the reason may be gone.
func TestAFileThatCannotBeReadToItsEndIsReadAgain(t *testing.T) {
	t.Parallel()
	dir, err := os.Open(newVolume(t).dir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	info, err := dir.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err, again := truststore.ReadFailing(dir, info.Size(), info.ModTime()); !errors.Is(err, syscall.EISDIR) || !again {
		t.Errorf("got %v and that it is read again %v", err, again)
	}
}
