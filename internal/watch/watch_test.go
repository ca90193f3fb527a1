// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

func TestWatchPathsAreLinksAndTheFile(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.MkdirAll(at("real/sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("real/file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"relative":     "real/file",
		"absolute":     at("real/file"),
		"directory":    "real",
		"upwards":      "real/sub/../file",
		"twice":        "relative",
		"dangling":     "real/none/file",
		"loop":         "loop",
		"real/sub/out": "../../relative",
	} {
		if err := os.Symlink(target, at(name)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string][]string{
		"real/file":      {"real/file"},
		"real/none":      {"real/none"},
		"none/file":      {"none"},
		"relative":       {"relative", "real/file"},
		"absolute":       {"absolute", "real/file"},
		"directory/file": {"directory", "real/file"},
		"upwards":        {"upwards", "real/file"},
		"twice":          {"twice", "relative", "real/file"},
		"dangling":       {"dangling", "real/none"},
		"real/sub/out":   {"real/sub/out", "relative", "real/file"},
	} {
		for i, name := range want {
			want[i] = at(name)
		}
		if got := watchPaths(at(path)); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
	if got := watchPaths(at("loop")); len(got) != maxLinks {
		t.Errorf("loop: %d marks, want %d", len(got), maxLinks)
	}
}

func TestLostEventsCountAsAChange(t *testing.T) {
	t.Parallel()
	w, err := Files([]string{filepath.Join(t.TempDir(), "ca.crt")}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	w.notify.Errors <- fsnotify.ErrEventOverflow
	select {
	case <-w.Changes():
	case <-time.After(time.Minute):
		t.Error("no change is told")
	}
}

func TestOtherFilesOfTheDirectoryDoNotMatter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, err := Files([]string{filepath.Join(dir, "ca.crt")}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	// Once the second one is taken, the first has been dealt with.
	for range 2 {
		w.notify.Events <- fsnotify.Event{Name: filepath.Join(dir, "other"), Op: fsnotify.Write}
	}
	select {
	case <-w.Changes():
		t.Error("a change is told")
	default:
	}
}

// A directory that is mounted twice is watched once, under one of its names.
func TestADirectoryWithTwoNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := os.Stat(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &Watcher{
		marks:   map[string]bool{"/tls/tls.crt": true, "/crl/ca.crl": true, "/other/other.crt": true},
		watched: map[string]os.FileInfo{"/tls": info, "/crl": info, "/other": elsewhere},
	}
	for path, want := range map[string]bool{
		"/tls/tls.crt": true, "/tls/ca.crl": true, "/crl/tls.crt": true, "/crl/ca.crl": true,
		"/tls/other.crt": false, "/other/ca.crl": false, "/tls/none": false, "/none/ca.crl": false, "/tls": false, "/": false,
	} {
		if got := w.matters(path); got != want {
			t.Errorf("%s: got %t, want %t", path, got, want)
		}
	}
	for name, want := range map[string]bool{"/tls": true, "/crl": true, "/other": false, "/none": false} {
		if got := w.isWatched(name, []string{"/crl"}); got != want {
			t.Errorf("watching /crl: got %t for %s, want %t", got, name, want)
		}
	}
}

// The same, where the system lets a test mount.
func TestADirectoryThatIsMountedTwice(t *testing.T) {
	t.Parallel()
	tls, crl := t.TempDir(), t.TempDir()
	if out, err := exec.Command("mount", "--bind", tls, crl).CombinedOutput(); err != nil {
		t.Skipf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", crl).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	looks := make(chan time.Time)
	w, err := files([]string{filepath.Join(tls, "tls.crt"), filepath.Join(crl, "ca.crl")}, slog.New(slog.DiscardHandler), looks)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for _, path := range []string{filepath.Join(tls, "tls.crt"), filepath.Join(crl, "ca.crl")} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		wantChange(t, w, path)
	}
	for range 2 { // once the second one is taken, the first has found that nothing is lost
		looks <- time.Now()
	}
	select {
	case <-w.Changes():
		t.Error("it looks, and tells of a change that was none")
	default:
	}
}

// wantChange wants that a change is told.
func wantChange(t *testing.T, w *Watcher, what string) {
	t.Helper()
	select {
	case <-w.Changes():
	case <-time.After(time.Minute):
		t.Fatalf("%s: no change is told", what)
	}
}

func TestFilesInTheRootDirectoryAreWatched(t *testing.T) {
	t.Parallel()
	const file = "/vernegate-none.crt"
	w, err := Files([]string{file}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	w.notify.Events <- fsnotify.Event{Name: "/" + file, Op: fsnotify.Create} // as fsnotify calls it
	wantChange(t, w, "a file has come")
}

// The system says nothing when a directory above those that are watched is renamed, and another one takes its place; and a
// watch that could not be had once may be had later.
func TestLostWatchesAreFound(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(w *Watcher, above string) error{
		"replaced above": func(_ *Watcher, above string) error {
			if err := os.Rename(above, above+".old"); err != nil {
				return err
			}
			return os.MkdirAll(filepath.Join(above, "crl"), 0o700)
		},
		"gone": func(w *Watcher, above string) error { return w.notify.Remove(filepath.Join(above, "crl")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			above := filepath.Join(t.TempDir(), "pki")
			file := filepath.Join(above, "crl", "ca.crl")
			write := func() {
				if err := os.WriteFile(file, []byte(name), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			looks := make(chan time.Time)
			w, err := files([]string{file}, slog.New(slog.DiscardHandler), looks)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Stop()
			if err := lose(w, above); err != nil {
				t.Fatal(err)
			}
			looks <- time.Now()
			wantChange(t, w, "a look")
			for range 2 { // once the second one is taken, the first has found nothing new
				looks <- time.Now()
			}
			select {
			case <-w.Changes():
				t.Error("it looks, and tells of a change that was none")
			default:
			}
			write()
			wantChange(t, w, "what has come then")
		})
	}
}
