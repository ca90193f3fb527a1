// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package lastgood keeps what a few small files say, as they change while vernegate
// runs: always the last version that was good. A file that is empty, half-written, or
// does not fit the others changes nothing. As half a file can look whole, such as a CA
// file that ends behind its first block, or half a token, a version counts only when it
// has stayed the same for watch.SettleDelay, unless somebody asked for it with Reload.
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
	// firstRetry is the pause after the first of the attempts in a row in which a file could not be read.
	firstRetry = time.Second
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
	pending  [][]byte   // good ones that do not count yet; nil = there are none
	since    time.Time  // when pending was first read
	refusal  atomic.Pointer[Refusal]
}

// A Refusal is that the files are no good as they are now. The last good version stays in use.
type Refusal struct {
	Name  string // that of the Config
	Paths []string
	Err   error
	Since time.Time
}

// Open reads the files, again and again until they are good, and not just being written, or
// Config.StartTimeout is over. Then the error says what is wrong with them.
func Open[T any](ctx context.Context, cfg Config[T]) (*Files[T], error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Files[T]{cfg: cfg}
	for end := time.Now().Add(cfg.StartTimeout); ; {
		err := f.Reload()
		left := time.Until(end)
		if left <= 0 && err != nil {
			return nil, err
		}
		if err == nil && (left <= 0 || !f.justWritten()) {
			return f, nil
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

// Reload reads the files now, and what they say counts at once if it is good. The error
// says why they are refused.
func (f *Files[T]) Reload() error {
	_, err := f.reload(true)
	return err
}

// reload reads the files. settled is when to read them again, as what they say counts if
// it is still the same then; zero = there is nothing like that.
func (f *Files[T]) reload(force bool) (settled time.Time, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	contents, err := f.readAll()
	if err == nil && f.contents != nil && same(contents, f.contents) {
		f.pending = nil
		f.accept()
		return time.Time{}, nil
	}
	var version T
	if err == nil {
		version, err = f.cfg.Read(contents)
	}
	if err != nil {
		f.pending = nil
		f.refuse(err)
		return time.Time{}, err
	}
	if settled := f.settled(contents); !force && time.Now().Before(settled) {
		return settled, nil
	}
	f.current.Store(&version)
	f.contents, f.pending = contents, nil
	f.accept()
	f.cfg.Logger.Info("files in use", "for", f.cfg.Name, "files", f.cfg.Paths)
	return time.Time{}, nil
}

// settled returns when good contents count that have been the same until then; mu must be held.
func (f *Files[T]) settled(contents [][]byte) time.Time {
	if f.pending == nil || !same(contents, f.pending) {
		f.pending, f.since = contents, time.Now()
	}
	return f.since.Add(watch.SettleDelay)
}

func same(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

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
// unless that is 0. If one could not be read, it tries again soon: no change will tell
// that there are descriptors again, say.
func (f *Files[T]) follow(ctx context.Context, changes <-chan struct{}, interval time.Duration) {
	var burst watch.Burst
	var retry time.Duration // the pause before the next attempt; 0 = the last one could read the files

	timer := time.NewTimer(time.Until(burst.Changed(time.Now()))) // nothing has watched since Open
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes:
			timer.Reset(time.Until(burst.Changed(time.Now())))
		case <-timer.C:
			settled, err := f.reload(false) // which has told
			burst, retry = watch.Burst{}, nextRetry(retry, err, interval)
			switch {
			case !settled.IsZero():
				timer.Reset(time.Until(settled))
			case retry > 0:
				timer.Reset(retry)
			case interval > 0:
				timer.Reset(interval)
			}
		}
	}
}

// nextRetry returns the pause after an attempt: longer each time in a row, up to the interval.
func nextRetry(last time.Duration, err error, interval time.Duration) time.Duration {
	if _, ok := errors.AsType[*unreadError](err); !ok {
		return 0
	}
	if interval <= 0 {
		interval = defaultInterval
	}
	return min(max(2*last, firstRetry), interval)
}

// justWritten reports whether a file was written a moment ago: more may come.
func (f *Files[T]) justWritten() bool {
	return slices.ContainsFunc(f.cfg.Paths, func(path string) bool {
		info, err := os.Stat(path)
		if err != nil {
			return false
		}
		age := time.Since(info.ModTime())
		return 0 <= age && age < watch.QuietTime
	})
}

// readAll reads all files, or says which cannot be read. mu must be held.
func (f *Files[T]) readAll() (contents [][]byte, err error) {
	var mistakes []error
	for _, path := range f.cfg.Paths {
		content, err := read(path)
		if err != nil {
			mistakes = append(mistakes, err)
		}
		contents = append(contents, content)
	}
	return contents, errors.Join(mistakes...)
}

// An unreadError says that there is a file and the system did not read it: for lack of
// descriptors or memory, or of a permission.
type unreadError struct{ error }

func (e *unreadError) Unwrap() error { return e.error }

// unread returns the error of a file that was not read.
func unread(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return err
	}
	return &unreadError{err}
}

// read reads a file of a bounded size.
func read(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // to open a pipe would be to wait for its writer
	if err != nil {
		return nil, unread(err)
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		return nil, fmt.Errorf("%s is a pipe, expected a file", path)
	}
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return nil, unread(fmt.Errorf("reading %s: %w", path, err))
	case len(content) > maxFile:
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	case len(bytes.TrimSpace(content)) == 0:
		return nil, fmt.Errorf("%s is empty", path)
	}
	return content, nil
}
