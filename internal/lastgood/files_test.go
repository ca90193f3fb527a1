// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package lastgood_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/lastgood"
)

// patience is how long a test waits for what has to happen.
const patience = 30 * time.Second

// A folder has the two files of a test: a version is good if both say the same.
type folder struct {
	t    *testing.T
	dir  string
	logs logs
}

type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func newFolder(t *testing.T) *folder { return &folder{t: t, dir: t.TempDir()} }

func (f *folder) path(name string) string { return filepath.Join(f.dir, name) }

// write writes files in place, one after the other: their names and what they say.
func (f *folder) write(pairs ...string) {
	f.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if err := os.WriteFile(f.path(pairs[i]), []byte(pairs[i+1]), 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *folder) config() lastgood.Config[string] {
	return lastgood.Config[string]{
		Name:  "pair",
		Paths: []string{f.path("a"), f.path("b")},
		Read: func(contents [][]byte) (string, error) {
			if !bytes.Equal(contents[0], contents[1]) {
				return "", fmt.Errorf("%s does not belong to %s", f.path("b"), f.path("a"))
			}
			return string(contents[0]), nil
		},
		Logger: slog.New(slog.NewTextHandler(&f.logs, nil)),
	}
}

func (f *folder) open() *lastgood.Files[string] {
	f.t.Helper()
	files, err := lastgood.Open(f.t.Context(), f.config())
	if err != nil {
		f.t.Fatal(err)
	}
	return files
}

// follow has the files followed until the test ends.
func follow(t *testing.T, files *lastgood.Files[string]) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); files.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s", what)
		}
	}
}

func TestChangesAreFollowed(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.write("a", "1", "b", "1")
	files := f.open()
	follow(t, files)
	f.write("a", "2", "b", "2")
	await(t, "the second version", func() bool { return files.Current() == "2" })
	if r := files.Refusal(); r != nil {
		t.Errorf("refused: %v", r.Err)
	}
}

func TestWhatIsNoGoodChangesNothing(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.write("a", "1", "b", "1")
	files := f.open()
	for name, content := range map[string]string{"empty": " \n", "other": "2", "large": strings.Repeat("x", 2<<20)} {
		f.write("b", content)
		for range 2 {
			err := files.Reload()
			if err == nil || !strings.Contains(err.Error(), f.path("b")) {
				t.Errorf("%s: got %v, want an error that names the file", name, err)
			}
		}
		r := files.Refusal()
		if files.Current() != "1" || r == nil || r.Name != "pair" {
			t.Errorf("%s: got version %q and refusal %v", name, files.Current(), r)
		}
	}
	if err := os.Remove(f.path("b")); err != nil {
		t.Fatal(err)
	}
	if err := files.Reload(); !errors.Is(err, os.ErrNotExist) || files.Current() != "1" {
		t.Errorf("absent: got version %q and %v", files.Current(), err)
	}
	if got, want := f.logs.count("the last good ones stay in use"), 4; got != want {
		t.Errorf("it was logged %d times, want %d: once for each", got, want)
	}

	since := files.Refusal().Since
	f.write("b", "2")
	_ = files.Reload()
	if got := files.Refusal().Since; !got.Equal(since) {
		t.Errorf("bad since %v, want %v", got, since)
	}
	f.write("b", "1")
	if err := files.Reload(); err != nil || files.Refusal() != nil || f.logs.count("files are good again") != 1 {
		t.Errorf("good again: got %v, refusal %v", err, files.Refusal())
	}
	if got := f.logs.count("files in use"); got != 1 {
		t.Errorf("%d versions were logged, want 1", got)
	}
}

func TestOpenWaitsForGoodFiles(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.write("a", "1")
	cfg := f.config()
	cfg.StartTimeout = patience
	opened := make(chan *lastgood.Files[string], 1)
	go func() {
		files, err := lastgood.Open(t.Context(), cfg)
		if err != nil {
			t.Error(err)
		}
		opened <- files
	}()
	await(t, "the first look", func() bool { return f.logs.count("files are no good yet") == 1 })
	f.write("b", "1")
	if files := <-opened; files.Current() != "1" {
		t.Errorf("got %q", files.Current())
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	_, err := lastgood.Open(t.Context(), f.config())
	if err == nil || !strings.Contains(err.Error(), f.path("a")) || !strings.Contains(err.Error(), f.path("b")) {
		t.Errorf("got %v, want both files in it", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("told to stop"))
	cfg := f.config()
	cfg.StartTimeout = patience
	if _, err := lastgood.Open(ctx, cfg); err == nil || !strings.Contains(err.Error(), "told to stop") {
		t.Errorf("got %v", err)
	}
}

// Nothing but defaults: there is a version, and nothing to follow.
func TestNoFilesAreGood(t *testing.T) {
	t.Parallel()
	files, err := lastgood.Open(t.Context(), lastgood.Config[int]{Read: func(contents [][]byte) (int, error) { return len(contents), nil }})
	if err != nil || files.Current() != 0 {
		t.Fatalf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); files.Run(ctx) }()
	cancel()
	<-done
}

// Versions are read while files change: each is one that was written.
func TestReadersSeeWholeVersions(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.write("a", "0", "b", "0")
	files := f.open()
	follow(t, files)
	var running sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				_ = files.Reload()
				if got := files.Current(); len(got) != 1 {
					t.Errorf("got %q", got)
					return
				}
				_ = files.Refusal()
			}
		})
	}
	for i := range 50 {
		text := fmt.Sprint(i % 10)
		f.write("a", text, "b", text)
	}
	close(stop)
	running.Wait()
	await(t, "the last version", func() bool { return files.Current() == "9" })
}

// To open a pipe is to wait for its writer, and then nothing would be read any more.
func TestAPipeIsRefused(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.write("a", "1", "b", "1")
	files, err := lastgood.Open(t.Context(), f.config())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(f.path("b")), syscall.Mkfifo(f.path("b"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := files.Reload(); err == nil || !strings.Contains(err.Error(), "is a pipe") || files.Current() != "1" {
		t.Errorf("got %v and %q", err, files.Current())
	}
}
