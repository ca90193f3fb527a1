// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"crypto/x509"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/internal/ocsp"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/internal/untrusted"
)

// maxOCSPIssuers bounds how many CAs are told apart; CAs can make others.
const maxOCSPIssuers = 1000

// ocspMetrics count what came of asking OCSP responders, and remember the last
// time for each CA.
type ocspMetrics struct {
	answers  *prometheus.CounterVec
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	cache    atomic.Pointer[ocsp.Cache] // nil before there is one

	mu      sync.Mutex
	issuers map[string]*admin.OCSPIssuer // by name
}

// Results of a question about a certificate of a CA.
const (
	ocspAnswered = "answered"
	ocspFailed   = "failed"
)

// newOCSPMetrics makes the metrics and registers them with r. Labels of the CAs that
// are known exist from the start, so that a rate over the first failure is right.
func newOCSPMetrics(r prometheus.Registerer, issuers ocsp.Issuers, cas []*x509.Certificate) *ocspMetrics {
	m := &ocspMetrics{
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vernegate_ocsp_answers_total",
			Help: "Answers to sessions about the OCSP status of their certificate, by outcome: hit (remembered), miss (asked), pending (about a live session, which is told later), failed (could not be found out).",
		}, []string{"outcome"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vernegate_ocsp_requests_total",
			Help: "Questions to OCSP responders, by the CA of the certificate and result: answered (good, revoked or unknown), failed (nothing that counts came, from any of the responders that the certificate names).",
		}, []string{"issuer", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "vernegate_ocsp_request_duration_seconds",
			Help:    "Questions to OCSP responders, by result: good, revoked, unknown, or why no answer counts.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"result"}),
		issuers: make(map[string]*admin.OCSPIssuer),
	}
	for _, o := range ocsp.Outcomes() {
		m.answers.WithLabelValues(string(o))
	}
	for _, s := range []ocsp.Status{ocsp.Good, ocsp.Revoked, ocsp.Unknown} {
		m.duration.WithLabelValues(s.String())
	}
	for _, k := range ocsp.Kinds() {
		m.duration.WithLabelValues(string(k))
	}
	for _, ca := range cas {
		if issuers.Has(ca) {
			for _, result := range []string{ocspAnswered, ocspFailed} {
				m.requests.WithLabelValues(issuerName(ca), result)
			}
		}
	}
	entries := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "vernegate_ocsp_cache_entries",
		Help: "Certificates whose OCSP status is remembered now.",
	}, func() float64 {
		if cache := m.cache.Load(); cache != nil {
			return float64(cache.Len())
		}
		return 0
	})
	r.MustRegister(m.answers, m.requests, m.duration, entries)
	return m
}

// watch makes the entries of a cache those that are counted.
func (m *ocspMetrics) watch(cache *ocsp.Cache) { m.cache.Store(cache) }

// issuerName is what metrics and the status page call a CA.
func issuerName(ca *x509.Certificate) string { return untrusted.Text(pki.SubjectOf(ca)) }

// answered is an ocsp.Cache's observer.
func (m *ocspMetrics) answered(o ocsp.Outcome) { m.answers.WithLabelValues(string(o)).Inc() }

// asked is an ocsp.Client's observer. A question that was given up says nothing of a
// responder.
func (m *ocspMetrics) asked(q ocsp.Question) {
	result := string(ocsp.KindOf(q.Err))
	if q.Err == nil {
		result = q.Answer.Status.String()
	}
	m.duration.WithLabelValues(result).Observe(q.Took.Seconds())
	if ocsp.KindOf(q.Err) == ocsp.KindCanceled {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.issuer(issuerName(q.Issuer))
	i.Responder = cmp.Or(untrusted.Text(q.Responder), i.Responder)
	if q.Err != nil {
		i.LastFailure, i.LastError, i.LastDetail = time.Now(), result, untrusted.Text(q.Err.Error())
		if !q.Next { // else the certificate may get its answer elsewhere
			m.requests.WithLabelValues(i.Issuer, ocspFailed).Inc()
			i.Failures++
			i.InARow++
		}
		return
	}
	m.requests.WithLabelValues(i.Issuer, ocspAnswered).Inc()
	i.LastSuccess, i.InARow = time.Now(), 0
	i.Answers[result]++
}

// issuer returns what is remembered of a CA. mu must be held.
func (m *ocspMetrics) issuer(name string) *admin.OCSPIssuer {
	if len(m.issuers) >= maxOCSPIssuers && m.issuers[name] == nil {
		name = "others"
	}
	i := m.issuers[name]
	if i == nil {
		i = &admin.OCSPIssuer{Issuer: name, Answers: make(map[string]uint64)}
		m.issuers[name] = i
	}
	return i
}

// status is how asking goes, CA by CA.
func (m *ocspMetrics) status() (list []admin.OCSPIssuer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, i := range m.issuers {
		copied := *i
		copied.Answers = maps.Clone(i.Answers)
		list = append(list, copied)
	}
	slices.SortFunc(list, func(a, b admin.OCSPIssuer) int { return cmp.Compare(a.Issuer, b.Issuer) })
	return list
}
