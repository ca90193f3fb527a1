// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// patience is how long a test waits for what has to happen, on a machine that is busy with other things. How soon files
// count is tested where the clock stands still meanwhile.
const patience = time.Minute

// running is a store that follows a volume with real watching.
type running struct {
	*volume
	store *truststore.Store
	looks chan truststore.Result
	stop  func() // returns when Run has
}

// run opens and runs a store of the volume, until the test ends.
func run(v *volume) *running {
	v.t.Helper()
	v.date(time.Now().Add(-time.Hour)) // nothing is about to be written
	r := &running{volume: v, looks: make(chan truststore.Result, 1000)}
	config := v.config()
	config.OnReload = func(result truststore.Result, _ error) { r.looks <- result }
	r.store = open(v.t, config)
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := r.store.Run(ctx); err != nil {
			v.t.Errorf("Run: %v", err)
		}
	})
	r.stop = func() { cancel(); wait.Wait() }
	v.t.Cleanup(r.stop)
	r.await(truststore.Swapped)   // Open
	r.await(truststore.Unchanged) // Run, which now watches
	return r
}

// await waits for a look with the result.
func (r *running) await(want truststore.Result) {
	r.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case got := <-r.looks:
			if got == want {
				return
			}
		case <-timeout:
			r.t.Fatalf("no look was %v", want)
		}
	}
}

func TestNewCACountsSoonAfterTheLastWrite(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		prepare, change func(v *volume, bundle []byte)
	}{
		"in place": {
			func(*volume, []byte) {},
			func(v *volume, bundle []byte) { v.write("ca.crt", bundle) },
		},
		"renamed": {
			func(*volume, []byte) {},
			func(v *volume, bundle []byte) {
				v.write("new", bundle)
				v.rename("new", "ca.crt")
			},
		},
		"symlink to another file": {
			func(v *volume, _ []byte) {
				v.rename("ca.crt", "1.crt")
				v.symlink("1.crt", "ca.crt")
			},
			func(v *volume, bundle []byte) {
				v.write("2.crt", bundle)
				v.symlink("2.crt", "new")
				v.rename("new", "ca.crt")
			},
		},
		"..data": { // as Kubernetes does (pkg/volume/util/atomic_writer.go)
			func(v *volume, _ []byte) {
				v.mkdir("..1")
				v.rename("ca.crt", "..1/ca.crt")
				v.symlink("..1", "..data")
				v.symlink("..data/ca.crt", "ca.crt")
			},
			func(v *volume, bundle []byte) {
				v.mkdir("..2")
				v.write("..2/ca.crt", bundle)
				v.symlink("..2", "..data_tmp")
				v.rename("..data_tmp", "..data")
				v.remove("..1/ca.crt")
				v.remove("..1")
			},
		},
		"directory replaced": {
			func(v *volume, _ []byte) {
				v.mkdir("a")
				v.rename("ca.crt", "a/ca.crt")
				v.symlink("a/ca.crt", "ca.crt")
			},
			func(v *volume, bundle []byte) {
				v.mkdir("b")
				v.write("b/ca.crt", bundle)
				v.rename("a", "c")
				v.rename("b", "a")
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVolume(t)
			bundle := func(more ...*certtest.CA) []byte {
				all := v.root.PEM()
				for _, ca := range more {
					all = append(all, ca.PEM()...)
				}
				return all
			}
			row.prepare(v, bundle())
			r := run(v)
			one, two := certtest.NewCA("one"), certtest.NewCA("two")
			row.change(v, bundle(one))
			r.await(truststore.Swapped)
			if err := verify(r.store, one.Issue("acme:lamp")); err != nil {
				t.Error(err)
			}
			// What is there now is watched as well.
			v.write("ca.crt", bundle(one, two))
			r.await(truststore.Swapped)
			if err := verify(r.store, two.Issue("acme:lamp")); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBrokenFileIsNoticedAndMended(t *testing.T) {
	t.Parallel()
	r := run(newVolume(t))
	good := r.store.Current()
	r.write("ca.crt")
	r.await(truststore.Refused)
	r.remove("ca.crt")
	r.await(truststore.Refused)
	r.write("ca.crt", r.root.PEM())
	r.await(truststore.Unchanged)
	if r.store.Current() != good {
		t.Error("the last good generation is no longer in use")
	}
}

func TestWatchingSeesARotationWithoutRefusingAnybody(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	rotation := newRotation(v)
	r := run(v)
	stopAsking := rotation.askAllTheTime(t, r.store)
	defer stopAsking()
	rotation.write(v, func(string) {
		// Go on when the store has seen it, whatever it thinks of it.
		select {
		case <-r.looks:
		case <-time.After(patience):
			t.Fatal("the change is not noticed")
		}
	})
	stopAsking()
	rotation.wantRenewed(t, r.store)
}

// askAllTheTime asks about the good devices until the returned function is
// called, for the first time.
func (r *rotation) askAllTheTime(t *testing.T, store *truststore.Store) func() {
	end := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		for {
			select {
			case <-end:
				return
			default:
				r.wantGood(t, store, "at some moment")
			}
		}
	})
	return sync.OnceFunc(func() { close(end); asking.Wait() })
}

func TestIntervalIsEnoughWhenWatchingIsImpossible(t *testing.T) {
	t.Parallel()
	inBubbleUnwatched(t, time.Minute, func(b *bubble) {
		device := b.root.Issue("acme:lamp")
		b.write("ca.crl", revoking(b.root, 2, device.Leaf))
		b.pass(time.Minute)
		if err := verify(b.store, device); !errors.Is(err, pki.ErrRevoked) {
			b.t.Errorf("got %v, want %v", err, pki.ErrRevoked)
		}
		b.wantLogged("cannot be watched, changes are only found at intervals", 1)
	})
}

func TestWithoutWatchingThereIsAlwaysAnInterval(t *testing.T) {
	t.Parallel()
	inBubbleUnwatched(t, 0, func(b *bubble) {
		b.pass(truststore.DefaultRefreshInterval)
		if got := len(b.taken()); got != 3 { // Open, Run, and this one
			b.t.Errorf("%d looks, want 3", got)
		}
		b.wantLogged("level=ERROR", 1)
	})
}

func TestNothingRunsAfterRun(t *testing.T) {
	// Not parallel: other tests have goroutines of the same functions.
	r := run(newVolume(t))
	if !strings.Contains(goroutines(t), "watch.(*Watcher)") {
		t.Fatal("there is no watcher even while it runs")
	}
	r.stop()
	// The reader of fsnotify has ended its work, and may yet have to return.
	for start := time.Now(); ; runtime.Gosched() {
		left := goroutines(t)
		if !strings.Contains(left, "truststore.(") && !strings.Contains(left, "watch.(") && !strings.Contains(left, "fsnotify") {
			return
		}
		if time.Since(start) > patience {
			t.Fatalf("still running:\n%s", left)
		}
	}
}

func goroutines(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func (v *volume) rename(from, to string) {
	v.t.Helper()
	if err := os.Rename(v.path(from), v.path(to)); err != nil {
		v.t.Fatal(err)
	}
}

func (v *volume) symlink(target, name string) {
	v.t.Helper()
	if err := os.Symlink(target, v.path(name)); err != nil {
		v.t.Fatal(err)
	}
}

func (v *volume) mkdir(name string) {
	v.t.Helper()
	if err := os.Mkdir(v.path(name), 0o700); err != nil {
		v.t.Fatal(err)
	}
}

// Files that are written in place, over and over, while devices connect: no good one is refused, and in the end the last
// version counts.
func TestHandshakesWhileFilesAreWritten(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	rotation := newRotation(v)
	r := run(v)
	end := make(chan struct{})
	var asking sync.WaitGroup
	for i, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		asking.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				if _, err := shakeHands(t, r.store.Current(), rotation.good[i].TLS(), version); err != nil {
					t.Errorf("a good device is refused: %v", err)
				}
			}
		})
	}
	// A store that reads meanwhile finds files in every state.
	for range 20 {
		rotation.write(v, func(string) { runtime.Gosched() })
		if err := r.store.Reload(t.Context()); err != nil {
			t.Errorf("files that are complete: %v", err)
		}
	}
	close(end)
	asking.Wait()
	rotation.wantRenewed(t, r.store)
}
