// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package app is vernegate at work: what serve starts and in which order, and
// what it reports about itself. Packages that do not import each other are
// connected here.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/vernegate/vernegate/certacl"
	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/internal/crlfetch"
	"github.com/vernegate/vernegate/internal/identity/ownerfile"
	"github.com/vernegate/vernegate/internal/sdnotify"
	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/proxy/websocket"
	"github.com/vernegate/vernegate/truststore"
)

const (
	// startTimeout is how long the start waits for a first good set of trust
	// files: whatever writes them may have been started at the same time.
	startTimeout = 30 * time.Second

	// firstFetchTimeout is how long the start waits for revocation lists that have never been fetched: several requests to a server
	// that is being started at the same time.
	firstFetchTimeout = 10 * time.Second

	// shutdownTimeout is how long sessions have to end at a shutdown: long
	// enough to write what they hold, well below the 30 s that Kubernetes
	// and the 10 s that Docker wait before they kill.
	shutdownTimeout = 5 * time.Second
)

// App is vernegate at work. It runs once.
type App struct {
	cfg      config.Config
	build    Build
	log      *slog.Logger
	audit    *slog.Logger // for refusals, forced endings and what operators do
	registry *prometheus.Registry
	reloads  *reloadMetrics
	fetches  *fetchMetrics
	identity *identityMetrics
	events   *eventMetrics
	ready    readiness
	manager  *sdnotify.Notifier // nil: none

	// For the admin server, which is there before the rest.
	host    string
	started time.Time
	history admin.History
	parts   atomic.Pointer[components] // nil until devices are taken
	lists   atomic.Pointer[listFetcher]
}

// New returns an App that does nothing before Run. It logs to log, but refusals,
// forced endings and what operators do to audit.
func New(cfg config.Config, build Build, log, audit *slog.Logger) *App {
	r := newRegistry(build)
	a := &App{
		cfg: cfg, build: build, log: log, audit: audit,
		registry: r, reloads: newReloadMetrics(r), identity: newIdentityMetrics(r), events: newEventMetrics(r),
		started: time.Now(),
	}
	a.host, _ = os.Hostname() // which only a title would lack
	a.fetches = newFetchMetrics(r, func() []crlfetch.Status { return a.lists.Load().status() }, time.Duration(cfg.CRLRefresh))
	a.ready.set(errNoGeneration)
	return a
}

// ReportTo has Run tell a service manager what it does. Call it before Run.
func (a *App) ReportTo(manager *sdnotify.Notifier) { a.manager = manager }

// Run works until ctx ends, and returns nil once all has come to an orderly
// end. The admin server, if it is on, is there first and goes last, so that it can
// say why devices are not taken yet, or any more. An error is a *FilesError if trust
// files are wrong.
func (a *App) Run(ctx context.Context) error {
	serveAdmin, closeAdmin, err := a.openAdmin(ctx)
	if err != nil {
		return err
	}
	living, dead := context.WithCancel(context.WithoutCancel(ctx)) // draining is living
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { a.manager.KeepAlive(living, a.live); return nil })
	tasks.Go(serveAdmin)
	tasks.Go(func() error {
		defer dead()
		defer closeAdmin()
		return a.takeDevices(ctx)
	})
	return tasks.Wait()
}

// openAdmin listens for the admin server, if it is on. serve serves until it is closed.
func (a *App) openAdmin(ctx context.Context) (serve, closeServer func() error, err error) {
	if a.cfg.Admin == "" {
		a.log.Info("there is no admin interface", "because", "VERNEGATE_ADMIN=off")
		none := func() error { return nil }
		return none, none, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", string(a.cfg.Admin))
	if err != nil {
		return nil, nil, listenError("VERNEGATE_ADMIN", err)
	}
	a.log.Info("listening", "listener", "admin", "address", l.Addr().String())
	server := a.newAdminServer()
	serve = func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving VERNEGATE_ADMIN: %w", err)
		}
		return nil
	}
	return serve, server.Close, nil
}

// listenError names the variable of an address that cannot be listened on.
// The error of package net names the address.
func listenError(variable string, err error) error {
	return fmt.Errorf("listening as %s says: %w", variable, err)
}

// takeDevices opens the trust store, then takes devices until ctx ends, and
// returns when the last session has ended.
func (a *App) takeDevices(ctx context.Context) error {
	hangup := make(chan os.Signal, 1) // SIGHUP while waiting for files must not kill
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)

	files, err := a.openClientFiles(ctx) // some of which lists are fetched with
	if ctx.Err() != nil {
		return nil // the process is to stop
	}
	if err != nil {
		return err
	}
	lists, err := newListFetcher(a.cfg, files.listTLS, a.log, a.fetches)
	if err != nil {
		return &FilesError{err}
	}
	a.lists.Store(lists)
	defer lists.start(ctx)()
	var revoker revoker
	store, err := a.openStore(ctx, lists, revoker.swapped)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	var follower ownerFollower
	owners, err := a.openOwnerFile(ctx, follower.swapped)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	client := aclClient(a.cfg, files)
	defer client.CloseIdleConnections()
	cache := aclCache(a.cfg, client, a.identity, a.log)
	defer cache.Close()
	brokers := a.newBrokers(files)
	asker := a.newRevocationAsker(store.Current)
	defer asker.close()
	server, err := a.newServer(store, lists, cache, owners, asker, brokers)
	if err != nil {
		return err
	}
	brokers.pool.Resolve(ctx)
	listeners, err := a.openListeners(ctx)
	if err != nil {
		return err
	}

	tasks, ctx := errgroup.WithContext(ctx)
	// Trust and brokers are followed to the last session, a while after ctx.
	inUse, unused := context.WithCancel(context.WithoutCancel(ctx))
	revoker.begin(inUse, server) // before an operator can have the files read
	defer revoker.wait()
	follower.begin(inUse, server)
	defer follower.wait()
	events := newOwnerEvents(a.cfg, cache, server, a.events, a)
	if events != nil {
		a.events.follow(a.registry, events.Status)
	}
	parts := &components{store, files, cache, asker, brokers.pool, server, events, owners}
	a.parts.Store(parts)
	a.ready.set(nil)
	a.logStart(store.Current())
	a.tell(a.manager.Ready(takingClients(store, nil)))
	tasks.Go(func() error { return store.Run(inUse) })
	tasks.Go(func() error { files.run(inUse); return nil })
	if owners != nil {
		tasks.Go(func() error { owners.Run(inUse); return nil })
	}
	tasks.Go(func() error { brokers.pool.Run(inUse); return nil })
	tasks.Go(func() error { return a.followOwners(inUse, events) })
	tasks.Go(func() error {
		return reloadOnHangup(inUse, hangup, func(ctx context.Context) error {
			lists.fetchNow()
			return a.reloadFiles(ctx, parts)
		})
	})
	for _, l := range listeners {
		tasks.Go(func() error { return server.Serve(l) })
	}
	tasks.Go(func() error {
		defer unused()
		return a.shutDown(ctx, server)
	})
	return tasks.Wait()
}

// openStore waits for a first good set of trust files, but not for ever.
func (a *App) openStore(ctx context.Context, lists *listFetcher, onSwap func(old, current *truststore.Generation)) (*truststore.Store, error) {
	a.log.Info("waiting for a good set of trust files", "at_most", startTimeout.String())
	a.tell(a.manager.Status(errNoGeneration.Error()))
	cfg := trustConfig(a.cfg, a.log)
	cfg.StartTimeout, cfg.FetchTimeout = startTimeout, firstFetchTimeout
	cfg.OnReload = a.reloads.observe
	cfg.OnSwap = func(old, current *truststore.Generation) {
		onSwap(old, current)
		lists.swapped(old, current)
	}
	cfg.Remotes = lists.remotes
	store, err := openTrust(ctx, a.cfg, cfg)
	if err != nil {
		return nil, err
	}
	a.registry.MustRegister(generationCollector(store.Current), &partsCollector{cfg, store.Refusals})
	lists.open(store)
	return store, nil
}

// openClientFiles waits for good files for brokers, certificate-acl and servers of CRLs, but not for ever.
func (a *App) openClientFiles(ctx context.Context) (clientFiles, error) {
	files, err := openClientFiles(ctx, a.cfg, startTimeout, a.log)
	if err != nil {
		return clientFiles{}, err
	}
	a.registry.MustRegister(files)
	return files, nil
}

// openOwnerFile waits for a good file of owners, but not for ever.
func (a *App) openOwnerFile(ctx context.Context, onSwap func(old, current *ownerfile.Table)) (*ownerfile.Store, error) {
	store, err := openOwnerFile(ctx, a.cfg, ownerfile.Config{StartTimeout: startTimeout, Logger: a.log, OnSwap: onSwap})
	if err != nil {
		return nil, err
	}
	status := func() ownerfile.Status { return ownerfile.Status{} }
	if store != nil {
		status = store.Status
	}
	a.registry.MustRegister(ownerFileMetrics(status)...)
	return store, nil
}

// newBrokers makes the brokers, whose names are not resolved yet.
func (a *App) newBrokers(files clientFiles) *brokers {
	b := newBrokers(a.cfg, files, a.log)
	a.registry.MustRegister(backendsCollector(b.pool.Status))
	return b
}

func (a *App) newServer(store *truststore.Store, lists *listFetcher, cache *certacl.Cache, file *ownerfile.Store, asker *revocationAsker, brokers *brokers) (*proxy.Server, error) {
	a.identity.watch(cache)
	descriptors, err := connectionDescriptors()
	if err != nil {
		return nil, fmt.Errorf("asking for the limit of open files: %w", err)
	}
	owners, err := newSources(a.cfg, aclOwner(cache), file)
	if err != nil {
		return nil, err
	}
	how := a.serverConfig(store, lists, owners, asker)
	how.Lease, how.BackendTLS = brokers.lease, brokers.tls
	how.MaxDescriptors, how.MaxHandshakes = descriptors, a.maxHandshakes(descriptors)
	how.Metrics = proxy.NewMetrics(a.registry)
	return proxy.New(how), nil
}

// serverConfig returns what the proxy is to do, but for brokers and what it may use of the machine. It decides which clients
// are let in.
func (a *App) serverConfig(store *truststore.Store, lists *listFetcher, owners sources, asker *revocationAsker) proxy.Config {
	return proxy.Config{
		Trust:                func() proxy.Trust { return trust{store.Current(), lists} },
		Owner:                owners.ownerFunc(a.identity.asked),
		Service:              a.cfg.Services.Func(),
		Authorize:            asker.authorize(),
		TLS:                  tlsPolicy(a.cfg),
		ProxyProtocolFrom:    a.cfg.ProxyProtocolFrom,
		BackendProxyProtocol: byte(a.cfg.BackendProxyProtocol),
		WebSocket:            websocket.Endpoint{Path: string(a.cfg.WSPath), Origins: a.cfg.WSOrigins},

		ClientID:      proxy.ClientIDPolicy(a.cfg.ClientID),
		StripPassword: bool(a.cfg.StripPassword),

		HandshakeTimeout: time.Duration(a.cfg.HandshakeTimeout),
		ConnectTimeout:   time.Duration(a.cfg.ConnectTimeout),
		DialTimeout:      time.Duration(a.cfg.DialTimeout),
		ConnackTimeout:   time.Duration(a.cfg.ConnackTimeout),
		MaxConnectSize:   int(a.cfg.MaxConnectSize),
		MaxRecord:        int(a.cfg.TLSMaxRecord),
		MaxLifetime:      a.cfg.MaxLifetime(),
		Recheck:          time.Duration(a.cfg.SessionRecheck),
		ServerReference:  string(a.cfg.ServerReference),

		MaxConnections:         int(a.cfg.MaxConnections),
		MaxConnectionsPerIP:    int(a.cfg.MaxConnectionsPerIP),
		MaxConnectionsPerOwner: int(a.cfg.MaxConnectionsPerOwner),
		HandshakeRate:          int(a.cfg.HandshakeRate),

		Logger:      a.log,
		Audit:       a.audit,
		LogRate:     int(a.cfg.LogRate),
		CountForced: func(r proxy.Reason) { a.history.Count(r, time.Now()) },
		OnForced:    a.history.Add,
	}
}

// reloadOnHangup has the files read at every SIGHUP until ctx ends. What is wrong
// with them is told by those who follow them.
func reloadOnHangup(ctx context.Context, hangup <-chan os.Signal, reload func(context.Context) error) error {
	for {
		select {
		case <-hangup:
			_ = reload(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// shutDown ends the sessions once ctx has ended: first readiness goes, so that
// no client is sent here any more, then, after the delay that it takes for that to
// be known, the sessions, evenly over the drain timeout. Those that cannot write
// what they hold in time are cut.
func (a *App) shutDown(ctx context.Context, server *proxy.Server) error {
	<-ctx.Done()
	a.ready.set(errShuttingDown)
	delay, timeout := time.Duration(a.cfg.DrainDelay), time.Duration(a.cfg.DrainTimeout)
	a.log.Info("stopping", "delay", delay.String(), "drain", timeout.String())
	a.tell(a.manager.Stopping("draining for at most "+(delay+timeout).String(), delay+timeout+2*shutdownTimeout))
	ctx = context.WithoutCancel(ctx)
	time.Sleep(delay)
	server.Drain(ctx, timeout)

	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		a.log.Warn("sessions were cut", "err", err)
	}
	return nil
}

// logStart says what vernegate is about to work with.
func (a *App) logStart(current *truststore.Generation) {
	if names := a.cfg.TLSCiphers.Insecure(); len(names) > 0 {
		a.log.Warn("insecure cipher suites are on", "ciphers", names)
	}
	log := a.log
	if a.cfg.Identity.Has(config.CertificateACL) {
		log = log.With("certificate_acl", config.Redact(string(a.cfg.ACLURL)))
	}
	log.Info("started",
		"version", a.build.Version,
		"commit", a.build.Commit,
		"generation", current.Sequence(),
		"server_certificates", len(current.ServerCertificates()),
		"cas", len(current.CAs()),
		"crls", len(current.CRLs()),
		"identity", a.cfg.Identity.String(),
		"backends", []string(a.cfg.Backends),
		"balance", a.cfg.Balance.String(),
	)
}
