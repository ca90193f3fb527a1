// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/vernegate/vernegate/internal/backend"
)

// backendsCollector collects metrics of the brokers that there are at a scrape.
// It makes its metrics anew each time, so that an address that its name does
// not stand for any more leaves the metrics with its last session.
type backendsCollector func() []backend.Status

// Describe implements prometheus.Collector. It describes nothing, since what
// Collect sends depends on the names.
func (status backendsCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (status backendsCollector) Collect(metrics chan<- prometheus.Metric) {
	up := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "vernegate_backend_up",
		Help: "1 while the backend gets new sessions (the first few if it is returning), 0 while it is ejected, gone from its name or not resolved.",
	}, []string{"backend"})
	sessions := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "vernegate_backend_sessions",
		Help: "Sessions at the backend now, those being connected included.",
	}, []string{"backend"})
	ejections := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vernegate_backend_ejections_total",
		Help: "Ejections of the backend, by reason: dial, tls, silent, unavailable (CONNACK 3 or 0x88), closed (no answer to CONNECTs), reset (sessions ended within 6 s), health.",
	}, []string{"backend", "reason"})
	for _, s := range status() {
		up.WithLabelValues(s.Addr).Set(0)
		if s.State == backend.Up || s.State == backend.Returning {
			up.WithLabelValues(s.Addr).Set(1)
		}
		sessions.WithLabelValues(s.Addr).Set(float64(s.Sessions))
		for _, reason := range backend.Reasons() {
			ejections.WithLabelValues(s.Addr, string(reason)).Add(float64(s.Ejections[reason]))
		}
	}
	for _, c := range []prometheus.Collector{up, sessions, ejections} {
		c.Collect(metrics)
	}
}
