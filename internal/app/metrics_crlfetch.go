// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vernegate/vernegate/internal/crlfetch"
)

// fetchMetrics count what came of fetching lists, and tell how old they are.
type fetchMetrics struct {
	requests *prometheus.CounterVec
	unkept   *prometheus.CounterVec
	status   func() []crlfetch.Status
	interval time.Duration

	mu   sync.Mutex
	urls map[string]struct{} // that there are counters of
}

// newFetchMetrics makes the metrics of the lists that status tells of, which are fetched
// at least every interval, and registers them with r.
func newFetchMetrics(r prometheus.Registerer, status func() []crlfetch.Status, interval time.Duration) *fetchMetrics {
	m := &fetchMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vernegate_crl_fetches_total",
			Help: "Requests for revocation lists, by URL and result: replaced (there was a newer one), unchanged, failed (the last good one stays in use).",
		}, []string{"url", "result"}),
		unkept: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vernegate_crl_fetch_not_kept_total",
			Help: "Requests after which a revocation list, which is in use, or what is known of it could not be written to VERNEGATE_STATE_DIR, by URL.",
		}, []string{"url"}),
		status: status, interval: interval, urls: make(map[string]struct{}),
	}
	r.MustRegister(m)
	return m
}

// observe is told what came of each request. A nil one counts nothing.
func (m *fetchMetrics) observe(name string, result crlfetch.Result) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.urls[name] = struct{}{}
	m.requests.WithLabelValues(name, string(result)).Inc()
}

// notKept is told of each request after which something could not be written. A nil one counts nothing.
func (m *fetchMetrics) notKept(name string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.urls[name] = struct{}{}
	m.unkept.WithLabelValues(name).Inc()
}

// begin has the counters of these lists begin at 0, so that the first failure is an increase, and drops those of lists
// that are not followed any more.
func (m *fetchMetrics) begin(sources []crlfetch.Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	gone := m.urls
	m.urls = make(map[string]struct{}, len(sources))
	for _, s := range sources {
		m.urls[s.Name] = struct{}{}
		delete(gone, s.Name)
		for _, result := range crlfetch.Results() {
			m.requests.WithLabelValues(s.Name, string(result))
		}
		m.unkept.WithLabelValues(s.Name)
	}
	for url := range gone {
		m.requests.DeletePartialMatch(prometheus.Labels{"url": url})
		m.unkept.DeleteLabelValues(url)
	}
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
	sources := m.status()
	m.begin(sources)
	for _, s := range sources {
		at := 0.
		if !s.LastSuccess.IsZero() {
			at = unixSeconds(s.LastSuccess)
		}
		success.WithLabelValues(s.Name).Set(at)
		size.WithLabelValues(s.Name).Set(float64(s.Size))
	}
	for _, c := range []prometheus.Collector{m.requests, m.unkept, success, size, interval} {
		c.Collect(metrics)
	}
}
