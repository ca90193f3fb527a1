// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package crlfetch keeps copies of revocation lists that CAs publish over HTTP: a file
// for each URL, which is always complete and stays when its server is away. It asks each
// server again and again, on condition that something has changed, and replaces the file
// only by one that its caller has found good.
//
// A list that cannot be written to a file is kept in memory.
//
// It knows neither what is in the files nor which hosts may be called: the caller's
// functions and client do.
package crlfetch

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"
)

// A Source is a URL to follow.
type Source struct {
	URL string

	// Name is what log lines and Status call it: the URL, without a password. It is
	// what sources are told apart by.
	Name string

	Origin Origin
}

// Origin is why a URL is followed.
type Origin string

// Origins.
const (
	Configured Origin = "configured" // an operator named it
	CA         Origin = "ca"         // a CA's own certificate names it
	Leaf       Origin = "leaf"       // a certificate that came by names it
	Freshest   Origin = "freshest"   // a list names it, for its deltas (RFC 5280 §5.2.6)
)

// Result is what came of asking a server once.
type Result string

// Results.
const (
	Replaced  Result = "replaced"  // there was something new, and it is in use from now on, with an error: a part of it
	Unchanged Result = "unchanged" // the copy is that of the server
	Failed    Result = "failed"    // nothing has changed
)

// Results lists all of them.
func Results() []Result { return []Result{Replaced, Unchanged, Failed} }

// Config says how copies are kept.
type Config struct {
	// Client makes the requests, to allowed hosts only.
	Client *http.Client

	// Dir is the directory of the copies. It has to exist.
	Dir string

	// Refresh is how often each server is asked, at least.
	Refresh time.Duration

	// MaxSize is the largest list, in bytes.
	MaxSize int64

	// Try decides whether a complete download may take the place of the copy, or become
	// the first one. It may be called for several downloads at a time, and may wait. It is also
	// asked about a copy that is not as it was written, as if that were a first download. Where only a part of
	// a download may be the copy, it returns why, and writes that part to Instead, with what it needs of the copy;
	// then it is asked about what it wrote.
	Try func(ctx context.Context, d Download) (Verdict, error)

	// Refused, if not nil, reports whether a part of the copy of a source is refused where copies are used. While it is, the
	// server is asked for all of it.
	Refused func(name string) bool

	// OnChange, if not nil, is called when a copy was replaced, or when other sources
	// are followed.
	OnChange func()

	// OnResult, if not nil, is told what came of each request.
	OnResult func(name string, r Result)

	// OnNotKept, if not nil, is told of each request that left a copy, or what is known of it, unwritten.
	OnNotKept func(name string)

	// Logger takes what the operator should know. Nil discards it.
	Logger *slog.Logger
}

// A Download is a file that has come and has not replaced anything yet.
type Download struct {
	Name  string // of the source
	File  string // its path; "" if it could not be written
	Data  []byte // its content if there is no file
	First bool   // there is no other copy that it would replace

	SHA256 [sha256.Size]byte // of the file

	Instead io.Writer // takes what may be the copy in place of the file; nil of what was written there itself
}

// A Verdict is about a download that may be the copy.
type Verdict struct {
	// Compared is whether it was compared with what is in use. If not, it is believed for now: the server is asked for all of
	// it again, which is then tried again.
	Compared bool

	Due time.Time // when it will be replaced by its publisher; zero if that is not known
}

// Fetcher follows sources. Its methods may be called from any goroutine.
type Fetcher struct {
	config Config
	log    *slog.Logger
	memory memory

	mu      sync.Mutex
	ctx     context.Context // of Run; nil when it does not run
	sources []*source
	running sync.WaitGroup
}

// New returns a Fetcher that follows nothing yet.
func New(c Config) *Fetcher {
	f := &Fetcher{config: c, log: c.Logger}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.sweep(time.Now())
	return f
}

// Follow makes these the sources, in this order and each once. The copies of those that
// are no longer among them are removed.
func (f *Fetcher) Follow(sources []Source) {
	f.mu.Lock()
	var next []*source
	changed := false
	for _, s := range sources {
		i := slices.IndexFunc(f.sources, func(old *source) bool { return old.Name == s.Name })
		switch {
		case slices.ContainsFunc(next, func(old *source) bool { return old.Name == s.Name }):
		case i >= 0:
			next = append(next, f.sources[i])
		default:
			next = append(next, f.start(s))
			changed = true
		}
	}
	before := f.sources
	f.sources = next
	for _, old := range before {
		if slices.Contains(next, old) {
			continue
		}
		changed = true
		if old.stop != nil {
			old.stop()
		} else {
			f.drop(old)
		}
	}
	f.mu.Unlock()
	if changed && f.config.OnChange != nil {
		f.config.OnChange()
	}
}

// start makes a source, and begins to follow it if the fetcher runs. f.mu is held.
func (f *Fetcher) start(of Source) *source {
	s := newSource(of, f.config.Dir, &f.memory)
	if f.ctx != nil {
		f.follow(s)
	}
	return s
}

// follow begins to follow a source. f.mu is held.
func (f *Fetcher) follow(s *source) {
	ctx, stop := context.WithCancel(f.ctx)
	s.stop = stop
	f.running.Go(func() { f.run(ctx, s) })
}

// Run follows the sources until ctx ends, and returns when nothing runs any more. It
// must be called only once.
func (f *Fetcher) Run(ctx context.Context) {
	f.mu.Lock()
	f.ctx = ctx
	for _, s := range f.sources {
		f.follow(s)
	}
	f.mu.Unlock()
	<-ctx.Done()
	f.mu.Lock()
	f.ctx = nil // from now on nothing is started
	f.mu.Unlock()
	f.running.Wait()
}

// FetchNow has every server asked at once.
func (f *Fetcher) FetchNow() {
	for _, s := range f.all() {
		s.fetchNow()
	}
}

// FetchUncompared has the servers asked at once whose lists have come, or are coming, and were not compared with what is in use.
func (f *Fetcher) FetchUncompared() {
	for _, s := range f.all() {
		if s.mayLackComparison() {
			s.fetchNow()
		}
	}
}

// FetchOnce asks every server once, and returns when all have answered or ctx has ended.
// It is for a Fetcher that does not run.
func (f *Fetcher) FetchOnce(ctx context.Context) {
	var asking sync.WaitGroup
	for _, s := range f.all() {
		asking.Go(func() { f.ask(ctx, s) })
	}
	asking.Wait()
}

// Status returns what is known of each source.
func (f *Fetcher) Status() []Status {
	var list []Status
	for _, s := range f.all() {
		list = append(list, s.snapshot())
	}
	return list
}

func (f *Fetcher) all() []*source {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.sources)
}

// drop gives up the copy of a source that is not followed any more, and removes its files unless another one has taken its
// place. f.mu is held.
func (f *Fetcher) drop(s *source) {
	if slices.Contains(f.sources, s) {
		return // it is Run that ends
	}
	s.copy.setData(nil)
	if !slices.ContainsFunc(f.sources, func(other *source) bool { return other.Name == s.Name }) {
		s.copy.remove()
	}
}

// run asks the server of a source again and again until ctx ends.
func (f *Fetcher) run(ctx context.Context, s *source) {
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.drop(s)
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.now:
		case <-timer.C:
		}
		began := time.Now()
		f.ask(ctx, s)
		timer.Reset(s.untilNext(began, time.Now(), f.config.Refresh))
	}
}

// ask asks a server once, and notes what came of it.
func (f *Fetcher) ask(ctx context.Context, s *source) {
	s.setAsking(true)
	defer s.setAsking(false)
	f.check(ctx, s)
	before := s.snapshot()
	result, err := f.fetch(ctx, s)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return // the server is not to blame
	}
	if result == Failed {
		s.writeAgain()
	}
	f.note(s, before, result, err)
	if f.config.OnResult != nil {
		f.config.OnResult(s.Name, result)
	}
	after := s.snapshot()
	if result != Failed && after.NotKept != "" && f.config.OnNotKept != nil {
		f.config.OnNotKept(s.Name)
	}
	moved := (before.Data == nil) != (after.Data == nil)
	if (result == Replaced || moved) && f.config.OnChange != nil {
		f.config.OnChange()
	}
}

// check looks whether the copy is as it was written, and gives up one that is gone or damaged: its server would say for
// ever that nothing has changed. A crash may leave a good list beside the note of another one, and so a list that is
// not that of its note is tried. One that cannot be read for now stays as it is.
func (f *Fetcher) check(ctx context.Context, s *source) {
	c := &s.copy
	if !c.held || c.data != nil || c.isAsSeen() {
		return
	}
	info, sum, err := c.digest(ctx)
	if err == nil && !c.has(sum) {
		if _, err = f.config.Try(ctx, Download{Name: s.Name, File: c.path, First: true, SHA256: sum}); err == nil {
			c.note = noteOf(info)
			s.keep()
		}
	}
	switch {
	case err == nil:
		c.seen = info
	case mayPass(err): // it is looked at again before the next request
	case ctx.Err() == nil:
		f.log.Warn("copy of a CRL cannot be used, it is fetched anew", "url", s.Name, "origin", string(s.Origin), "err", err)
		s.giveUp()
	}
}

// mayPass reports whether a file could not be read for lack of what others use now, which says nothing of the file.
func mayPass(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

// note keeps what came of a request, and logs it when it is another outcome than before.
func (f *Fetcher) note(s *source, before Status, result Result, err error) {
	now := time.Now()
	s.finish(now, err)
	log := f.log.With("url", s.Name, "origin", string(s.Origin))
	switch {
	case result == Replaced && err != nil && before.Err != err.Error():
		log.Warn("CRL was fetched and a part of it cannot be used, the last good lists stay in use in its place", "err", err)
	case err != nil && before.Err != err.Error() && !before.Held:
		log.Error("CRL cannot be fetched, and there is no copy of it", "err", err)
	case err != nil && before.Err != err.Error():
		log.Warn("CRL cannot be fetched, the last good one stays in use", "err", err, "last_success", before.LastSuccess)
	case err == nil && before.Err != "":
		log.Info("CRL can be fetched again", "failing_since", before.FailingSince)
	}
	after := s.snapshot()
	if result == Replaced {
		log.Info("CRL was fetched", "bytes", after.Size)
	}
	switch {
	case after.NotKept != "" && after.NotKept != before.NotKept:
		log.Warn("CRL is in use and cannot be kept for the next start", "err", after.NotKept)
	case after.NotKept == "" && before.NotKept != "":
		log.Info("CRL is kept for the next start again")
	}
}
