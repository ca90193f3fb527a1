// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import "github.com/prometheus/client_golang/prometheus"

// Metrics are what a Server counts. The labels are roles of listeners and reasons of the table, never anything
// that a client sent; all of them exist from the start, so that a rate over the first refusal is right.
type Metrics struct {
	accepted     [Services + 1]prometheus.Counter
	acceptErrors prometheus.Counter
	waiting      prometheus.Gauge
	sessions     [Services + 1]prometheus.Gauge
	ended        [Services + 1][endOfReasons]prometheus.Counter
	handshakes   [Services + 1]handshakeMetrics
	connects     [Services + 1]connectMetrics
	traffic      *traffic
}

// NewMetrics makes the metrics and registers them with r; nil registers them nowhere. It panics when they are
// registered already.
func NewMetrics(r prometheus.Registerer) *Metrics {
	accepted := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vernegate_connections_accepted_total",
		Help: "Connections accepted, by listener.",
	}, []string{"listener"})
	sessions := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "vernegate_sessions",
		Help: "Sessions that are relayed to a broker now, by listener.",
	}, []string{"listener"})
	ended := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vernegate_connections_ended_total",
		Help: "Connections ended, by listener and reason.",
	}, []string{"listener", "reason"})
	m := &Metrics{
		acceptErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "vernegate_accept_errors_total",
			Help: "Failed attempts to accept a connection.",
		}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "vernegate_handshakes_waiting",
			Help: "Handshakes that wait for their turn to begin now.",
		}),
	}
	handshakes, handshakesByRole := newHandshakeMetrics()
	connects, connectsByRole := newConnectMetrics()
	m.handshakes, m.connects, m.traffic = handshakesByRole, connectsByRole, newTraffic()
	for role := Devices; role <= Services; role++ {
		m.accepted[role] = accepted.WithLabelValues(role.String())
		m.sessions[role] = sessions.WithLabelValues(role.String())
		for _, reason := range Reasons() {
			m.ended[role][reason] = ended.WithLabelValues(role.String(), reason.String())
		}
	}
	if r != nil {
		r.MustRegister(accepted, m.acceptErrors, m.waiting, sessions, ended, handshakes, connects, m.traffic)
	}
	return m
}
