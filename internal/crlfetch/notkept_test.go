// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crlfetch_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/internal/crlfetch"
)

// inMemory checks that the newest list is in use from memory.
func (f *follower) inMemory(result crlfetch.Result, body string) {
	f.t.Helper()
	if got := f.once(); len(got) != 1 || got[0] != result {
		f.t.Errorf("got %v (%s), want %v", got, f.Status()[0].Err, result)
	}
	s := f.Status()[0]
	if string(s.Data) != body || s.Err != "" || !s.Held || int(s.Size) != len(body) {
		f.t.Errorf("got %q in memory and %+v, want %q", s.Data, s, body)
	}
	if !strings.HasPrefix(s.NotKept, "writing to ") {
		f.t.Errorf("it says %q about the disk", s.NotKept)
	}
}

// TestAListThatCannotBeWrittenCounts: a revocation does not wait for the disk.
func TestAListThatCannotBeWrittenCounts(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		spoil func(dir, file string) error
		mend  func(dir, file string) error
	}{
		"the directory is gone": {
			func(dir, _ string) error { return os.Rename(dir, dir+".away") },
			func(dir, _ string) error { return os.Rename(dir+".away", dir) },
		},
		"something is in the place of the copy": {
			func(_, file string) error { _ = os.Remove(file); return os.MkdirAll(file+"/in/the/way", 0o700) },
			func(_, file string) error { return os.RemoveAll(file) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := publish(t, "one")
			dir := filepath.Join(t.TempDir(), "crl")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			f := follow(t, dir, p.source())
			f.wants(crlfetch.Replaced, "one")
			file := f.Status()[0].File
			if err := row.spoil(dir, file); err != nil {
				t.Fatal(err)
			}
			p.change(func() { p.body = "two"; p.header.Set("ETag", `"2"`) })
			f.inMemory(crlfetch.Replaced, "two")
			f.inMemory(crlfetch.Unchanged, "two")
			p.change(func() { p.body = "bad"; p.header.Set("ETag", `"3"`) })
			if got := f.once(); got[0] != crlfetch.Failed || string(f.Status()[0].Data) != "two" {
				t.Errorf("a bad list: got %v, and %q is in use", got, f.Status()[0].Data)
			}
			p.change(func() { p.body = "four" })
			f.inMemory(crlfetch.Replaced, "four")
			if got := f.unkept; got != 3 {
				t.Errorf("%d requests are counted, want 3", got)
			}
			if err := row.mend(dir, file); err != nil {
				t.Fatal(err)
			}
			f.wants(crlfetch.Unchanged, "four")
			if s := f.Status()[0]; s.Data != nil || s.NotKept != "" {
				t.Errorf("once it can be written: %q is in memory, and it says %q", s.Data, s.NotKept)
			}
			follow(t, dir, p.source()).wants(crlfetch.Unchanged, "four") // after a restart, too
			if n := strings.Count(f.log.String(), "cannot be kept"); n != 1 {
				t.Errorf("the log says %d times that it cannot be kept:\n%s", n, f.log.String())
			}
			if !strings.Contains(f.log.String(), "is kept for the next start again") {
				t.Errorf("the log does not say that it is kept again:\n%s", f.log.String())
			}
		})
	}
}

func TestTheFirstListCountsWithoutADirectory(t *testing.T) {
	t.Parallel()
	p := publish(t, "one")
	f := follow(t, filepath.Join(t.TempDir(), "missing"), p.source())
	f.inMemory(crlfetch.Replaced, "one")
	f.Follow(nil)
	f.Follow([]crlfetch.Source{p.source()})
	if s := f.Status()[0]; s.Held || s.Data != nil {
		t.Errorf("a list that was given up is still there: %+v", s)
	}
}

func TestACopyThatIsGoneIsFetchedAnew(t *testing.T) {
	t.Parallel()
	p := publish(t, "one")
	p.header.Set("ETag", `"1"`)
	f := follow(t, t.TempDir(), p.source())
	f.wants(crlfetch.Replaced, "one")
	f.wants(crlfetch.Unchanged, "one")
	if err := os.Remove(f.Status()[0].File); err != nil {
		t.Fatal(err)
	}
	f.wants(crlfetch.Replaced, "one")
}
