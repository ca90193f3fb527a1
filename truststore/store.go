// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package truststore keeps the certificates and revocation lists that TLS
// devices are let in by, and keeps them current while files change under it.
//
// A Store holds one Generation at a time, swapped in by one atomic pointer. It is
// put together from parts: each server certificate, the CA certificates of each
// file, each CA's revocation list, and the ticket keys. Each part is judged by
// itself. One that is no good keeps its last good version and holds up no other:
// a list that revokes a device counts, whatever the other files are like.
// Generation.Verify decides about a client.
//
//	store, err := truststore.Open(ctx, config) // waits for a first good set
//	go store.Run(ctx)                          // follows the files
//	// in tls.Config.VerifyConnection:
//	chain, err := store.Current().Verify(state.PeerCertificates, state.VerifiedChains, time.Now())
//
// The package serves no TLS: listening, choosing a server certificate and asking
// Verify in every handshake is its caller's.
package truststore

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vernegate/vernegate/internal/pace"
	"github.com/vernegate/vernegate/internal/watch"
)

// DefaultRefreshInterval is used when watching is impossible and the
// configuration leaves it at that: five minutes, as the patched broker's.
const DefaultRefreshInterval = 5 * time.Minute

// startInterval is how often Open reads the files until they are good.
const startInterval = watch.QuietTime

// Store holds the current generation. Its methods may be called from any
// goroutine.
type Store struct {
	config  Config
	log     *slog.Logger
	current atomic.Pointer[Generation]

	// watch begins to watch the files; tests make it fail.
	watch func(paths []string, log *slog.Logger) (*watch.Watcher, error)

	report atomic.Pointer[report]

	tried   triedLists    // that were fetched and are not in use yet
	fetched chan struct{} // has room for one value, which stands for all calls of Changed

	opened time.Time // when Open began

	mu      sync.Mutex            // one reload at a time
	parts   parts                 // of the current generation, and what is pending
	until   time.Time             // when a part that is pending has settled; zero if none is
	later   time.Time             // when something that the time alone decides may be decided differently; zero if never
	unread  bool                  // a file could not be read, for a reason that may pass
	trouble string                // what was wrong before the first generation, as logged last
	overdue map[seriesID]lateness // of the CRLs, as logged last
}

// report is what the store says about the parts, as they were read last.
type report struct {
	refusals []Refusal
	notices  []Notice
}

// Open reads the files and returns a store with a first good generation. As
// long as a part is no good it tries again, up to Config.StartTimeout: a program
// that writes the files may not be done. It waits for lists that are fetched only up to
// Config.FetchTimeout. Then it goes on without server
// certificates that are no good, if there is another one, and without lists that
// are signed by no known CA; the rest has to be good. The error says everything
// that is wrong.
func Open(ctx context.Context, config Config) (*Store, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	s := &Store{config: config, log: config.Logger, watch: watch.Files, parts: newParts(&config), fetched: make(chan struct{}, 1), opened: time.Now()}
	s.report.Store(new(report))
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

// Refusals returns the parts that are no good as they were read last. What is
// returned must not be modified.
func (s *Store) Refusals() []Refusal { return s.report.Load().refusals }

// Notices returns what is odd about the parts in use, or was passed over. What is
// returned must not be modified.
func (s *Store) Notices() []Notice { return s.report.Load().notices }

// Reload reads the files now, and believes at once what it finds, also what takes
// something away. The error says which parts are refused, which is also logged;
// their last good version then stays in use, and all others count. A context
// that ends meanwhile does not end it.
func (s *Store) Reload(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := s.reload(ctx, true)
	return err
}

// Changed tells the store that Config.Remotes returns others, or that one of their
// files was replaced. It does not wait until they have been read.
func (s *Store) Changed() {
	select {
	case s.fetched <- struct{}{}:
	default: // one is waiting already
	}
}

// Run follows the files until the context ends, and returns nil when it has
// stopped everything that it started. It must be called only once.
func (s *Store) Run(ctx context.Context) error {
	interval := s.config.RefreshInterval
	var changes <-chan struct{}
	w, err := s.watch(s.config.paths(), s.log)
	if w != nil {
		defer w.Stop()
		changes = w.Changes()
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

// awaitFirst reads the files until there is a generation or the time is up.
func (s *Store) awaitFirst(ctx context.Context) error {
	for end := time.Now().Add(s.config.StartTimeout); time.Now().Before(end); {
		if result, _ := s.reload(ctx, false); result == Swapped {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for good trust files: %w", context.Cause(ctx))
		case <-time.After(min(startInterval, time.Until(end))):
		}
	}
	_, err := s.reload(ctx, true)
	if s.Current() != nil {
		return nil
	}
	return err
}

// reload reads the files and makes the next generation of what is good, if that
// is another one than the current. With force, it does not wait for files that
// look unfinished. The error is the reason of Refused.
func (s *Store) reload(ctx context.Context, force bool) (Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	throttle, began := s.throttle(ctx), time.Now()
	tried := s.tried.all()
	set := readFiles(&s.config, func(name string) []*listFile { return []*listFile{tried[name], s.parts.lists.file(name)} }, throttle)
	defer set.close()
	a := &attempt{
		config: &s.config, set: set, current: s.Current(), before: &s.parts, tried: tried,
		force: force, began: began, now: time.Now(), throttle: throttle,
	}
	a.fetching = a.now.Sub(s.opened) < s.config.FetchTimeout
	var result Result
	var err error
	if a.current == nil {
		result, err = s.start(a)
	} else {
		result, err = s.proceed(a, a.make()), a.err()
	}
	s.tried.forget(tried, s.parts.lists.files, set.hasList)
	s.logOverdue(time.Now())
	if s.config.OnReload != nil {
		s.config.OnReload(result, err)
	}
	return result, err
}

// throttle returns how to read: without pauses as long as nobody is served yet,
// and once the context has ended.
func (s *Store) throttle(ctx context.Context) *pace.Throttle {
	if s.Current() == nil {
		return nil
	}
	return pace.NewThrottle(ctx.Done())
}

// start makes the first generation, unless there is something to wait for.
func (s *Store) start(a *attempt) (Result, error) {
	if age := a.now.Sub(a.set.modified()); !a.force && 0 <= age && age < watch.QuietTime {
		return Settling, nil // they have just been written: reading a large list twice would take its memory twice
	}
	first := a.make()
	err := a.startProblem()
	if err == nil && first == nil {
		err = a.err() // there is nothing that works
	}
	if err != nil {
		if !a.force && s.trouble != err.Error() { // else Open returns it
			s.trouble = err.Error()
			s.log.Warn("there are no good trust files yet", "err", err)
		}
		return Refused, err
	}
	s.proceed(a, first)
	return Swapped, nil
}

// proceed puts what an attempt has come to in use.
func (s *Store) proceed(a *attempt, next *Generation) Result {
	changed := a.changes(next)
	if len(a.settling) > 0 && s.until.IsZero() {
		s.log.Info("trust files take something away, which counts if they stay the same for a moment", "wait", watch.SettleDelay, "lacking", strings.Join(a.settling, ", "))
	}
	s.parts, s.until, s.later, s.unread = a.next, a.until, a.later, a.isUnread()
	s.tell(a)
	if changed {
		s.swap(next)
	}
	switch {
	case len(a.problems) > 0:
		return Refused
	case changed:
		return Swapped
	case len(a.settling) > 0:
		return Settling
	}
	return Unchanged
}

// swap makes a generation the current one.
func (s *Store) swap(next *Generation) {
	old := s.current.Swap(next)
	entries := 0
	for _, l := range next.lists {
		entries += l.Entries
	}
	s.log.Info("trust files in use", "generation", next.sequence,
		"cas", len(next.bundle.certs), "crls", len(next.lists), "revoked", entries)
	if old != nil && s.config.OnSwap != nil {
		s.config.OnSwap(old, next)
	}
}

// tell publishes what is wrong with the parts and what is odd about them, and logs
// each once, however often the files are read.
func (s *Store) tell(a *attempt) {
	before, now := s.report.Load(), &report{notices: a.notices}
	since, told := before.history()
	bad := make(map[partID]bool)
	for _, p := range a.problems {
		bad[p.part()] = true
		if known, ok := since[p.part()]; ok {
			p.Since = known
		} else {
			p.Since = a.now
		}
		now.refusals = append(now.refusals, p.Refusal)
		if !told[p.text()] {
			s.logRefusal(p)
		}
	}
	for _, r := range before.refusals {
		if !bad[r.part()] {
			s.log.Info("trust files are good again", "part", string(r.Kind), "file", r.File)
			bad[r.part()] = true // say so once
		}
	}
	for _, n := range now.notices {
		if !told[n.String()] {
			s.log.LogAttrs(context.Background(), slog.LevelWarn, n.Message, n.Attrs...)
		}
	}
	s.report.Store(now)
}

// history returns since when each part has been no good, and the texts of all that was told.
func (r *report) history() (since map[partID]time.Time, told map[string]bool) {
	since, told = make(map[partID]time.Time, len(r.refusals)), make(map[string]bool, len(r.refusals)+len(r.notices))
	for _, refusal := range r.refusals {
		since[refusal.part()] = refusal.Since
		told[refusal.text()] = true
	}
	for _, n := range r.notices {
		told[n.String()] = true
	}
	return since, told
}

func (s *Store) logRefusal(p problem) {
	log := s.log.With("part", string(p.Kind), "file", p.File)
	if p.none {
		log.Error("trust files are refused, and there are no good ones before them", "err", p.Err)
		return
	}
	log.Error("trust files are refused, the last good ones stay in use", "err", p.Err)
}
