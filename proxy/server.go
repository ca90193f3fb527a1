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
// speaks no other protocol than MQTT over TLS.
package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Role is what a listener is for; it decides which owners are welcome.
type Role uint8

// The roles of listeners.
const (
	Devices  Role = iota // owners are devices ("tenant:device") and services
	Services             // owners are services, whose names have no colon
)

// String returns the name in logs and metrics.
func (r Role) String() string {
	if r == Services {
		return "services"
	}
	return "devices"
}

// Config is what a Server needs. It must not be changed once given to New.
type Config struct {
	// Trust returns what handshakes are to believe in from now on. It is called at the beginning and at the
	// end of every handshake, from many goroutines, and never returns nil.
	Trust func() Trust
	// Owner tells who owns a certificate; see OwnerFunc.
	Owner OwnerFunc
	// Place returns a place among the brokers for a session of the client with that id, "" for none. It is called
	// for clients that are welcome, from many goroutines.
	Place func(clientID string) Place
	// TLS narrows what is negotiated; the zero value is Go's policy from TLS 1.2 on.
	TLS TLSPolicy

	// ProxyProtocolFrom are the proxies before this one. A connection from them has to begin with a PROXY
	// header, version 1 or 2, which says who the client is; from anywhere else such a header is refused.
	ProxyProtocolFrom []netip.Prefix
	// BackendProxyProtocol is the version of the PROXY header, 1 or 2, that tells brokers who the client is;
	// 0 = none. Brokers that do not expect one take it for garbage, those that do want it from everybody.
	BackendProxyProtocol byte

	// ClientID says which client ids each owner may use; the zero value is any.
	ClientID ClientIDPolicy
	// StripPassword keeps the passwords of clients from brokers.
	StripPassword bool

	HandshakeTimeout time.Duration // for a PROXY header and the TLS handshake together; 0 = 10 s
	ConnectTimeout   time.Duration // from the handshake to the last byte of CONNECT; 0 = 5 s
	DialTimeout      time.Duration // for each broker tried; 0 = 5 s
	ConnackTimeout   time.Duration // for each broker tried; 0 = 5 s. All of them have the sum of the two

	// MaxConnectSize bounds a CONNECT, in bytes with its fixed header; 0 = 256 KiB.
	MaxConnectSize int
	// MaxDescriptors is how many file descriptors connections may use: one for each client and one more for
	// its broker; 0 = no limit. Beyond it, clients wait in the kernel's backlog.
	MaxDescriptors int

	// MaxLifetime ends the sessions of devices, give or take a tenth; 0 = never.
	MaxLifetime time.Duration
	// Recheck is how often the owner of each certificate with live sessions is asked for; 0 = never.
	Recheck time.Duration

	// ServerReference is where MQTT 5.0 clients are sent by Drain and Shutdown, as one or more "host:port" with
	// blanks between them (5.0, 4.11); "" = nowhere.
	ServerReference string

	// MaxConnections is how many sessions there may be, counted from before the broker is dialed;
	// MaxConnectionsPerOwner is the same for each owner. A client too many is told so in its CONNACK.
	MaxConnections         int // 0 = no limit
	MaxConnectionsPerOwner int // 0 = no limit
	// MaxConnectionsPerIP is how many connections there may be from an IPv4 address or from a /64 of IPv6
	// addresses, whatever has become of them. One too many is closed before the handshake.
	MaxConnectionsPerIP int // 0 = no limit
	// HandshakeRate is how many handshakes may begin in a second; as many may begin at once after a quiet
	// second. Others wait in turn, and are closed when that would take longer than HandshakeTimeout.
	HandshakeRate int // 0 = no limit

	Metrics *Metrics     // nil = none
	Logger  *slog.Logger // nil = discard

	// Audit takes the lines of connections whose end was forced (see Reason.Forced); the others go to
	// Logger. nil = Logger.
	Audit *slog.Logger
	// OnForced is told of the same endings, by the goroutine of the connection, and has to return soon; nil =
	// nobody is.
	OnForced func(Connection)
}

func (c *Config) setDefaults() {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.HandshakeTimeout, 10 * time.Second},
		{&c.ConnectTimeout, 5 * time.Second},
		{&c.DialTimeout, 5 * time.Second},
		{&c.ConnackTimeout, 5 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.MaxConnectSize == 0 {
		c.MaxConnectSize = 256 << 10
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Audit == nil {
		c.Audit = c.Logger
	}
}

// A Server runs sessions. Its methods may be called concurrently.
type Server struct {
	cfg      Config
	tls      *tls.Config
	backends *backends
	slots    *slots
	live     *registry
	limits   *limits

	ctx    context.Context // done when Shutdown is called
	cancel context.CancelCauseFunc

	closing atomic.Bool // nobody is accepted any more

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{}
	cared     bool           // takeCare runs, or ran
	running   sync.WaitGroup // sessions and takeCare; Add only with mu held and ctx not done, or by one of them
}

// New makes a Server. It starts nothing; Serve does.
func New(cfg Config) *Server {
	cfg.setDefaults()
	s := &Server{
		cfg:       cfg,
		tls:       tlsConfig(cfg.TLS, cfg.Trust),
		backends:  &backends{dialTimeout: cfg.DialTimeout, connackTimeout: cfg.ConnackTimeout},
		slots:     newSlots(cfg.MaxDescriptors),
		live:      newRegistry(),
		limits:    newLimits(&cfg),
		listeners: make(map[net.Listener]struct{}),
		sessions:  make(map[*session]struct{}),
	}
	cfg.Metrics.traffic.follow(s.live)
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

// Serve accepts clients on l until Shutdown, and then returns nil; it returns an error only when l was closed
// by someone else. It closes l. It may run for several listeners at a time.
func (s *Server) Serve(l net.Listener, role Role) error {
	defer func() { _ = l.Close() }()
	if !s.listen(l) {
		return nil
	}
	defer s.unlisten(l)

	retry := backoff{}
	for s.slots.wait() {
		conn, err := l.Accept()
		if err != nil {
			s.slots.give()
			switch {
			case s.closing.Load():
				return nil
			case errors.Is(err, net.ErrClosed):
				return err
			}
			s.cfg.Metrics.acceptErrors.Inc()
			s.cfg.Logger.Warn("accepting failed", "listener", role.String(), "err", err)
			retry.wait(s.ctx)
			continue
		}
		retry = backoff{}
		s.start(conn, role)
		runtime.Gosched() // in a storm, accepting takes its turn after those who are in
	}
	return nil
}

// start runs the session of a connection that has its slot.
func (s *Server) start(conn net.Conn, role Role) {
	c := newSession(s, conn, role)
	s.mu.Lock()
	stopping := s.ctx.Err() != nil
	if !stopping {
		s.sessions[c] = struct{}{}
		s.running.Add(1)
	}
	s.mu.Unlock()
	if stopping {
		_ = conn.Close()
		s.slots.give()
		return
	}
	s.cfg.Metrics.accepted[role].Inc()
	go func() {
		defer s.running.Done()
		c.run(s.ctx)
	}()
}

// forget is called by a session that has ended.
func (s *Server) forget(c *session) {
	s.mu.Lock()
	delete(s.sessions, c)
	s.mu.Unlock()
}

// Drain stops accepting and ends the sessions evenly over a time, so that their devices come to another server
// one after the other and not all at once. It returns when the last one has been told, or when ctx is done;
// Shutdown waits for them and ends what came in between.
func (s *Server) Drain(ctx context.Context, over time.Duration) {
	s.stopAccepting()
	began := time.Now()
	leaving := s.snapshot()
	for i, c := range leaving {
		turn := began.Add(over * time.Duration(i) / time.Duration(len(leaving)))
		for s.has(c) && time.Now().Before(turn) {
			if !sleepUntil(ctx, earlier(turn, time.Now().Add(drainTick))) {
				return
			}
		}
		c.stop(Shutdown, nil)
	}
}

// drainTick is how soon Drain notices that a session, whose turn it waits for, has ended by itself.
const drainTick = 50 * time.Millisecond

// sleepUntil is false when ctx was done first.
func sleepUntil(ctx context.Context, t time.Time) bool {
	wait := time.Until(t)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Shutdown stops accepting, ends every session, and returns when all have ended. What a session has read from
// one side is still written to the other. When ctx is done first, the connections are cut and Shutdown returns
// ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopAccepting()
	s.mu.Lock()
	for c := range s.sessions {
		c.stop(Shutdown, nil) // before what a session waits for fails, lest that be taken for the reason
	}
	s.cancel(errClosing)
	s.mu.Unlock()

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.running.Wait()
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	for _, c := range s.snapshot() {
		c.cut()
	}
	<-ended
	return ctx.Err()
}

// has tells whether a connection is still there.
func (s *Server) has(c *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, is := s.sessions[c]
	return is
}

// snapshot returns the connections there are, in no order.
func (s *Server) snapshot() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.sessions))
}

// stopAccepting ends every Serve.
func (s *Server) stopAccepting() {
	s.closing.Store(true)
	s.slots.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.listeners {
		_ = l.Close()
	}
}

func (s *Server) listen(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return false
	}
	s.listeners[l] = struct{}{}
	if !s.cared {
		s.cared = true
		s.running.Add(1)
		go s.takeCare()
	}
	return true
}

func (s *Server) unlisten(l net.Listener) {
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
