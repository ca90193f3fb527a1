// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package proxy ends TLS for MQTT clients, finds out who each of them is, rewrites the username of their
// CONNECT to that owner, and relays the rest to a broker, byte for byte.
//
// [Server] accepts connections; session.go tells the story of one of them from top to bottom; [Reason] names
// every way in which it can end. What the package decides about certificates and owners comes from two
// functions of its [Config], so that it knows neither files nor certificate-acl.
//
// It does not decode MQTT beyond CONNECT and the broker's answer, keeps no sessions, queues no messages, and
// speaks no other protocol than MQTT over TLS, with or without WebSocket between the two.
package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vernegate/vernegate/proxy/limit"
	"github.com/vernegate/vernegate/proxy/listen"
	"github.com/vernegate/vernegate/proxy/relay"
)

// A Server runs sessions. Its methods may be called concurrently.
type Server struct {
	cfg         Config
	tls         *tls.Config
	search      *searchGuard
	backends    *backends
	descriptors *limit.Descriptors
	live        *registry
	changes     ownerChanges
	limits      *limits
	pending     *limit.PendingHandshakes
	sampling    *sampling
	loops       *relay.Loops
	workers     *workerPool // for handshakes

	ctx    context.Context // done when Shutdown is called
	cancel context.CancelCauseFunc

	closing atomic.Bool // no connection is accepted any more

	mu           sync.Mutex
	listeners    map[Listener]struct{}
	sessions     map[*session]struct{}
	timersServed bool           // serveTimers runs, or ran
	running      sync.WaitGroup // sessions, the workers and serveTimers; Add only with mu held and ctx not done, or by one of them
}

// New makes a Server. It starts nothing; Serve does.
func New(cfg Config) *Server {
	cfg.setDefaults()
	search := new(searchGuard)
	s := &Server{
		cfg:       cfg,
		tls:       tlsConfig(cfg.TLS, cfg.Trust, search),
		search:    search,
		backends:  newBackends(&cfg),
		live:      newRegistry(),
		limits:    newLimits(&cfg),
		sampling:  newSampling(cfg.LogRate),
		loops:     relay.NewLoops(cfg.Logger),
		listeners: make(map[Listener]struct{}),
		sessions:  make(map[*session]struct{}),
	}
	s.descriptors = limit.NewDescriptors(cfg.MaxDescriptors, s.usedUp)
	s.pending = limit.NewPendingHandshakes(cfg.MaxHandshakes, s.descriptors.MayYield)
	cfg.Metrics.traffic.follow(s.live)
	cfg.Metrics.descriptors.follow(s.descriptors)
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.workers = newWorkerPool(s.ctx, &s.running)
	return s
}

// A Listener is where clients come in; package listen makes what it embeds.
type Listener struct {
	net.Listener
	Role     Role
	Protocol Protocol
}

// shared returns the listener as one at an address that others share; nil = it is not.
func (l Listener) shared() *listen.Shared {
	shared, _ := l.Listener.(*listen.Shared)
	return shared
}

// Serve accepts clients on l until Shutdown, and then returns nil; it returns an error only when l was closed
// by someone else. It closes l. It may run for several listeners at a time.
func (s *Server) Serve(l Listener) error {
	defer func() { _ = l.Close() }()
	if !s.listen(l) {
		return nil
	}
	defer s.unlisten(l)

	retry := backoff{}
	for {
		open, overdrawn := s.descriptors.Wait(s.pending.AnyWaits)
		if !open {
			return nil
		}
		conn, err := l.Accept()
		if err != nil {
			s.descriptors.Give()
			switch {
			case s.closing.Load():
				return nil
			case errors.Is(err, net.ErrClosed):
				return err
			}
			s.cfg.Metrics.acceptErrors.Inc()
			s.cfg.Logger.Warn("accepting failed", "listener", l.Role.String(), "err", err)
			retry.wait(s.ctx)
			continue
		}
		retry = backoff{}
		if overdrawn && s.descriptors.Overdrawn() && !s.pending.DisplaceOne() { // others may have ended since Wait
			// There is no room. At a shared address, a client that tries again comes to a process that has some.
			if l.shared() != nil || !s.descriptors.WaitCovered() {
				_ = conn.Close()
				s.descriptors.Give()
				continue
			}
		}
		s.start(conn, l.Role, l.Protocol)
		runtime.Gosched() // in a storm, accepting takes its turn after those who are in
	}
}

// usedUp says that connections cannot be accepted, or that they can again, and has shared listeners leave them to others
// meanwhile. Where an address is not shared, they wait in the kernel's backlog.
func (s *Server) usedUp(since time.Time) {
	log := s.cfg.Logger.With("used", s.descriptors.Taken(), "limit", s.descriptors.Limit())
	if since.IsZero() {
		log.Info("file descriptors are free again")
		s.eachShared((*listen.Shared).Resume)
		return
	}
	s.eachShared((*listen.Shared).Pause)
	log.Warn("file descriptors are used up, new connections wait until others end")
}

func (s *Server) eachShared(do func(*listen.Shared)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.listeners {
		if shared := l.shared(); shared != nil {
			do(shared)
		}
	}
}

// start runs the session of a connection that has its descriptor.
func (s *Server) start(conn net.Conn, role Role, protocol Protocol) {
	c := newSession(s, conn, role, protocol)
	s.pending.Add(&c.newcomer.slot.pending)
	s.mu.Lock()
	stopping := s.ctx.Err() != nil
	if !stopping {
		s.sessions[c] = struct{}{}
		s.running.Add(1)
	}
	s.mu.Unlock()
	if stopping {
		s.pending.Remove(&c.newcomer.slot.pending)
		_ = conn.Close()
		s.descriptors.Give()
		return
	}
	s.cfg.Metrics.accepted[role].Inc()
	s.workers.run(func() { c.run(s.ctx) })
}

// forget is called by a session that has ended.
func (s *Server) forget(c *session) {
	s.mu.Lock()
	delete(s.sessions, c)
	s.mu.Unlock()
}

func (s *Server) listen(l Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return false
	}
	s.listeners[l] = struct{}{}
	if !s.timersServed {
		s.timersServed = true
		s.running.Add(1)
		go s.serveTimers()
	}
	return true
}

func (s *Server) unlisten(l Listener) {
	s.mu.Lock()
	delete(s.listeners, l)
	s.mu.Unlock()
}

// A backoff paces retries after failed accepts, which come from a lack of descriptors or memory and do not
// get better by asking at once; the bounds are those of net/http.
type backoff struct{ pause time.Duration }

func (b *backoff) wait(ctx context.Context) {
	b.pause = min(max(2*b.pause, 5*time.Millisecond), time.Second)
	sleepUntil(ctx, time.Now().Add(b.pause))
}
