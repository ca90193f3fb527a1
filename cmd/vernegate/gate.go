// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

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

	"github.com/vernegate/vernegate/backend"
	"github.com/vernegate/vernegate/certacl"
	"github.com/vernegate/vernegate/cmd/vernegate/admin"
	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore"
)

const (
	// startTimeout is how long the start waits for a first good set of trust
	// files: whatever writes them may have been started at the same time.
	startTimeout = 30 * time.Second

	// shutdownTimeout is how long sessions have to end when told to: long
	// enough to write what they hold, well below the 30 s that Kubernetes
	// and the 10 s that Docker wait before they kill.
	shutdownTimeout = 5 * time.Second
)

// gate is vernegate at work. It runs once.
type gate struct {
	cfg      config
	log      *slog.Logger
	audit    *slog.Logger // for refusals, forced endings and what operators do
	registry *prometheus.Registry
	looks    *lookMetrics
	identity *identityMetrics
	ready    readiness

	// For the admin server, which is there before the rest.
	host    string
	started time.Time
	history admin.History
	works   atomic.Pointer[works] // nil until devices are taken
}

func newGate(cfg config, log, audit *slog.Logger) *gate {
	r := newRegistry()
	g := &gate{
		cfg: cfg, log: log, audit: audit,
		registry: r, looks: newLookMetrics(r), identity: newIdentityMetrics(r),
		started: time.Now(),
	}
	g.host, _ = os.Hostname() // which only a title would lack
	g.ready.set(errNoGeneration)
	return g
}

// run works until ctx ends, and returns nil once all has come to an orderly
// end. The admin server is there first and goes last, so that it can tell why
// devices are not taken yet, or any more.
func (g *gate) run(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", string(g.cfg.Admin))
	if err != nil {
		return listenError("VERNEGATE_ADMIN", err)
	}
	g.log.Info("listening", "listener", "admin", "address", l.Addr().String())
	admin := g.newAdminServer()
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error {
		if err := admin.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving VERNEGATE_ADMIN: %w", err)
		}
		return nil
	})
	tasks.Go(func() error {
		defer admin.Close()
		return g.takeDevices(ctx)
	})
	return tasks.Wait()
}

// listenError names the variable of an address that cannot be listened on.
// The error of package net names the address.
func listenError(variable string, err error) error {
	return fmt.Errorf("listening as %s says: %w", variable, err)
}

// takeDevices opens the trust store, then takes devices until ctx ends, and
// returns when the last session has ended.
func (g *gate) takeDevices(ctx context.Context) error {
	hangup := make(chan os.Signal, 1) // SIGHUP while waiting for files must not kill
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)

	var followUp followUp
	store, err := g.openStore(ctx, followUp.swapped)
	if ctx.Err() != nil {
		return nil // told to stop while waiting
	}
	if err != nil {
		return err
	}
	client := g.cfg.aclClient()
	defer client.CloseIdleConnections()
	cache := g.cfg.aclCache(client, g.identity)
	defer cache.Close()
	pool := g.newPool()
	server, err := g.newServer(store, cache, pool)
	if err != nil {
		return err
	}
	pool.Resolve(ctx)
	entrances, err := g.openEntrances(ctx)
	if err != nil {
		return err
	}

	g.works.Store(&works{store, cache, pool, server})
	g.ready.set(nil)
	g.logStart(store.Current())
	tasks, ctx := errgroup.WithContext(ctx)
	// Trust and brokers are followed to the last session, a while after ctx.
	inUse, unused := context.WithCancel(context.WithoutCancel(ctx))
	followUp.begin(inUse, server)
	defer followUp.wait()
	tasks.Go(func() error { return store.Run(inUse) })
	tasks.Go(func() error { pool.Run(inUse); return nil })
	tasks.Go(func() error { return reloadOnHangup(inUse, hangup, store) })
	for _, e := range entrances {
		tasks.Go(func() error { return server.Serve(e.Listener, e.role) })
	}
	tasks.Go(func() error {
		defer unused()
		return g.shutDown(ctx, server)
	})
	return tasks.Wait()
}

// openStore waits for a first good set of trust files, but not for ever.
func (g *gate) openStore(ctx context.Context, onSwap func(old, current *truststore.Generation)) (*truststore.Store, error) {
	g.log.Info("waiting for a good set of trust files", "at_most", startTimeout.String())
	cfg := g.cfg.trustConfig(g.log)
	cfg.StartTimeout = startTimeout
	cfg.OnReload = g.looks.looked
	cfg.OnSwap = onSwap
	store, err := g.cfg.openTrust(ctx, cfg)
	if err != nil {
		return nil, err
	}
	g.registry.MustRegister(generationCollector(store.Current), &partsCollector{cfg, store.Refusals})
	return store, nil
}

// newPool makes the brokers, whose names are not resolved yet.
func (g *gate) newPool() *backend.Pool {
	pool := g.cfg.backendPool(g.log)
	g.registry.MustRegister(backendsCollector(pool.Status))
	return pool
}

func (g *gate) newServer(store *truststore.Store, cache *certacl.Cache, pool *backend.Pool) (*proxy.Server, error) {
	g.identity.watch(cache)
	descriptors, err := connectionDescriptors()
	if err != nil {
		return nil, fmt.Errorf("asking for the limit of open files: %w", err)
	}
	return proxy.New(proxy.Config{
		Trust:                func() proxy.Trust { return trust{store.Current()} },
		Owner:                cache.Owner,
		Lease:                leaseFunc(pool),
		TLS:                  g.cfg.tlsPolicy(),
		ProxyProtocolFrom:    g.cfg.ProxyProtocolFrom,
		BackendProxyProtocol: byte(g.cfg.BackendProxyProtocol),

		ClientID:      proxy.ClientIDPolicy(g.cfg.ClientID),
		StripPassword: bool(g.cfg.StripPassword),

		HandshakeTimeout: time.Duration(g.cfg.HandshakeTimeout),
		ConnectTimeout:   time.Duration(g.cfg.ConnectTimeout),
		DialTimeout:      time.Duration(g.cfg.DialTimeout),
		ConnackTimeout:   time.Duration(g.cfg.ConnackTimeout),
		MaxConnectSize:   int(g.cfg.MaxConnectSize),
		MaxDescriptors:   descriptors,
		MaxLifetime:      g.cfg.maxLifetime(),
		Recheck:          time.Duration(g.cfg.SessionRecheck),
		ServerReference:  string(g.cfg.ServerReference),

		MaxConnections:         int(g.cfg.MaxConnections),
		MaxConnectionsPerIP:    int(g.cfg.MaxConnectionsPerIP),
		MaxConnectionsPerOwner: int(g.cfg.MaxConnectionsPerOwner),
		HandshakeRate:          int(g.cfg.HandshakeRate),
		MaxHandshakes:          g.cfg.maxHandshakes(descriptors),

		Metrics:  proxy.NewMetrics(g.registry),
		Logger:   g.log,
		Audit:    g.audit,
		OnForced: g.history.Add,
	}), nil
}

// An entrance is a listener for clients of one kind.
type entrance struct {
	net.Listener
	role proxy.Role
}

// openEntrances listens for clients, on all addresses or, with an error, on none.
func (g *gate) openEntrances(ctx context.Context) ([]entrance, error) {
	listen := proxy.Listen
	if g.cfg.ReusePort {
		listen = proxy.ListenShared
	}
	devices, err := listen(ctx, string(g.cfg.Listen))
	if err != nil {
		return nil, listenError("VERNEGATE_LISTEN", err)
	}
	open := []entrance{{devices, proxy.Devices}}
	if g.cfg.ServiceListen != "" {
		services, err := listen(ctx, string(g.cfg.ServiceListen))
		if err == nil && services.Addr().String() == devices.Addr().String() { // two names for it, and it is shared
			err = fmt.Errorf("%v is that of VERNEGATE_LISTEN", services.Addr())
			_ = services.Close()
		}
		if err != nil {
			_ = devices.Close()
			return nil, listenError("VERNEGATE_SERVICE_LISTEN", err)
		}
		open = append(open, entrance{services, proxy.Services})
	}
	for _, e := range open {
		g.log.Info("listening", "listener", e.role.String(), "address", e.Addr().String())
	}
	return open, nil
}

// reloadOnHangup looks at the trust files at every SIGHUP until ctx ends. What
// is wrong with them is the store's to tell.
func reloadOnHangup(ctx context.Context, hangup <-chan os.Signal, store *truststore.Store) error {
	for {
		select {
		case <-hangup:
			_ = store.Reload(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// shutDown ends the sessions once ctx has ended: first readiness goes, so that
// nobody is sent here any more, then, after the delay that it takes for that to
// be known, the sessions, evenly over the drain timeout. Those that cannot write
// what they hold in time are cut.
func (g *gate) shutDown(ctx context.Context, server *proxy.Server) error {
	<-ctx.Done()
	g.ready.set(errShuttingDown)
	delay, timeout := time.Duration(g.cfg.DrainDelay), time.Duration(g.cfg.DrainTimeout)
	g.log.Info("stopping", "delay", delay.String(), "drain", timeout.String())
	ctx = context.WithoutCancel(ctx)
	time.Sleep(delay)
	server.Drain(ctx, timeout)

	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		g.log.Warn("sessions were cut", "err", err)
	}
	return nil
}

// logStart says what vernegate is about to work with.
func (g *gate) logStart(current *truststore.Generation) {
	if names := g.cfg.TLSCiphers.insecure(); len(names) > 0 {
		g.log.Warn("insecure cipher suites are on", "ciphers", names)
	}
	b := thisBuild()
	g.log.Info("started",
		"version", b.version,
		"commit", b.commit,
		"generation", current.Sequence(),
		"server_certificates", len(current.ServerCertificates()),
		"cas", len(current.CAs()),
		"crls", len(current.CRLs()),
		"certificate_acl", redact(string(g.cfg.ACLURL)),
		"backends", []string(g.cfg.Backends),
		"balance", g.cfg.Balance.String(),
	)
}
