// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vernegate/vernegate/proxy/limit"
)

// descriptorMetrics say how many file descriptors connections use and may use. Accepting stops before the system
// refuses, so that no error of accept tells of it.
type descriptorMetrics struct {
	used, limit *prometheus.Desc

	of atomic.Pointer[limit.Descriptors] // nil = no server yet
}

func newDescriptorMetrics() *descriptorMetrics {
	return &descriptorMetrics{
		used: prometheus.NewDesc("vernegate_descriptors_used",
			"File descriptors that connections use now: one for each connection, and one more for each session.", nil, nil),
		limit: prometheus.NewDesc("vernegate_descriptors_limit",
			"With so many descriptors used, new connections wait until others end. Sessions can use a few more.", nil, nil),
	}
}

// follow makes these descriptors those that are counted.
func (m *descriptorMetrics) follow(d *limit.Descriptors) { m.of.Store(d) }

// Describe implements prometheus.Collector.
func (m *descriptorMetrics) Describe(descs chan<- *prometheus.Desc) {
	descs <- m.used
	descs <- m.limit
}

// Collect implements prometheus.Collector. There is no limit to tell where there is none.
func (m *descriptorMetrics) Collect(metrics chan<- prometheus.Metric) {
	d := m.of.Load()
	if d == nil {
		return
	}
	metrics <- prometheus.MustNewConstMetric(m.used, prometheus.GaugeValue, float64(d.Taken()))
	if d.Limit() > 0 {
		metrics <- prometheus.MustNewConstMetric(m.limit, prometheus.GaugeValue, float64(d.Limit()))
	}
}
