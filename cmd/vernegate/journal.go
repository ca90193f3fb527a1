// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A journal is the stream that systemd-journald reads. It gets the priority of
// each line in front of it (sd-daemon(3)), which is not shown as a part of the
// line. It may be used from several goroutines.
type journal struct {
	w io.Writer

	mu    sync.Mutex
	level slog.Level // of what is written next
}

// orJournal returns the journal that writes to w if journald reads w, else w
// itself. journald says in JOURNAL_STREAM which device and inode it reads, so that
// a process whose output was led elsewhere can tell (systemd.exec(5)).
func orJournal(w io.Writer, stream string) io.Writer {
	f, ok := w.(*os.File)
	if !ok || stream == "" {
		return w
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil || fmt.Sprintf("%d:%d", stat.Dev, stat.Ino) != stream {
		return w
	}
	return &journal{w: w, level: slog.LevelError} // what is written without a logger is why it does not start
}

// Write writes whole lines.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.write(p)
}

func (j *journal) write(p []byte) (int, error) {
	priority := []byte(priorityPrefix(j.level))
	var out []byte
	for line := range bytes.Lines(p) {
		out = append(append(out, priority...), line...)
	}
	if _, err := j.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// priorityPrefix is the prefix for a level, of the priorities of syslog(3).
func priorityPrefix(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return "<3>"
	case level >= slog.LevelWarn:
		return "<4>"
	case level >= slog.LevelInfo:
		return "<6>"
	}
	return "<7>"
}

// handler returns the slog.Handler that newInner makes for a writer, with the
// priority of each record in front of what it writes.
func (j *journal) handler(newInner func(io.Writer) slog.Handler) slog.Handler {
	return journalHandler{newInner(writerFunc(j.write)), j}
}

// writerFunc is a function as an io.Writer.
type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A journalHandler has the journal know the level of what the handler inside
// writes.
type journalHandler struct {
	slog.Handler
	journal *journal
}

// Handle implements slog.Handler.
func (h journalHandler) Handle(ctx context.Context, r slog.Record) error {
	h.journal.mu.Lock()
	defer h.journal.mu.Unlock()
	defer func(before slog.Level) { h.journal.level = before }(h.journal.level)
	h.journal.level = r.Level
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return journalHandler{h.Handler.WithAttrs(attrs), h.journal}
}

// WithGroup implements slog.Handler.
func (h journalHandler) WithGroup(name string) slog.Handler {
	return journalHandler{h.Handler.WithGroup(name), h.journal}
}
