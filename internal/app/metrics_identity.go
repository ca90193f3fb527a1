// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/vernegate/vernegate/certacl"
	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/internal/pki"
)

// identityMetrics count what came of asking who owns a certificate, and remember
// the last time.
type identityMetrics struct {
	sources *prometheus.CounterVec
	answers *prometheus.CounterVec
	lookups *prometheus.HistogramVec
	cache   atomic.Pointer[certacl.Cache] // nil before there is one

	mu          sync.Mutex
	lastSuccess time.Time
	lastFailure time.Time
	lastError   *certacl.LookupError // of lastFailure; nil before the first
}

// outcomes are what an answer can come from.
var outcomes = [...]certacl.Outcome{
	certacl.OutcomeHit, certacl.OutcomeNegativeHit, certacl.OutcomeMiss, certacl.OutcomeStale, certacl.OutcomeFailed,
}

// newIdentityMetrics makes the metrics and registers them with r. All labels
// exist from the start, so that a rate over the first failure is right.
func newIdentityMetrics(r prometheus.Registerer) *identityMetrics {
	m := &identityMetrics{
		sources: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vernegate_identity_source_answers_total",
			Help: "Answers of each source of VERNEGATE_IDENTITY about who owns a certificate, by result: owner, none (then the next source is asked), failed (could not tell).",
		}, []string{"source", "result"}),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vernegate_identity_answers_total",
			Help: "Answers of certificate-acl to sessions about who owns their certificate, by outcome: hit and negative_hit (remembered), miss (asked), stale (remembered, as asking failed), failed (could not tell).",
		}, []string{"outcome"}),
		lookups: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "vernegate_identity_lookup_duration_seconds",
			Help:    "Requests to certificate-acl, by result: owned, unowned, or why it could not be told.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"result"}),
	}
	for _, s := range config.Sources {
		for _, result := range []string{resultOwner, resultNone, resultFailed} {
			m.sources.WithLabelValues(string(s), result)
		}
	}
	for _, o := range outcomes {
		m.answers.WithLabelValues(string(o))
	}
	for _, result := range []string{
		resultOwned, resultUnowned, string(certacl.KindBusy), string(certacl.KindTimeout),
		string(certacl.KindCanceled), string(certacl.KindConnection), string(certacl.KindStatus), string(certacl.KindBody),
	} {
		m.lookups.WithLabelValues(result)
	}
	entries := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "vernegate_identity_cache_entries",
		Help: "Certificates whose owner, or lack of one, is remembered now.",
	}, func() float64 {
		if cache := m.cache.Load(); cache != nil {
			return float64(cache.Len())
		}
		return 0
	})
	r.MustRegister(m.sources, m.answers, m.lookups, entries)
	return m
}

// watch makes the entries of a cache those that are counted.
func (m *identityMetrics) watch(cache *certacl.Cache) { m.cache.Store(cache) }

// Results of a look-up beside the kinds of certacl.LookupError.
const (
	resultOwned   = "owned"
	resultUnowned = "unowned"
)

// asked counts what came of asking one source.
func (m *identityMetrics) asked(s config.Source, result string) {
	m.sources.WithLabelValues(string(s), result).Inc()
}

// answered is a certacl.Cache's observer.
func (m *identityMetrics) answered(o certacl.Outcome) { m.answers.WithLabelValues(string(o)).Inc() }

// lookupFunc is certacl.Client.Lookup or something around it.
type lookupFunc = func(context.Context, pki.Fingerprint) (owner string, ok bool, err error)

// timed returns lookup, measured.
func (m *identityMetrics) timed(lookup lookupFunc) lookupFunc {
	return func(ctx context.Context, fp pki.Fingerprint) (owner string, ok bool, err error) {
		begin := time.Now()
		owner, ok, err = lookup(ctx, fp)
		m.lookups.WithLabelValues(lookupResult(ok, err)).Observe(time.Since(begin).Seconds())
		m.note(err)
		return owner, ok, err
	}
}

// note remembers when a request went well, and when not. One that was given up
// says nothing about certificate-acl.
func (m *identityMetrics) note(err error) {
	failure, failed := errors.AsType[*certacl.LookupError](err)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !failed:
		m.lastSuccess = time.Now()
	case failure.Kind != certacl.KindCanceled:
		m.lastFailure, m.lastError = time.Now(), failure
	}
}

// status is how asking certificate-acl goes.
func (m *identityMetrics) status() *admin.CertificateACL {
	s := &admin.CertificateACL{Answers: make(map[string]uint64)}
	var all, remembered uint64
	for _, o := range outcomes {
		n := valueOf(m.answers.WithLabelValues(string(o)))
		s.Answers[string(o)] = n
		all += n
		if o == certacl.OutcomeHit || o == certacl.OutcomeNegativeHit {
			remembered += n
		}
	}
	if all > 0 {
		ratio := float64(remembered) / float64(all)
		s.HitRatio = &ratio
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s.LastSuccess, s.LastFailure = m.lastSuccess, m.lastFailure
	if m.lastError != nil {
		s.LastError, s.LastDetail = string(m.lastError.Kind), m.lastError.Happened()
	}
	return s
}

// valueOf is what a counter has come to.
func valueOf(c prometheus.Counter) uint64 {
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		return 0 // no counter fails
	}
	return uint64(m.GetCounter().GetValue())
}

func lookupResult(ok bool, err error) string {
	if failure, is := errors.AsType[*certacl.LookupError](err); is {
		return string(failure.Kind)
	}
	if ok {
		return resultOwned
	}
	return resultUnowned
}
