// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/internal/crlfetch"
	"github.com/vernegate/vernegate/internal/outbound"
	"github.com/vernegate/vernegate/internal/untrusted"
	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/crl"
)

const (
	// fetchTimeout is how long each step of a request to a CA's server may take.
	fetchTimeout = 10 * time.Second

	// maxDiscovered bounds how many URLs are followed that certificates and lists name.
	maxDiscovered = 64

	// leafRest is for how long no certificate has named a URL that makes room for another
	// one. It is long, since live sessions may rely on the list, and a list that comes and
	// goes is fetched each time.
	leafRest = 24 * time.Hour

	// maxNamed bounds how many URLs of a certificate that comes by are looked at, and as many again of deltas.
	maxNamed = 16

	// maxPassedOver bounds how many URLs are remembered that certificates which came by name and that may not be called.
	maxPassedOver = 1024

	// maxTellings bounds how many hosts that are not allowed are logged.
	maxTellings = 16

	// maxURL is the longest URL that is taken from a certificate or a list, in bytes.
	maxURL = 2 << 10
)

// listFetcher fetches the revocation lists that are not files, and tells the trust store
// of them. A nil one fetches nothing.
type listFetcher struct {
	cfg     config.Config
	hosts   outbound.Hosts
	log     *slog.Logger
	fetcher *crlfetch.Fetcher
	client  *http.Client
	cleanUp func()

	store  atomic.Pointer[truststore.Store] // nil before opened is closed
	opened chan struct{}
	trying sync.Mutex // one download at a time is in memory

	told     sync.Map // hosts that are not allowed, as logged
	tellings atomic.Int64
	crowded  sync.Map // origins of which there are more URLs than are followed, as logged

	// Of certificates that came by. A URL that may not be called is remembered, too: it is not to be judged in each handshake.
	noted      sync.Map // *sighting by URL that is followed
	passedOver *lru.Cache[string, struct{}]

	news  chan struct{}
	mu    sync.Mutex
	leafs []crlfetch.Source
	kept  []crlfetch.Source // that nothing names any more
}

// newListFetcher returns what fetches the lists that cfg names and allows to be found,
// nil if there are none. https is as outbound.Config.TLS. Its close gives back what it has taken.
func newListFetcher(cfg config.Config, https func() *tls.Config, log *slog.Logger, metrics *fetchMetrics) (*listFetcher, error) {
	if !cfg.FetchesLists() {
		return nil, nil
	}
	dir, cleanUp, err := listDirectory(string(cfg.StateDir))
	if err != nil {
		return nil, err
	}
	l := &listFetcher{cfg: cfg, hosts: cfg.CRLHosts, log: log, cleanUp: cleanUp, opened: make(chan struct{}), news: make(chan struct{}, 1)}
	l.passedOver, _ = lru.New[string, struct{}](maxPassedOver) // the error is for sizes that are not positive
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	for _, source := range l.configured() {
		if u, err := url.Parse(source.URL); err == nil {
			l.hosts = l.hosts.With(u)
		}
	}
	l.client = outbound.NewClient(outbound.Config{Hosts: l.hosts, Proxy: cfg.CRLProxy, Timeout: fetchTimeout, TLS: https})
	l.fetcher = crlfetch.New(crlfetch.Config{
		Client: l.client, Dir: dir, Refresh: time.Duration(cfg.CRLRefresh), MaxSize: int64(cfg.CRLMaxSize),
		Try: l.try, Refused: l.refuses, OnChange: l.changed, OnResult: metrics.observe, OnNotKept: metrics.notKept, Logger: log,
	})
	l.fetcher.Follow(l.known())
	return l, nil
}

// listDirectory returns where copies are kept, and what removes it if it is temporary.
func listDirectory(state string) (dir string, cleanUp func(), err error) {
	if state == "" {
		dir, err := os.MkdirTemp("", "vernegate-crl-")
		if err != nil {
			return "", nil, fmt.Errorf("keeping fetched CRLs, as VERNEGATE_STATE_DIR is not set: %w", err)
		}
		return dir, func() { _ = os.RemoveAll(dir) }, nil
	}
	dir = filepath.Join(state, "crl")
	err = os.MkdirAll(dir, 0o700)
	if err == nil {
		err = tryWriting(dir)
	}
	if err != nil && !canBeRead(dir, err) {
		return "", nil, fmt.Errorf("VERNEGATE_STATE_DIR: keeping fetched CRLs: %w", err)
	}
	return dir, func() {}, nil
}

// canBeRead reports whether an error of writing into a directory leaves the copies there to begin with. That nothing can be
// kept is told with each CRL that is fetched.
func canBeRead(dir string, err error) bool {
	if !errors.Is(err, syscall.EROFS) && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return false
	}
	_, unread := os.ReadDir(dir)
	return unread == nil
}

// tryWriting reports what keeps files from being written in a directory.
func tryWriting(dir string) error {
	f, err := os.CreateTemp(dir, "try-*")
	if err != nil {
		return err
	}
	_ = f.Close()
	return os.Remove(f.Name())
}

// configured returns the URLs of the operator.
func (l *listFetcher) configured() (sources []crlfetch.Source) {
	for _, u := range l.cfg.TLSCRL.URLs() {
		sources = append(sources, crlfetch.Source{URL: u, Name: untrusted.Text(config.Redact(u)), Origin: crlfetch.Configured})
	}
	return sources
}

// known returns what to follow before the trust files are known: what the operator has
// named, and what there are copies of from before.
func (l *listFetcher) known() []crlfetch.Source {
	sources := l.configured()
	for _, origin := range []crlfetch.Origin{crlfetch.CA, crlfetch.Leaf, crlfetch.Freshest} {
		var found []crlfetch.Source
		if l.follows(origin) {
			for _, name := range l.fetcher.Known(origin, maxDiscovered) {
				found = l.appendAllowed(found, name, origin)
			}
		}
		if origin == crlfetch.Leaf {
			l.leafs = found
			for _, s := range found {
				l.remember(s.URL)
			}
		}
		sources = append(sources, found...)
	}
	return sources
}

// follows reports whether URLs of an origin are followed at all.
func (l *listFetcher) follows(origin crlfetch.Origin) bool {
	switch origin {
	case crlfetch.CA:
		return l.cfg.CRLFromCDP != config.CDPOff
	case crlfetch.Leaf:
		return l.cfg.CRLFromCDP == config.CDPLeaf
	}
	return true
}

// appendAllowed appends a URL that a certificate or a list names, unless it is there already, or is not to be
// called. One with a user name is not: it could be any. Its fragment is left out.
func (l *listFetcher) appendAllowed(sources []crlfetch.Source, raw string, origin crlfetch.Origin) []crlfetch.Source {
	raw = withoutFragment(raw)
	u, err := url.Parse(raw)
	if err != nil || len(raw) > maxURL || hasName(sources, raw) || u.User != nil || untrusted.Text(raw) != raw {
		return sources
	}
	if !l.hosts.Allows(u) {
		l.tellOfHost(u, origin)
		return sources
	}
	if len(sources) >= maxDiscovered {
		l.tellOfMany(origin)
		return sources
	}
	return append(sources, crlfetch.Source{URL: raw, Name: raw, Origin: origin})
}

// withoutFragment returns a URL without what is not sent to its server: one file is one URL.
func withoutFragment(raw string) string {
	raw, _, _ = strings.Cut(raw, "#")
	return raw
}

// tellOfHost logs once that a host is not allowed, for a while: certificates may name any number.
func (l *listFetcher) tellOfHost(u *url.URL, origin crlfetch.Origin) {
	if u.Scheme != "http" && u.Scheme != "https" {
		return // such as LDAP, which is often beside http
	}
	if l.tellings.Load() >= maxTellings {
		return
	}
	if _, told := l.told.LoadOrStore(u.Host, struct{}{}); told || l.tellings.Add(1) > maxTellings {
		return
	}
	l.log.Info("CRL is not fetched, as its host is not in VERNEGATE_CRL_HOSTS", "host", u.Host, "origin", string(origin))
}

// tellOfMany logs once that URLs of an origin are not followed, as there are too many.
func (l *listFetcher) tellOfMany(origin crlfetch.Origin) {
	if _, told := l.crowded.LoadOrStore(origin, struct{}{}); !told {
		l.log.Warn("there are more distribution points than are followed, and CRLs are not fetched", "origin", string(origin), "followed", maxDiscovered)
	}
}

func hasName(sources []crlfetch.Source, name string) bool {
	return slices.ContainsFunc(sources, func(s crlfetch.Source) bool { return s.Name == name })
}

// pointsOf returns where a certificate says that the list of its issuer is, and deltas to it.
func pointsOf(cert *x509.Certificate) []string {
	return slices.Concat(cert.CRLDistributionPoints, crl.DeltaPoints(cert))
}

// start follows the lists until the returned function is called, which waits for the end.
func (l *listFetcher) start(ctx context.Context) (stop func()) {
	if l == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { l.fetcher.Run(ctx) })
	running.Go(func() { l.followNews(ctx) })
	return func() {
		cancel()
		running.Wait()
		l.close()
	}
}

// close gives back what there is without start.
func (l *listFetcher) close() {
	if l != nil {
		l.client.CloseIdleConnections()
		l.cleanUp()
	}
}

// followNews follows what certificates that came by have named.
func (l *listFetcher) followNews(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.news:
			if store := l.store.Load(); store != nil {
				l.followAll(store.Current)
			}
		}
	}
}

// open is called with the store once it has a first generation. What came before that is fetched again, as it could not be
// compared with anything.
func (l *listFetcher) open(store *truststore.Store) {
	if l == nil {
		return
	}
	l.store.Store(store)
	close(l.opened)
	l.followAll(store.Current)
	l.fetcher.FetchUncompared()
}

// swapped is told of each generation. With other CAs, lists may count that were refused, and are not to wait until their
// servers are asked anyway.
func (l *listFetcher) swapped(old, current *truststore.Generation) {
	if l == nil {
		return
	}
	l.followAll(func() *truststore.Generation { return current })
	if !slices.EqualFunc(old.CAs(), current.CAs(), (*x509.Certificate).Equal) {
		l.fetchNow()
	}
}

// followAll follows what is configured, what the CAs and lists of the current generation name, what
// certificates that came by have named, and what is needed all the same.
func (l *listFetcher) followAll(current func() *truststore.Generation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := current() // not before: what an older one does not name would be given up, with its copy
	sources := l.configured()
	if l.follows(crlfetch.CA) {
		named := l.newNamedURLs(crlfetch.CA)
		for _, ca := range g.CAs() {
			named.add(string(ca.RawIssuer), pointsOf(ca))
		}
		sources = append(sources, named.inTurns()...)
	}
	sources = append(sources, l.leafs...)
	named := l.newNamedURLs(crlfetch.Freshest)
	for _, list := range g.CRLs() {
		named.add(list.Issuer, list.Freshest)
	}
	sources = append(sources, named.inTurns()...)
	l.kept = l.stillNeeded(g, sources)
	l.fetcher.Follow(append(sources, l.kept...))
}

// stillNeeded returns what was found in CAs and lists, is not among the sources now, and must not be given up: a CA that
// names another place would be without a list until that one has come. mu must be held.
func (l *listFetcher) stillNeeded(g *truststore.Generation, sources []crlfetch.Source) (needed []crlfetch.Source) {
	for _, s := range l.status() {
		if s.Origin != crlfetch.CA && s.Origin != crlfetch.Freshest || hasName(sources, s.Name) || !g.Needs(s.Name) {
			continue
		}
		needed = append(needed, s.Source)
		if !hasName(l.kept, s.Name) {
			l.log.Warn("CRL is followed although nothing names it any more, as no other one takes its place", "url", s.Name, "origin", string(s.Origin))
		}
	}
	return needed
}

// note looks where the certificates of a verified chain say that their lists are. It is
// called in every handshake, and waits for nothing.
func (l *listFetcher) note(chain []*x509.Certificate) {
	if l == nil || !l.follows(crlfetch.Leaf) {
		return
	}
	for i, cert := range chain {
		l.noteAll(cert.CRLDistributionPoints, chain[i:])
		l.noteAll(crl.DeltaPoints(cert), chain[i:])
	}
}

// try decides about a download. One that would replace another copy waits for the store, which
// knows what is in use.
func (l *listFetcher) try(ctx context.Context, d crlfetch.Download) (crlfetch.Verdict, error) {
	if !d.First {
		select {
		case <-l.opened:
		case <-ctx.Done():
			return crlfetch.Verdict{}, context.Cause(ctx)
		}
	}
	l.trying.Lock()
	defer l.trying.Unlock()
	store := l.store.Load()
	due, err := store.TryFetched(ctx, truststore.Fetched{Name: d.Name, File: d.File, Data: d.Data, SHA256: d.SHA256, Instead: d.Instead}, time.Now())
	return crlfetch.Verdict{Compared: store != nil, Due: due}, err
}

// refuses reports whether a list of a copy is refused, as one may be beside others that count.
func (l *listFetcher) refuses(name string) bool {
	store := l.store.Load()
	return store != nil && slices.ContainsFunc(store.Refusals(), func(r truststore.Refusal) bool { return r.Kind == truststore.KindCRL && r.File == name })
}

// changed is told of copies that were replaced and of other sources.
func (l *listFetcher) changed() {
	if store := l.store.Load(); store != nil {
		store.Changed()
	}
}

// fetchNow has every server asked at once.
func (l *listFetcher) fetchNow() {
	if l != nil {
		l.fetcher.FetchNow()
	}
}

// status returns what is known of each list.
func (l *listFetcher) status() []crlfetch.Status {
	if l == nil {
		return nil
	}
	return l.fetcher.Status()
}

// remotes is what the trust store follows.
func (l *listFetcher) remotes() (list []truststore.Remote) {
	for _, s := range l.status() {
		list = append(list, truststore.Remote{Name: s.Name, File: s.File, Data: s.Data, SHA256: s.SHA256, Needed: s.Origin == crlfetch.Configured})
	}
	return list
}
