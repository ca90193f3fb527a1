// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package lastgood keeps what a few small files say, as they change while vernegate
// runs: always the last version that was good. A file that is empty, half-written, or
// does not fit the others changes nothing.
//
// The trust files, each part of which is judged by itself and which may be large, are
// package truststore's.
package lastgood

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vernegate/vernegate/internal/watch"
)

const (
	// maxFile bounds a file, in bytes: far more than a hundred CA certificates have.
	maxFile = 1 << 20
	// startInterval is the pause between two attempts to find a first good version.
	startInterval = 250 * time.Millisecond
	// defaultInterval is how often the files are read when they cannot be watched and
	// no interval is configured.
	defaultInterval = 5 * time.Minute
)

// Config says which files there are and what they mean.
type Config[T any] struct {
	// Name is what the files are for, in the log and as the Refusal's Name.
	Name string
	// Paths are the files. They need not exist before Open ends.
	Paths []string
	// Read makes a version of the contents, in the order of Paths. Its error says, by
	// path, what is wrong with them, and quotes nothing that is secret.
	Read func(contents [][]byte) (T, error)
	// Interval is how often the files are read even if no change was noticed; 0 = only then.
	Interval time.Duration
	// StartTimeout is how long Open waits for a first good version: what writes the
	// files may have been started at the same time.
	StartTimeout time.Duration
	// Logger gets a line for each version, and one when the files become bad; nil = discard.
	Logger *slog.Logger
}

// Files are followed files. Methods may be called concurrently.
type Files[T any] struct {
	cfg     Config[T]
	current atomic.Pointer[T]

	mu       sync.Mutex // held while the files are read
	contents [][]byte   // that current was read from
	refusal  atomic.Pointer[Refusal]
}

// A Refusal is that the files are no good as they are now. The last good version stays in use.
type Refusal struct {
	Name  string // that of the Config
	Paths []string
	Err   error
	Since time.Time
}

// Open reads the files, again and again until they are good or Config.StartTimeout is
// over. Then the error says what is wrong with them.
func Open[T any](ctx context.Context, cfg Config[T]) (*Files[T], error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Files[T]{cfg: cfg}
	for end := time.Now().Add(cfg.StartTimeout); ; {
		err := f.Reload()
		if err == nil {
			return f, nil
		}
		left := time.Until(end)
		if left <= 0 {
			return nil, err
		}
		select {
		case <-time.After(min(startInterval, left)):
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for good files: %w", context.Cause(ctx))
		}
	}
}

// Current returns the version in use.
func (f *Files[T]) Current() T { return *f.current.Load() }

// Name returns Config.Name.
func (f *Files[T]) Name() string { return f.cfg.Name }

// Paths returns Config.Paths.
func (f *Files[T]) Paths() []string { return f.cfg.Paths }

// Refusal returns why the files are not used as they are, nil if they are.
func (f *Files[T]) Refusal() *Refusal { return f.refusal.Load() }

// Reload reads the files now. The error says why they are refused.
func (f *Files[T]) Reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	contents, err := readAll(f.cfg.Paths)
	if err == nil && f.contents != nil && slices.EqualFunc(contents, f.contents, bytes.Equal) {
		f.accept()
		return nil
	}
	var version T
	if err == nil {
		version, err = f.cfg.Read(contents)
	}
	if err != nil {
		f.refuse(err)
		return err
	}
	f.current.Store(&version)
	f.contents = contents
	f.accept()
	f.cfg.Logger.Info("files in use", "for", f.cfg.Name, "files", f.cfg.Paths)
	return nil
}

// accept ends a refusal; mu must be held.
func (f *Files[T]) accept() {
	if f.refusal.Swap(nil) != nil && f.contents != nil {
		f.cfg.Logger.Info("files are good again", "for", f.cfg.Name)
	}
}

// refuse notes what is wrong, and logs it once; mu must be held.
func (f *Files[T]) refuse(err error) {
	before, now := f.refusal.Load(), &Refusal{Name: f.cfg.Name, Paths: f.cfg.Paths, Err: err, Since: time.Now()}
	if before != nil {
		now.Since = before.Since
	}
	f.refusal.Store(now)
	if before != nil && before.Err.Error() == err.Error() {
		return
	}
	if f.contents == nil {
		f.cfg.Logger.Warn("files are no good yet", "for", f.cfg.Name, "err", err)
		return
	}
	f.cfg.Logger.Error("files are refused, the last good ones stay in use", "for", f.cfg.Name, "err", err)
}

// Run follows the files until ctx ends, and returns when it has stopped everything that
// it started.
func (f *Files[T]) Run(ctx context.Context) {
	interval := f.cfg.Interval
	var changes <-chan struct{}
	w, err := watch.Files(f.cfg.Paths, f.cfg.Logger)
	if w != nil {
		defer w.Stop()
		changes = w.Changes()
	}
	if err != nil {
		if interval <= 0 {
			interval = defaultInterval
		}
		f.cfg.Logger.Warn("files cannot be watched, changes are only found at intervals", "for", f.cfg.Name, "err", err, "interval", interval.String())
	}
	f.follow(ctx, changes, interval)
}

// follow reads the files when they have been quiet after a change, and every interval
// unless that is 0.
func (f *Files[T]) follow(ctx context.Context, changes <-chan struct{}, interval time.Duration) {
	var burst watch.Burst
	timer := time.NewTimer(time.Until(burst.Changed(time.Now()))) // nothing has watched since Open
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes:
			timer.Reset(time.Until(burst.Changed(time.Now())))
		case <-timer.C:
			_ = f.Reload() // which has told
			burst = watch.Burst{}
			if interval > 0 {
				timer.Reset(interval)
			}
		}
	}
}

// readAll reads all files, or says which cannot be read.
func readAll(paths []string) (contents [][]byte, err error) {
	var mistakes []error
	for _, path := range paths {
		content, err := read(path)
		if err != nil {
			mistakes = append(mistakes, err)
		}
		contents = append(contents, content)
	}
	return contents, errors.Join(mistakes...)
}

// read reads a file of a bounded size.
func read(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // to open a pipe would be to wait for its writer
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		return nil, fmt.Errorf("%s is a pipe, expected a file", path)
	}
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", path, err)
	case len(content) > maxFile:
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	case len(bytes.TrimSpace(content)) == 0:
		return nil, fmt.Errorf("%s is empty", path)
	}
	return content, nil
}
