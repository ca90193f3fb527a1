// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vernegate/vernegate/internal/config"
)

// stream returns a pipe, and how JOURNAL_STREAM names the end that is written to.
func stream(t *testing.T) (r, w *os.File, name string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	var stat unix.Stat_t
	if err := unix.Fstat(int(w.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	return r, w, fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}

// logged runs f with the writer that serve would log to, and returns what came.
func logged(t *testing.T, f func(w io.Writer)) string {
	t.Helper()
	r, w, name := stream(t)
	f(orJournal(w, name))
	_ = w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestJournalGetsThePriorityOfEachLine(t *testing.T) {
	t.Parallel()
	for _, format := range []config.LogFormat{config.LogJSON, config.LogText} {
		got := logged(t, func(w io.Writer) {
			work, audit := newLoggers(w, format, slog.LevelDebug)
			work.Debug("one")
			work.With("a", 1).WithGroup("g").Warn("two", "b", "x\ny")
			audit.Info("three")
			work.Error("four")
			fmt.Fprint(w, "five\nsix\n")
		})
		want := []string{"<7>", "<4>", "<6>", "<3>", "<3>five", "<3>six"}
		lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
		if len(lines) != len(want) {
			t.Fatalf("%s: got %q, want %d lines", format, got, len(want))
		}
		for i, line := range lines {
			if !strings.HasPrefix(line, want[i]) {
				t.Errorf("%s: got line %q, want it to begin with %s", format, line, want[i])
			}
		}
	}
}

func TestWhatIsNotTheJournalGetsNoPriorities(t *testing.T) {
	t.Parallel()
	_, w, name := stream(t)
	_, other, _ := stream(t)
	for _, c := range []struct {
		w      io.Writer
		stream string
	}{{w, ""}, {w, "1:2"}, {other, name}, {new(bytes.Buffer), name}} {
		if got := orJournal(c.w, c.stream); got != c.w {
			t.Errorf("with JOURNAL_STREAM=%q: got %v", c.stream, got)
		}
	}
}

// Lines that are written at once keep their own priority.
func TestPrioritiesAreNotMixedUp(t *testing.T) {
	t.Parallel()
	got := logged(t, func(w io.Writer) {
		work, _ := newLoggers(w, config.LogText, slog.LevelDebug)
		var tasks sync.WaitGroup
		for range 4 {
			tasks.Go(func() {
				for range 20 {
					work.Warn("odd")
					work.Info("usual")
				}
			})
		}
		tasks.Wait()
	})
	for line := range strings.Lines(got) {
		if odd := strings.Contains(line, "odd"); odd != strings.HasPrefix(line, "<4>") || odd == strings.HasPrefix(line, "<6>") {
			t.Errorf("got line %q", line)
		}
	}
	if n := strings.Count(got, "\n"); n != 160 {
		t.Errorf("got %d lines, want 160", n)
	}
}
