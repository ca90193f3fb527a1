// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crlfetch_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/crlfetch"
)

// TestADamagedCopyIsFetchedAnew, while the server says that it has not changed.
func TestADamagedCopyIsFetchedAnew(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(file string) error{
		"zeros": func(file string) error { return os.WriteFile(file, make([]byte, 3), 0o600) },
		"cut":   func(file string) error { return os.Truncate(file, 1) },
		"bad":   func(file string) error { return os.WriteFile(file, []byte("bad"), 0o600) },
		"a directory": func(file string) error {
			_ = os.Remove(file)
			return os.Mkdir(file, 0o700)
		},
	} {
		for _, when := range []string{"while it runs", "before a start"} {
			t.Run(name+" "+when, func(t *testing.T) {
				t.Parallel()
				p := publish(t, "one")
				p.header.Set("ETag", `"1"`)
				dir := t.TempDir()
				f := follow(t, dir, p.source())
				f.wants(crlfetch.Replaced, "one")
				if err := damage(f.Status()[0].File); err != nil {
					t.Fatal(err)
				}
				if when == "before a start" {
					f = follow(t, dir, p.source())
				}
				if name == "a directory" {
					f.inMemory(crlfetch.Replaced, "one")
					return
				}
				f.wants(crlfetch.Replaced, "one")
				f.wants(crlfetch.Unchanged, "one")
			})
		}
	}
}

// TestADamagedCopyIsNoneThatIsReplaced: to find out what is in use, the first list must not wait for those who wait for it.
func TestADamagedCopyIsNoneThatIsReplaced(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		text  string
		first bool
	}{
		"damaged": {"bad", true},
		"good":    {"two", false}, // as after a crash before its note was written
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := publish(t, "one")
			dir := t.TempDir()
			f := follow(t, dir, p.source())
			f.wants(crlfetch.Replaced, "one")
			if err := os.WriteFile(f.Status()[0].File, []byte(row.text), 0o600); err != nil {
				t.Fatal(err)
			}
			p.change(func() { p.body = "three" })
			var tried []crlfetch.Download
			again := crlfetch.New(crlfetch.Config{
				Client: p.Client(), Dir: dir, Refresh: time.Minute, MaxSize: 1000,
				Try: func(_ context.Context, d crlfetch.Download) (v crlfetch.Verdict, err error) {
					tried = append(tried, d)
					if data, _ := os.ReadFile(d.File); strings.HasPrefix(string(data), "bad") {
						err = errBad
					}
					return v, err
				},
			})
			again.Follow([]crlfetch.Source{p.source()})
			again.FetchOnce(t.Context())
			if len(tried) != 2 || !tried[0].First || tried[0].File != f.Status()[0].File || tried[1].First != row.first {
				t.Errorf("tried were %+v, want the copy and then the download, as the first one %v", tried, row.first)
			}
		})
	}
}

// TestAGoodCopyBesideAnotherNoteIsKept, while its server is away.
func TestAGoodCopyBesideAnotherNoteIsKept(t *testing.T) {
	t.Parallel()
	p := publish(t, "one")
	dir := t.TempDir()
	f := follow(t, dir, p.source())
	f.wants(crlfetch.Replaced, "one")
	file := f.Status()[0].File
	p.change(func() { p.status = 503 })
	for content, held := range map[string]bool{"two": true, "bad": false} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		again := follow(t, dir, p.source())
		again.wants(crlfetch.Failed, content)
		if s := again.Status()[0]; s.Held != held || filepath.Base(s.File) != filepath.Base(file) {
			t.Errorf("%q: got %+v, want it held %v", content, s, held)
		}
		if said := strings.Contains(again.log.String(), "cannot be used, it is fetched anew"); said == held {
			t.Errorf("%q: the log is\n%s", content, again.log.String())
		}
	}
}

// TestACopyThatCannotBeReadNowIsKept: descriptors that are used up, as by many devices, say nothing of the copy.
func TestACopyThatCannotBeReadNowIsKept(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		err  error
		held bool
	}{
		"no descriptors of this process": {syscall.EMFILE, true},
		"no descriptors of this machine": {syscall.ENFILE, true},
		"no memory":                      {syscall.ENOMEM, true},
		"a disk that has lost it":        {syscall.EIO, false},
		"gone":                           {fs.ErrNotExist, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := publish(t, "one")
			dir := t.TempDir()
			f := follow(t, dir, p.source())
			f.wants(crlfetch.Replaced, "one")
			if err := os.WriteFile(f.Status()[0].File, []byte("two"), 0o600); err != nil { // which has to be tried
				t.Fatal(err)
			}
			p.change(func() { p.status = 503 })
			tries := 0
			again := crlfetch.New(crlfetch.Config{
				Client: p.Client(), Dir: dir, Refresh: time.Minute, MaxSize: 1000,
				Try: func(_ context.Context, d crlfetch.Download) (v crlfetch.Verdict, err error) {
					if tries++; tries == 1 {
						err = fmt.Errorf("reading CRL file: %w", &fs.PathError{Op: "open", Path: d.File, Err: row.err})
					}
					return v, err
				},
			})
			again.Follow([]crlfetch.Source{p.source()})
			again.FetchOnce(t.Context())
			if s := again.Status()[0]; s.Held != row.held {
				t.Errorf("got %+v, want it held %v", s, row.held)
			}
			again.FetchOnce(t.Context())
			again.FetchOnce(t.Context())
			if want := map[bool]int{true: 2, false: 1}[row.held]; tries != want {
				t.Errorf("it was tried %d times, want %d", tries, want)
			}
		})
	}
}
