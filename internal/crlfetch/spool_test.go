// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crlfetch

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// full makes the file of a spool one that takes no more bytes, as on a full disk.
func full(t *testing.T, s *spool) {
	t.Helper()
	path := s.file.Name()
	if err := s.file.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path) // cannot be written to
	if err != nil {
		t.Fatal(err)
	}
	s.file = file
}

func spoolOf(t *testing.T) *spool {
	t.Helper()
	f := New(Config{Dir: t.TempDir()})
	s := f.newSpool()
	t.Cleanup(func() {
		s.discard()
		if n := f.memory.used.Load(); n != 0 {
			t.Errorf("%d bytes of memory count as used when all is discarded", n)
		}
		if left, _ := filepath.Glob(filepath.Join(f.config.Dir, "*")); len(left) > 0 {
			t.Errorf("files are left: %v", left)
		}
	})
	return s
}

func TestADownloadGoesOnInMemoryWhenTheDiskIsFull(t *testing.T) {
	t.Parallel()
	s := spoolOf(t)
	for _, part := range []string{"one ", "two ", "three ", "four"} {
		if part == "three " {
			full(t, s)
		}
		if n, err := s.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("%q: got %d, %v", part, n, err)
		}
	}
	if s.name() != "" || !bytes.Equal(s.data, []byte("one two three four")) || s.size != 18 {
		t.Errorf("got %q (%d bytes) and the file %q", s.data, s.size, s.name())
	}
	if s.notKept == nil || !strings.HasPrefix(s.notKept.Error(), "writing to "+s.dir+": ") || strings.Contains(s.notKept.Error(), tempSuffix) {
		t.Errorf("the reason is %v", s.notKept)
	}
}

func TestListsInMemoryAreBoundedTogether(t *testing.T) {
	t.Parallel()
	s := spoolOf(t)
	full(t, s)
	if !s.memory.take(maxInMemory - 10) {
		t.Fatal("there is no room at first")
	}
	defer s.memory.give(maxInMemory - 10)
	if _, err := s.Write(make([]byte, 10)); err != nil {
		t.Errorf("what fits: got %v", err)
	}
	_, err := s.Write(make([]byte, 1))
	if err == nil || !strings.Contains(err.Error(), "67108864 bytes") || !strings.Contains(err.Error(), s.dir) {
		t.Errorf("what does not fit: got %v", err)
	}
}

// A source may be followed again before what followed it has ended, which then leaves the files to the new one.
func TestASourceThatIsFollowedAgainGivesItsMemoryBack(t *testing.T) {
	t.Parallel()
	f := New(Config{Dir: t.TempDir()})
	list := []Source{{URL: "http://crl.example.org/", Name: "crl"}}
	f.Follow(list)
	old := f.sources[0]
	old.stop = func() {} // it goes on for a moment
	if !f.memory.take(10) {
		t.Fatal("there is no room at first")
	}
	old.copy.setData(make([]byte, 10))
	f.Follow(nil)
	f.Follow(list)
	if err := os.WriteFile(old.copy.path, []byte("of the new one"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.drop(old)
	if n := f.memory.used.Load(); n != 0 {
		t.Errorf("%d bytes of memory count as used", n)
	}
	if _, err := os.Stat(old.copy.path); err != nil {
		t.Error(err)
	}
}
