// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vernegate/vernegate/internal/crlfetch"
)

// fetchMetrics count what came of fetching lists, and tell how old they are.
type fetchMetrics struct {
	requests *prometheus.CounterVec
	status   func() []crlfetch.Status
	interval time.Duration
}

// newFetchMetrics makes the metrics of the lists that status tells of, which are fetched
// at least every interval, and registers them with r.
func newFetchMetrics(r prometheus.Registerer, status func() []crlfetch.Status, interval time.Duration) *fetchMetrics {
	m := &fetchMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vernegate_crl_fetches_total",
			Help: "Requests for revocation lists, by URL and result: replaced (there was a newer one), unchanged, failed (the last good one stays in use).",
		}, []string{"url", "result"}),
		status: status, interval: interval,
	}
	r.MustRegister(m)
	return m
}

// observe is told what came of each request.
func (m *fetchMetrics) observe(name string, result crlfetch.Result) {
	m.requests.WithLabelValues(name, string(result)).Inc()
}

// Describe implements prometheus.Collector. It describes nothing, since what Collect
// sends depends on what is followed.
func (*fetchMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *fetchMetrics) Collect(metrics chan<- prometheus.Metric) {
	success := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "vernegate_crl_fetch_last_success_timestamp_seconds",
		Help: "When the server at the URL last gave a list that counts, or said that it is the same; 0 if never.",
	}, []string{"url"})
	size := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "vernegate_crl_fetch_size_bytes",
		Help: "Size of the list from the URL that is kept; 0 if there is none.",
	}, []string{"url"})
	interval := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "vernegate_crl_fetch_interval_seconds",
		Help: "How often each list is asked for at least (VERNEGATE_CRL_REFRESH).",
	})
	interval.Set(m.interval.Seconds())
	for _, s := range m.status() {
		at := 0.
		if !s.LastSuccess.IsZero() {
			at = unixSeconds(s.LastSuccess)
		}
		success.WithLabelValues(s.Name).Set(at)
		size.WithLabelValues(s.Name).Set(float64(s.Size))
		for _, result := range crlfetch.Results() {
			m.requests.WithLabelValues(s.Name, string(result)) // 0 until the first one, which is no increase otherwise
		}
	}
	for _, c := range []prometheus.Collector{m.requests, success, size, interval} {
		c.Collect(metrics)
	}
}
