// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package truststore keeps the certificates and revocation lists that TLS
// devices are let in by, and keeps them current while files change under it.
//
// A Store holds one Generation at a time: server certificates, CA bundle and
// CRLs that were read together, checked as a whole, and swapped in by one atomic
// pointer. Files that do not add up change nothing: the last good generation
// serves on. Generation.Verify decides about a client.
//
//	store, err := truststore.Open(ctx, config) // waits for a first good set
//	go store.Run(ctx)                          // follows the files
//	// in tls.Config.VerifyConnection:
//	err = store.Current().Verify(state.PeerCertificates, nil, time.Now())
//
// The package does no TLS: listening, choosing a server certificate and asking
// Verify in every handshake is its caller's.
package truststore

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultRefreshInterval is used when watching is impossible and the
// configuration leaves it at that: five minutes, as the patched broker's.
const DefaultRefreshInterval = 5 * time.Minute

// How the files are given time to be written. Programs that write in place,
// one file after the other, leave them empty, cut and inconsistent on the way.
const (
	// quietTime is how long the directories have to be quiet before the
	// files are looked at. A file younger than that is not believed at the
	// start either.
	quietTime = 250 * time.Millisecond

	// patience is how long quiet is waited for. Looking too early does no
	// harm: what is half-written is refused, or has to settle.
	patience = 1500 * time.Millisecond

	// settleTime is how long a set that takes trust away has to stay as it
	// is before it is believed: longer than a writer pauses between two
	// blocks of a file. Until then a CA that was removed is trusted, and one
	// that has come in its place is not.
	settleTime = 2500 * time.Millisecond

	// startInterval is how often Open looks for a first good set.
	startInterval = quietTime
)

// Store holds the current generation. Its methods may be called from any
// goroutine.
type Store struct {
	config  Config
	log     *slog.Logger
	current atomic.Pointer[Generation]

	// watch begins to watch the files; tests make it fail.
	watch func(paths []string, log *slog.Logger) (*watcher, error)

	mu      sync.Mutex          // one look at a time
	pending candidate           // what has to stay the same for a while
	trouble string              // the refusal that was logged last, or ""
	overdue map[string]lateness // of the CRLs, as logged last
}

// candidate is a good set that is not believed yet.
type candidate struct {
	files []File
	since time.Time
}

// Open reads the files and returns a store with a first good generation. As
// long as there is none it tries again, up to Config.StartTimeout: whoever
// writes the files may not be done. The error then tells everything that is
// wrong with them.
func Open(ctx context.Context, config Config) (*Store, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	s := &Store{config: config, log: config.Logger, watch: newWatcher}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.awaitFirst(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Current returns the generation in use.
func (s *Store) Current() *Generation { return s.current.Load() }

// Reload looks at the files now, and believes at once what it finds, also a set
// that takes trust away. The error tells why the files are refused, which is
// also logged; the current generation then stays in use. A context that ends
// during the look does not end it.
func (s *Store) Reload(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := s.look(ctx, atOnce)
	return err
}

// Run follows the files until the context ends, and returns nil when it has
// stopped everything that it started. It must be called only once.
func (s *Store) Run(ctx context.Context) error {
	interval := s.config.RefreshInterval
	var changes <-chan struct{}
	w, err := s.watch(s.config.paths(), s.log)
	if w != nil {
		defer w.stop()
		changes = w.changes
	}
	if err != nil {
		interval = s.withoutWatching(interval, err)
	}
	s.follow(ctx, changes, interval)
	return nil
}

// withoutWatching tells the operator that changes will be noticed late, and
// returns how often to look for them. Never to look would leave revoked devices
// in until somebody notices, so that is not an option even when configured.
func (s *Store) withoutWatching(interval time.Duration, err error) time.Duration {
	if interval > 0 {
		s.log.Warn("trust files cannot be watched, changes are only found at intervals", "err", err, "interval", interval)
		return interval
	}
	s.log.Error("trust files cannot be watched and no interval is configured, reading them at intervals nevertheless",
		"err", err, "interval", DefaultRefreshInterval)
	return DefaultRefreshInterval
}

// awaitFirst looks until there is a generation or the time is up.
func (s *Store) awaitFirst(ctx context.Context) error {
	for end := time.Now().Add(s.config.StartTimeout); time.Now().Before(end); {
		if result, _ := s.look(ctx, patiently); result == Swapped {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for good trust files: %w", context.Cause(ctx))
		case <-time.After(min(startInterval, time.Until(end))):
		}
	}
	_, err := s.look(ctx, atOnce)
	return err
}

// urgency says whether a look may wait for files that look unfinished.
type urgency bool

const (
	patiently urgency = false
	atOnce    urgency = true
)

// look reads the files, judges them against the current generation, and swaps
// them in if they are good. The error is the reason of Refused.
func (s *Store) look(ctx context.Context, u urgency) (Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.paceOf(ctx)
	set := readFiles(&s.config, p)
	defer set.close()
	result, err := s.judge(set, u, p)
	if u == patiently || s.Current() != nil {
		s.logRefusal(err) // else Open returns it, and there is nothing to fall back on
	}
	s.logOverdue(time.Now())
	if s.config.OnLook != nil {
		s.config.OnLook(result, err)
	}
	return result, err
}

// paceOf returns how to read: without rest as long as nobody is served yet, and
// once the context has ended.
func (s *Store) paceOf(ctx context.Context) *pace {
	if s.Current() == nil {
		return nil
	}
	return newPace(ctx.Done())
}

func (s *Store) judge(set *fileSet, u urgency, p *pace) (Result, error) {
	now := time.Now()
	current := s.current.Load()
	if current != nil && slices.Equal(set.files(), current.files) {
		s.pending = candidate{}
		return Unchanged, nil
	}
	next, err := s.build(set, current, p, now)
	if err != nil {
		s.pending = candidate{}
		return Refused, err
	}
	if u == patiently && !s.settled(current, next, set.modified(), now) {
		return Settling, nil
	}
	s.swap(next)
	return Swapped, nil
}

// build makes the successor of the current generation.
func (s *Store) build(set *fileSet, current *Generation, p *pace, now time.Time) (*Generation, error) {
	next, err := build(&s.config, set, p, now)
	if err != nil {
		return nil, err
	}
	next.sequence = 1
	if current != nil {
		next.sequence = current.sequence + 1
		err = current.checkSuccession(next)
	}
	return next, err
}

// settled tells whether a good set need not or has proven that it stays.
func (s *Store) settled(current, next *Generation, modified, now time.Time) bool {
	wait, why := distrust(current, next, now.Sub(modified))
	if wait == 0 {
		return true
	}
	if !slices.Equal(s.pending.files, next.files) {
		s.pending = candidate{next.files, now}
		s.log.Info("trust files are good and used if they stay so", "wait", wait, "because", why)
	}
	return now.Sub(s.pending.since) >= wait
}

// distrust returns how long a good set has to stay the same before it replaces
// the current generation, if there is any, and why. The age is that of the
// youngest file.
func distrust(current, next *Generation, age time.Duration) (time.Duration, string) {
	if current == nil {
		if 0 <= age && age < quietTime {
			return quietTime, "they have just been written"
		}
		return 0, ""
	}
	if lost := current.takesAway(next); lost != "" {
		return settleTime, "they lack " + lost
	}
	return 0, ""
}

// swap makes a generation the current one.
func (s *Store) swap(next *Generation) {
	old := s.current.Swap(next)
	s.pending = candidate{}
	for _, n := range next.notices {
		s.log.LogAttrs(context.Background(), slog.LevelWarn, n.message, n.attrs...)
	}
	entries := 0
	for _, list := range next.crls {
		entries += list.Entries
	}
	s.log.Info("trust files in use", "generation", next.sequence,
		"cas", len(next.bundle.certs), "crls", len(next.crls), "revoked", entries)
	if old != nil && s.config.OnSwap != nil {
		s.config.OnSwap(old, next)
	}
}

// logRefusal tells of a refusal once, however often the files are looked at,
// and when it is over.
func (s *Store) logRefusal(err error) {
	switch {
	case err == nil && s.trouble != "":
		s.trouble = ""
		s.log.Info("trust files are good again")
	case err != nil && s.trouble != err.Error():
		s.trouble = err.Error()
		if s.Current() == nil {
			s.log.Warn("there are no good trust files yet", "err", err)
			return
		}
		s.log.Error("trust files are refused, the last good ones stay in use", "err", err)
	}
}
