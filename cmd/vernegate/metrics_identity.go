// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vernegate/vernegate/certacl"
)

// identityMetrics count what came of asking who owns a certificate.
type identityMetrics struct {
	answers *prometheus.CounterVec
	lookups *prometheus.HistogramVec
}

// newIdentityMetrics makes the metrics and registers them with r. All labels
// exist from the start, so that a rate over the first failure is right.
func newIdentityMetrics(r prometheus.Registerer) *identityMetrics {
	m := &identityMetrics{
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vernegate_identity_answers_total",
			Help: "Answers to sessions about who owns their certificate, by outcome: hit and negative_hit (remembered), miss (asked), stale (remembered, as asking failed), failed (could not tell).",
		}, []string{"outcome"}),
		lookups: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "vernegate_identity_lookup_duration_seconds",
			Help:    "Requests to certificate-acl, by result: owned, unowned, or why it could not be told.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"result"}),
	}
	for _, o := range []certacl.Outcome{
		certacl.OutcomeHit, certacl.OutcomeNegativeHit, certacl.OutcomeMiss, certacl.OutcomeStale, certacl.OutcomeFailed,
	} {
		m.answers.WithLabelValues(string(o))
	}
	for _, result := range []string{
		resultOwned, resultUnowned, string(certacl.KindBusy), string(certacl.KindTimeout),
		string(certacl.KindCanceled), string(certacl.KindConnection), string(certacl.KindStatus), string(certacl.KindBody),
	} {
		m.lookups.WithLabelValues(result)
	}
	r.MustRegister(m.answers, m.lookups)
	return m
}

// Results of a look-up beside the kinds of certacl.LookupError.
const (
	resultOwned   = "owned"
	resultUnowned = "unowned"
)

// answered is a certacl.Cache's observer.
func (m *identityMetrics) answered(o certacl.Outcome) { m.answers.WithLabelValues(string(o)).Inc() }

// lookupFunc is certacl.Client.Lookup or something around it.
type lookupFunc = func(context.Context, certacl.Fingerprint) (owner string, ok bool, err error)

// timed returns lookup, measured.
func (m *identityMetrics) timed(lookup lookupFunc) lookupFunc {
	return func(ctx context.Context, fp certacl.Fingerprint) (owner string, ok bool, err error) {
		begin := time.Now()
		owner, ok, err = lookup(ctx, fp)
		m.lookups.WithLabelValues(lookupResult(ok, err)).Observe(time.Since(begin).Seconds())
		return owner, ok, err
	}
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
