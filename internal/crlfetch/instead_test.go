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

// TestAPartOfAnAnswerMayBeTheCopy and is not what the server has: it is asked for all of it until that is good, the
// operator is told what is wrong, and that is no success.
func TestAPartOfAnAnswerMayBeTheCopy(t *testing.T) {
	t.Parallel()
	p := publish(t, "one")
	p.header.Set("ETag", `"1"`)
	dir := t.TempDir()
	f := follow(t, dir, p.source())
	f.wants(crlfetch.Replaced, "one")
	before := f.Status()[0]
	p.change(func() { p.body = "bad but two"; p.header.Set("ETag", `"2"`) })
	f.wants(crlfetch.Replaced, "two")
	if s := f.Status()[0]; s.Err != errBad.Error() || s.FailingSince.IsZero() || !s.LastSuccess.Equal(before.LastSuccess) || s.Size != 3 || !s.Changed.After(before.Changed) {
		t.Errorf("got %+v", s)
	}
	f.wants(crlfetch.Failed, "two") // the same answer
	again := follow(t, dir, p.source())
	again.wants(crlfetch.Failed, "two") // after a restart, too
	if s := again.Status()[0]; !s.LastSuccess.Equal(before.LastSuccess) {
		t.Errorf("after a restart: got %+v", s)
	}
	if n := strings.Count(f.log.String(), "a part of it cannot be used"); n != 1 {
		t.Errorf("the log says %d times that a part cannot be used:\n%s", n, f.log.String())
	}
	for i, h := range p.requests() {
		if got := h.Get("If-None-Match"); (got != "") != (i == 1) {
			t.Errorf("request %d is for what is newer than %q", i, got)
		}
	}
	p.change(func() { p.body = "bad but bad" })
	again.wants(crlfetch.Failed, "two")
	p.change(func() { p.body = "two"; p.header.Set("ETag", `"3"`) })
	again.wants(crlfetch.Unchanged, "two")
	again.wants(crlfetch.Unchanged, "two")
	if s := again.Status()[0]; s.Err != "" || !s.LastSuccess.After(before.LastSuccess) {
		t.Errorf("once all of it is good: got %+v", s)
	}
}

func TestAPartOfAnAnswerThatCannotBeWrittenCounts(t *testing.T) {
	t.Parallel()
	p := publish(t, "bad but one")
	f := follow(t, filepath.Join(t.TempDir(), "missing"), p.source())
	for _, result := range []crlfetch.Result{crlfetch.Replaced, crlfetch.Failed} {
		if got := f.once(); len(got) != 1 || got[0] != result {
			t.Errorf("got %v (%s), want %v", got, f.Status()[0].Err, result)
		}
		if s := f.Status()[0]; string(s.Data) != "one" || s.Err != errBad.Error() || s.NotKept == "" || !s.LastSuccess.IsZero() {
			t.Errorf("got %q in memory and %+v", s.Data, s)
		}
	}
	if f.unkept != 1 {
		t.Errorf("%d requests are counted, want 1", f.unkept)
	}
}

// TestACopyInMemoryIsWrittenOnceTheDiskIsWell, whatever the server says meanwhile: it may never say that the copy is its list.
func TestACopyInMemoryIsWrittenOnceTheDiskIsWell(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		first string
		then  func(p *publisher)
	}{
		"a part of the same answer": {"bad but one", func(*publisher) {}},
		"a bad answer":              {"one", func(p *publisher) { p.body = "bad" }},
		"no answer":                 {"one", func(p *publisher) { p.status = 503 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := publish(t, row.first)
			dir := filepath.Join(t.TempDir(), "missing")
			f := follow(t, dir, p.source())
			f.once()
			p.change(func() { row.then(p) })
			f.once()
			if s := f.Status()[0]; string(s.Data) != "one" || s.NotKept == "" {
				t.Errorf("without a directory: %q is in memory, and it says %q", s.Data, s.NotKept)
			}
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			f.wants(crlfetch.Failed, "one")
			if s := f.Status()[0]; s.Data != nil || s.NotKept != "" || s.Err == "" {
				t.Errorf("once it can be written: %q is in memory, and it says %q of the disk and %q of the server", s.Data, s.NotKept, s.Err)
			}
			if s := follow(t, dir, p.source()).Status()[0]; !s.Held || s.Size != 3 {
				t.Errorf("after a restart: got %+v", s)
			}
		})
	}
}
