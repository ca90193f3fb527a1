// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package admin answers operators and their machines over HTTP:
//
//	GET    /              the status page, for people
//	GET    /livez         200 while the process works, else 503 and the reason
//	GET    /readyz        200 while devices may come, else 503 and the reason
//	GET    /metrics       what was counted, for Prometheus
//	GET    /status        what there is to know, in JSON
//	GET    /sessions      the live sessions, in JSON, in pages
//	GET    /identities    what is remembered of a certificate's owner, in JSON
//	GET    /identities/invalidate  the same for people, with a form for:
//	POST   /identities/invalidate  forgets owners, and has them asked for anew
//	DELETE /sessions      ends live sessions
//	POST   /reload        reads the trust files now
//	GET    /debug/pprof/  profiles of the process
//
// The last three need the token; without one they are refused to everybody.
// All but /livez, /readyz and /metrics have to be asked for by a name that is
// known, see [Config].
// What is asked of the rest of the program comes through the functions of
// [Config], so that the package can be read, and the page be seen, alone.
//
// It does not end TLS, and what it shows, it shows to everybody that reaches it:
// its address is to be reachable for operators and Prometheus only.
package admin

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/proxy"
)

// Limits of the server. A client that reaches it is slow or broken rather than
// hostile, but a hanging scraper must not collect connections.
const (
	readTimeout  = 10 * time.Second // the whole request, which has no body
	writeTimeout = 30 * time.Second // answering; Prometheus gives up after 10 s by default
	idleTimeout  = 2 * time.Minute  // longer than the usual scrape intervals
	maxHeader    = 8 << 10          // bytes
)

// Sessions are the live sessions; *proxy.Server implements it, and says what
// the methods do.
type Sessions interface {
	Sessions(f proxy.Filter, after proxy.SessionID, limit int) (page []proxy.SessionInfo, more bool)
	Newest(n int) []proxy.SessionInfo
	Owners() iter.Seq2[string, int]
	Kick(f proxy.Filter, forget func(pki.Fingerprint)) int
}

// Config is what the server shows. All fields but Hosts, the tokens and Audit
// have to be set; the functions are called from many goroutines.
type Config struct {
	// Live returns why the process has to be restarted, nil if it works.
	Live func() error
	// Ready returns why devices may not come, nil if they may.
	Ready func() error
	// Metrics is what /metrics shows.
	Metrics prometheus.Gatherer
	// Status returns what there is to know now.
	Status func() Status
	// Sessions returns the live sessions; nil while devices are not taken yet.
	Sessions func() Sessions
	// Reload reads the trust files now. The error is errors.Is ErrNotStarted
	// when that is too early, and else tells, one a line, what is wrong with
	// them.
	Reload func(context.Context) (Reloaded, error)
	// Forget forgets who owns a certificate, so that it is asked for when it is needed
	// next, and reports whether anything was remembered. ForgetOwner does so with all
	// certificates that are remembered as an owner's, and returns how many those were.
	Forget      func(pki.Fingerprint) bool
	ForgetOwner func(owner string) int
	// Identity returns what is remembered of a certificate, and Invalidate forgets such and
	// has the owners of live sessions asked for anew. The error is ErrNotStarted.
	Identity   func(pki.Fingerprint) (Identity, error)
	Invalidate func(Invalidation) (Invalidated, error)
	// History is what has been refused.
	History *History

	// Hosts are further names that the server may be asked by, without ports.
	Hosts []string
	// Token is what allows to change something; the zero Token allows nothing.
	Token Token
	// ReadToken is what allows to read who has sessions and what has been refused, as
	// Token does too; the zero ReadToken: everybody may.
	ReadToken Token

	Log   *slog.Logger
	Audit *slog.Logger // what operators did; nil = Log
}

// New returns a server that is ready to serve.
func New(cfg Config) *http.Server {
	if cfg.Audit == nil {
		cfg.Audit = cfg.Log
	}
	complaints := slog.NewLogLogger(cfg.Log.Handler(), slog.LevelWarn)
	a := &server{cfg}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", probe(a.Live))
	mux.HandleFunc("GET /readyz", probe(a.Ready))
	mux.Handle("GET /metrics", promhttp.HandlerFor(cfg.Metrics, promhttp.HandlerOpts{
		ErrorLog:      complaints,
		ErrorHandling: promhttp.ContinueOnError, // most of a scrape is better than none
	}))
	mux.HandleFunc("GET /status", a.requireKnownHost(a.requireReading(a.status)))
	mux.HandleFunc("GET /sessions", a.requireKnownHost(a.requireReading(a.list)))
	mux.HandleFunc("GET /identities", a.requireKnownHost(a.requireReading(a.identities)))
	mux.HandleFunc("GET /identities/invalidate", a.requireKnownHost(a.requireReading(a.identityPage)))
	mux.HandleFunc("POST /identities/invalidate", a.requireKnownHost(a.invalidate))
	mux.HandleFunc("DELETE /sessions", a.requireToken(a.kick))
	mux.HandleFunc("POST /reload", a.requireToken(a.reload))
	mux.HandleFunc("GET /debug/pprof/", a.requireToken(pprof.Index))
	mux.HandleFunc("GET /debug/pprof/cmdline", a.requireToken(pprof.Cmdline))
	mux.HandleFunc("GET /debug/pprof/profile", a.requireToken(pprof.Profile))
	mux.HandleFunc("GET /debug/pprof/symbol", a.requireToken(pprof.Symbol))
	mux.HandleFunc("GET /debug/pprof/trace", a.requireToken(pprof.Trace))
	mux.HandleFunc("GET /{$}", a.requireKnownHost(a.requireReading(a.page)))
	mux.HandleFunc("GET /icon.svg", icon)
	return &http.Server{
		Handler:        withSecurityHeaders(http.NewCrossOriginProtection().Handler(mux)),
		ReadTimeout:    readTimeout,
		WriteTimeout:   writeTimeout,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       complaints,
	}
}

// server answers requests.
type server struct{ Config }

// withSecurityHeaders makes browsers take an answer for nothing but what it is. No
// other site may read one: there is no header of CORS.
func withSecurityHeaders(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	})
}

// probe answers a probe: 200 while there is no error.
func probe(ask func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := ask(); err != nil {
			writeText(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		writeText(w, http.StatusOK, "ok")
	}
}

// writeText answers with one line of text.
func writeText(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintln(w, line)
}
