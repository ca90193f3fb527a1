// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package ownerfile reads the owners of certificates from a file, and follows it while it changes.
//
// Each line of the file is a key and an owner with a blank between them. A key is the SHA-256 fingerprint of a
// certificate or its subject:
//
//	# what begins like this, and empty lines, say nothing
//	9A:83:0C:…:21 acme:lamp
//	9a830c…21 acme:lamp
//	CN=door,OU=hall,O=acme acme:door
//
// A Store holds one Table at a time. A file with a bad line is refused as a whole, and the last good Table stays: which
// certificate the line was about is not known. Keys that a file lacks may yet have to be written: they have to be lacking
// for watch.SettleDelay, and what else the file says counts with them.
package ownerfile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vernegate/vernegate/internal/pace"
	"github.com/vernegate/vernegate/internal/watch"
)

// defaultRefreshInterval is used when watching is impossible and the configuration leaves it at that.
const defaultRefreshInterval = 5 * time.Minute

// Config says which file is followed, and how. It must not be changed once given to Open.
type Config struct {
	// Path is the file.
	Path string

	// Check says why an owner is of no use, which is then noticed with the number of its line. Nil = every owner is.
	Check func(owner string) error

	// RefreshInterval is how often the file is read without any sign of change. Zero leaves it to watching.
	RefreshInterval time.Duration

	// StartTimeout is how long Open waits for a file that is good; zero means that it tries once.
	StartTimeout time.Duration

	// Logger takes what the operator should know. Nil discards it.
	Logger *slog.Logger

	// OnSwap, if not nil, is told of every Table that replaces another, when it has. The file is not read again
	// until it returns.
	OnSwap func(old, current *Table)
}

// A Store holds the current Table. Its methods may be called from any goroutine.
type Store struct {
	config  Config
	log     *slog.Logger
	current atomic.Pointer[Table]
	status  atomic.Pointer[Status]
	waits   atomic.Bool // pending is not nil

	mu      sync.Mutex // one look at the file at a time
	digest  digest     // of the current table's file
	pending *version   // is good, and lacks keys
	since   time.Time  // when pending was read first
}

// A Status is how the file is. It must not be modified.
type Status struct {
	Path    string
	Lines   int       // that name an owner, of the Table in use
	Loaded  time.Time // when the Table in use was
	Err     error     // what is wrong with the file now, nil = nothing. The last good Table stays in use.
	Since   time.Time // of Err
	Pending bool      // the file is good but lacks keys, and is used if it stays so
	Notices []string  // lines that are of no use
}

// Open reads the file. As long as it is no good it tries again, up to Config.StartTimeout: a program that writes it may
// not be done. The error names the file in each of its lines.
func Open(ctx context.Context, config Config) (*Store, error) {
	s := &Store{config: config, log: config.Logger}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.status.Store(&Status{Path: config.Path})
	for end := time.Now().Add(config.StartTimeout); ; {
		err := s.look(ctx, true)
		if s.Current() != nil {
			return s, nil
		}
		left := time.Until(end)
		if left <= 0 {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for a good file of owners: %w", context.Cause(ctx))
		case <-time.After(min(watch.QuietTime, left)):
		}
	}
}

// Current returns the Table in use.
func (s *Store) Current() *Table { return s.current.Load() }

// Status returns how the file is.
func (s *Store) Status() Status {
	status := *s.status.Load()
	status.Pending = s.waits.Load()
	return status
}

// Reload reads the file now, and believes at once what it finds, also what lacks keys. The error says why the file is
// refused, which is also logged.
func (s *Store) Reload(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.look(ctx, true)
}

// Run follows the file until the context ends, and returns when it has stopped everything that it started. It must be
// called only once.
func (s *Store) Run(ctx context.Context) {
	interval := s.config.RefreshInterval
	var changes <-chan struct{}
	w, err := watch.Files([]string{s.config.Path}, s.log)
	if w != nil {
		defer w.Stop()
		changes = w.Changes()
	}
	if err != nil {
		if interval == 0 {
			interval = defaultRefreshInterval
		}
		s.log.Warn("the file of owners cannot be watched, changes are only found at intervals", "err", err, "interval", interval)
	}
	s.follow(ctx, changes, interval)
}

// follow reads the file when it has changed, when one that has to settle may have done so, and every interval, unless
// that is zero.
func (s *Store) follow(ctx context.Context, changes <-chan struct{}, interval time.Duration) {
	var burst watch.Burst
	next := burst.Changed(time.Now()) // nothing has watched for changes since Open
	for {
		var due <-chan time.Time
		if !next.IsZero() {
			due = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return
		case <-changes:
			next = burst.Changed(time.Now())
		case <-due:
			_ = s.look(ctx, false)
			burst, next = watch.Burst{}, s.nextLook(time.Now(), interval)
		}
	}
}

// nextLook returns when the file is to be read if nothing changes; zero means never.
func (s *Store) nextLook(now time.Time, interval time.Duration) (next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if interval > 0 {
		next = now.Add(interval)
	}
	if s.pending != nil {
		if settled := s.since.Add(watch.SettleDelay); next.IsZero() || settled.Before(next) {
			next = settled
		}
	}
	return next
}

// look reads the file and puts it in use, if it is another one and good. With force it does not wait for one that lacks
// keys.
func (s *Store) look(ctx context.Context, force bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.waits.Store(s.pending != nil) }()
	var throttle *pace.Throttle // nobody is served yet
	if s.Current() != nil {
		throttle = pace.NewThrottle(ctx.Done())
	}
	began := time.Now()
	next, err := s.read(throttle)
	if err != nil {
		s.pending = nil
		return s.refuse(located(s.config.Path, err))
	}
	s.accept()
	if next == nil {
		s.pending = nil
		return nil
	}
	if force {
		s.swap(next)
	} else {
		s.settle(next, began, throttle)
	}
	return nil
}

// read returns what the file says, nil if that is in use already.
func (s *Store) read(throttle *pace.Throttle) (*version, error) {
	f, err := open(s.config.Path, throttle)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	switch {
	case s.Current() != nil && f.digest == s.digest:
		return nil, nil
	case s.pending != nil && f.digest == s.pending.digest:
		return s.pending, nil
	}
	return f.read(s.config.Check, throttle)
}

// settle puts a good version in use that lacks nothing, or of which another version has lacked the same for long
// enough. mu must be held.
//
// A file that is written again and again has to lose keys nevertheless: what is lacking since then counts, even if
// more has come to lack meanwhile. What is there again was only being written.
func (s *Store) settle(next *version, began time.Time, throttle *pace.Throttle) {
	lacking, more, back := s.compare(next, throttle)
	settled := s.hasSettled(began)
	switch {
	case lacking == 0, settled && !more && !back:
		s.swap(next)
	case settled && !back:
		s.swap(s.pending)
		s.wait(next, s.Current().lacking(next.Table, throttle))
	case s.pending == nil || back:
		s.wait(next, lacking)
	case !more:
		s.pending = next
	}
}

// hasSettled reports whether there was a pending version for long enough when a look began: reading may take long. mu must
// be held.
func (s *Store) hasSettled(began time.Time) bool {
	return s.pending != nil && began.Sub(s.since) >= watch.SettleDelay
}

// compare returns how many keys of the current table a version lacks, and whether it lacks one that the pending version
// has, or has one that this lacks.
func (s *Store) compare(next *version, throttle *pace.Throttle) (lacking int, more, back bool) {
	current := s.Current()
	for i := range current.entries {
		if i%yieldEvery == 0 {
			throttle.Yield()
		}
		k := current.entries[i].key
		_, inNext := next.find(k)
		if !inNext {
			lacking++
		}
		if s.pending == nil || next == s.pending {
			continue
		}
		_, inPending := s.pending.find(k)
		more = more || inPending && !inNext
		back = back || inNext && !inPending
	}
	return lacking, more, back
}

// wait has a version wait until it has settled. mu must be held.
func (s *Store) wait(next *version, lacking int) {
	s.pending, s.since = next, time.Now()
	s.log.Info("the file of owners is good and used if it stays so", "file", s.config.Path, "wait", watch.SettleDelay.String(), "lacks", lacking)
}

// swap puts a version in use. mu must be held.
func (s *Store) swap(next *version) {
	s.pending, s.digest = nil, next.digest
	status := Status{Path: s.config.Path, Lines: next.Len(), Loaded: time.Now()}
	if err := next.odd.err(); err != nil {
		status.Notices = strings.Split(err.Error(), "\n")
	}
	for _, notice := range status.Notices {
		s.log.Warn("a line of the file of owners is of no use, its certificate is refused", "file", s.config.Path, "line", notice)
	}
	s.status.Store(&status)
	old := s.current.Swap(next.Table)
	s.log.Info("file of owners in use", "file", s.config.Path, "lines", next.Len())
	if old != nil && s.config.OnSwap != nil {
		s.config.OnSwap(old, next.Table)
	}
}

// refuse notes what is wrong with the file, and logs it once, however often it is read. mu must be held.
func (s *Store) refuse(err error) error {
	status := s.Status()
	if before := status.Err; before == nil || before.Error() != err.Error() {
		if before == nil {
			status.Since = time.Now()
		}
		status.Err = err
		s.status.Store(&status)
		if s.Current() == nil {
			s.log.Warn("there is no good file of owners yet", "err", err)
		} else {
			s.log.Error("the file of owners is refused, the last good one stays in use", "err", err)
		}
	}
	return err
}

// accept notes that nothing is wrong with the file any more. mu must be held.
func (s *Store) accept() {
	status := s.Status()
	if status.Err == nil {
		return
	}
	status.Err, status.Since = nil, time.Time{}
	s.status.Store(&status)
	if s.Current() != nil {
		s.log.Info("the file of owners is good again", "file", s.config.Path)
	}
}

// located has each line of an error name the file.
func located(path string, err error) error {
	var all []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !strings.Contains(line, path) {
			line = path + ": " + line
		}
		all = append(all, errors.New(line))
	}
	return errors.Join(all...)
}
