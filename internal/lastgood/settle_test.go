// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package lastgood

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/internal/watch"
)

// A token is a file of which each piece looks whole.
type token struct {
	t       *testing.T
	path    string
	changes chan struct{}
}

func newToken(t *testing.T) *token {
	return &token{t, filepath.Join(t.TempDir(), "token"), make(chan struct{}, 1)}
}

// write writes the file in place at the time of the bubble, and has the change noticed.
func (f *token) write(text string) {
	f.t.Helper()
	now := time.Now()
	if err := errors.Join(os.WriteFile(f.path, []byte(text), 0o600), os.Chtimes(f.path, now, now)); err != nil {
		f.t.Fatal(err)
	}
	select {
	case f.changes <- struct{}{}:
	default:
	}
}

// open has the file followed until the test ends.
func (f *token) open(startTimeout time.Duration) *Files[string] {
	f.t.Helper()
	files, err := Open(f.t.Context(), Config[string]{
		Paths:        []string{f.path},
		Read:         func(contents [][]byte) (string, error) { return string(contents[0]), nil },
		StartTimeout: startTimeout,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); files.follow(ctx, f.changes, 0) }()
	f.t.Cleanup(func() { cancel(); <-done })
	return files
}

func (f *token) want(files *Files[string], want string) {
	f.t.Helper()
	synctest.Wait()
	if got := files.Current(); got != want {
		f.t.Errorf("in use is %q, want %q", got, want)
	}
}

// What a slow writer has written until now never counts, however long it takes.
func TestHalfAFileDoesNotCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := newToken(t)
		file.write("before")
		files := file.open(0)
		for _, written := range []string{"a", "af", "aft", "afte", "after"} {
			file.write(written)
			time.Sleep(2 * time.Second)
			file.want(files, "before")
		}
		time.Sleep(watch.SettleDelay)
		file.want(files, "after")

		file.write("piece")
		time.Sleep(time.Second)
		file.write("after") // as it was: there is nothing to wait for
		time.Sleep(time.Second)
		file.write("piece") // and it has to stay anew
		time.Sleep(2 * time.Second)
		file.want(files, "after")
	})
}

// What keeps the system from reading a file ends without a change of the file: it is read again, soon at first.
func TestAFileThatCannotBeReadIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		lasts, within time.Duration
	}{
		"for a moment": {500 * time.Millisecond, 2 * time.Second},
		"for an hour":  {time.Hour, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				file := newToken(t)
				file.write("before")
				files := file.open(0)
				if err := errors.Join(os.Remove(file.path), os.Mkdir(file.path, 0o700)); err != nil { // which can be opened and not read
					t.Fatal(err)
				}
				file.changes <- struct{}{}
				time.Sleep(watch.QuietTime + row.lasts)
				if files.Refusal() == nil {
					t.Fatal("it was read")
				}
				if err := errors.Join(os.Remove(file.path), os.WriteFile(file.path, []byte("after"), 0o600)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(row.within + watch.SettleDelay)
				file.want(files, "after")
			})
		})
	}
}

// That a file comes is told.
func TestAFileThatIsNotThereIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := newToken(t)
		file.write("before")
		files := file.open(0)
		if err := os.Remove(file.path); err != nil {
			t.Fatal(err)
		}
		file.changes <- struct{}{}
		time.Sleep(time.Minute)
		if err := os.WriteFile(file.path, []byte("after"), 0o600); err != nil { // of which nothing is told yet
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		file.want(files, "before")
		file.changes <- struct{}{}
		time.Sleep(watch.Patience + watch.SettleDelay)
		file.want(files, "after")
	})
}

func TestReloadWaitsForNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := newToken(t)
		file.write("before")
		files := file.open(0)
		file.write("after")
		if err := files.Reload(); err != nil {
			t.Error(err)
		}
		file.want(files, "after")
	})
}

func TestOpenWaitsForAFileThatIsBeingWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := newToken(t)
		file.write("piece")
		go func() {
			time.Sleep(watch.QuietTime / 2)
			file.write("piece and the rest")
		}()
		begin := time.Now()
		files := file.open(time.Minute)
		file.want(files, "piece and the rest")
		if took := time.Since(begin); took > time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
