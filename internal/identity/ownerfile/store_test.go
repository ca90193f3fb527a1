// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ownerfile_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/identity/ownerfile"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/internal/watch"
	"github.com/vernegate/vernegate/truststore/certtest"
)

var (
	ca   = certtest.NewCA("plant")
	lamp = ca.Issue("lamp").Leaf
	door = ca.Issue("door").Leaf
	// lampKey and doorKey are two spellings of fingerprints.
	lampKey = pki.FingerprintOf(lamp).String()
	doorKey = strings.ToLower(strings.ReplaceAll(pki.FingerprintOf(door).String(), ":", ""))
)

// newFile writes a file.
func newFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "owners.map")
	write(t, path, text)
	return path
}

// write writes a file in place.
func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, config ownerfile.Config) *ownerfile.Store {
	t.Helper()
	s, err := ownerfile.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ownerOf is the owner of a lamp or a door, "" for none.
func lampOwner(s *ownerfile.Store) string {
	owner, _ := s.Current().Owner(lamp, pki.FingerprintOf(lamp))
	return owner
}

func doorOwner(s *ownerfile.Store) string {
	owner, _ := s.Current().Owner(door, pki.FingerprintOf(door))
	return owner
}

func TestKeysAreFingerprintsOrSubjects(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		lampKey + " acme:lamp\n" + doorKey + " acme:door\n":              {"acme:lamp", "acme:door"},
		"# owners\n\n  " + lampKey + " \t acme:lamp \r\n":                {"acme:lamp", ""},
		"CN=lamp acme:lamp\ncn = door acme:door\n":                       {"acme:lamp", "acme:door"},
		"CN=lamp acme:by-subject\n" + lampKey + " acme:by-fingerprint\n": {"acme:by-fingerprint", ""},
		"CN=Lamp acme:lamp\nCN=door,O=acme acme:door\n":                  {"", ""},
		lampKey + " acme:lamp\n" + lampKey + " acme:lamp\n":              {"acme:lamp", ""},
		"#\n": {"", ""},
	} {
		s := open(t, ownerfile.Config{Path: newFile(t, text)})
		if got := [2]string{lampOwner(s), doorOwner(s)}; got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestBadLinesAreNamed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		lampKey + " a:b\n" + lampKey + "\n":               "line 2: expected a key, a blank and an owner",
		lampKey + " a:b\nlamp a:b\n":                      "line 2: expected a SHA-256 fingerprint",
		lampKey[1:] + " a:b\n":                            "line 1: expected a SHA-256 fingerprint",
		"XX" + lampKey[2:] + " a:b\n":                     "line 1: expected a SHA-256 fingerprint",
		"subject=CN=lamp a:b\n":                           `line 1: reading a subject: there is no attribute type "subject"`,
		lampKey + " a:b\n#\n" + lampKey + " a:c\n":        "line 3: the key has another owner in a line before",
		lampKey + " a:\xff\n":                             "line 1: the owner is not valid UTF-8",
		lampKey + " " + strings.Repeat("a", 1<<17) + "\n": "line 1: it is longer than",
		"":                        "the file is empty",
		lampKey + " acme:lam":     "the last line does not end",
		strings.Repeat("x\n", 12): "and 2 more lines",
	} {
		path := newFile(t, text)
		_, err := ownerfile.Open(t.Context(), ownerfile.Config{Path: path})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: got %v, want %q", text, err, want)
			continue
		}
		for line := range strings.Lines(err.Error()) {
			if !strings.Contains(line, path) {
				t.Errorf("the line %q does not name the file", line)
			}
		}
	}
	if _, err := ownerfile.Open(t.Context(), ownerfile.Config{Path: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) && (err == nil || !strings.Contains(err.Error(), "no such file")) {
		t.Errorf("without a file: %v", err)
	}
}

// A bad line refuses the file, and the last good one stays; an owner that is no use is noticed.
func TestLastGoodFileStays(t *testing.T) {
	t.Parallel()
	path := newFile(t, lampKey+" acme:lamp\n")
	s := open(t, ownerfile.Config{Path: path, Check: func(owner string) error {
		if owner == "+" {
			return errors.New("a plus")
		}
		return nil
	}})
	write(t, path, doorKey+" acme:door\nnonsense\n")
	if err := s.Reload(t.Context()); err == nil || s.Status().Err == nil || lampOwner(s) != "acme:lamp" || doorOwner(s) != "" {
		t.Errorf("with a bad line: %v, and the owners are %q and %q", err, lampOwner(s), doorOwner(s))
	}
	write(t, path, doorKey+" +\n")
	if err := s.Reload(t.Context()); err != nil || s.Status().Err != nil || lampOwner(s) != "" || doorOwner(s) != "+" {
		t.Errorf("mended: %v, and the owners are %q and %q", err, lampOwner(s), doorOwner(s))
	}
	if n := s.Status().Notices; len(n) != 1 || n[0] != "line 1: a plus" {
		t.Errorf("the notices are %q", n)
	}
}

// To open a pipe is to wait for its writer, and then nothing would be read any more.
func TestAPipeIsRefused(t *testing.T) {
	t.Parallel()
	path := newFile(t, lampKey+" acme:lamp\n")
	s := open(t, ownerfile.Config{Path: path})
	if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(t.Context()); err == nil || lampOwner(s) != "acme:lamp" {
		t.Errorf("got %v, and the owner is %q", err, lampOwner(s))
	}
}

// running is a store that follows its file.
func running(t *testing.T, path string) (s *ownerfile.Store, swaps chan time.Time) {
	t.Helper()
	swaps = make(chan time.Time, 100)
	s = open(t, ownerfile.Config{Path: path, OnSwap: func(_, _ *ownerfile.Table) { swaps <- time.Now() }})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return s, swaps
}

func await(t *testing.T, swaps chan time.Time) time.Time {
	t.Helper()
	select {
	case at := <-swaps:
		return at
	case <-time.After(30 * time.Second):
		t.Fatal("the file is not put in use")
		return time.Time{}
	}
}

func TestAddedLinesCountSoonAndRemovedOnesOnceSettled(t *testing.T) {
	t.Parallel()
	path := newFile(t, lampKey+" acme:lamp\n")
	s, swaps := running(t, path)
	write(t, path, lampKey+" acme:other\n"+doorKey+" acme:door\n")
	await(t, swaps)
	if lampOwner(s) != "acme:other" || doorOwner(s) != "acme:door" {
		t.Errorf("the owners are %q and %q", lampOwner(s), doorOwner(s))
	}
	written := time.Now()
	write(t, path, doorKey+" acme:door\n")
	if took := await(t, swaps).Sub(written); took < watch.SettleDelay {
		t.Errorf("a removed line counted after %v, before %v: the file might have been half written", took, watch.SettleDelay)
	}
	if lampOwner(s) != "" || doorOwner(s) != "acme:door" {
		t.Errorf("the owners are %q and %q", lampOwner(s), doorOwner(s))
	}
}

// A file that is written again and again, each time with another line, loses the line that it has lost nevertheless.
func TestRemovedLineCountsWhileTheFileGoesOnChanging(t *testing.T) {
	t.Parallel()
	path := newFile(t, lampKey+" acme:lamp\n"+doorKey+" acme:door\n")
	s, swaps := running(t, path)
	tick := time.NewTicker(700 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(60 * time.Second)
	for i := 0; ; i++ {
		write(t, path, fmt.Sprintf("%s acme:door\nCN=%d acme:%d\n", doorKey, i, i))
		select {
		case <-swaps:
			if lampOwner(s) == "" && doorOwner(s) == "acme:door" {
				return
			}
		case <-tick.C:
		case <-deadline:
			t.Fatal("the removed line still counts")
		}
	}
}

// million writes a file with n lines, and returns its path.
func million(b *testing.B, n int) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "owners.map")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(f)
	for i := range n {
		fp := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
		fmt.Fprintf(w, "%s tenant%03d:device%07d\n", hex.EncodeToString(fp[:]), i%1000, i)
	}
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		b.Fatal(err)
	}
	return path
}

// BenchmarkMillionLines measures what a map of a million lines takes: bytes of a line in memory, and time to read and to
// find.
func BenchmarkMillionLines(b *testing.B) {
	const lines = 1_000_000
	path := million(b, lines)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			before := heap()
			s := open(b, ownerfile.Config{Path: path})
			b.ReportMetric(float64(heap()-before)/lines, "B/line")
			runtime.KeepAlive(s)
		}
	})
	b.Run("find", func(b *testing.B) {
		s := open(b, ownerfile.Config{Path: path})
		var fps [1024]pki.Fingerprint
		for i := range fps {
			fps[i] = sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i*977)))
		}
		b.ResetTimer()
		for i := 0; b.Loop(); i++ {
			if _, ok := s.Current().Owner(lamp, fps[i%len(fps)]); !ok {
				b.Fatal("an owner is missing")
			}
		}
	})
}
