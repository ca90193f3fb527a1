// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/tls"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vernegate/vernegate/packets"
)

// Metrics are what a Server counts. The labels are roles of listeners and reasons of the table, never anything
// that a client sent; all of them exist from the start, so that a rate over the first refusal is right.
type Metrics struct {
	accepted     [endOfRoles]prometheus.Counter
	acceptErrors prometheus.Counter
	waiting      prometheus.Gauge
	sessions     [endOfRoles]prometheus.Gauge
	ended        [endOfRoles][endOfReasons]prometheus.Counter
	over         [endOfRoles][endOfDisconnects]prometheus.Counter // sessions alone
	handshakes   [endOfRoles]handshakeMetrics
	connects     [endOfRoles]connectMetrics
	traffic      *traffic
	descriptors  *descriptorMetrics
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
	over := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vernegate_sessions_ended_total",
		Help: "Sessions ended, by listener and by who has sent a DISCONNECT: client, broker or none (then it was lost, or ended by vernegate).",
	}, []string{"listener", "disconnect"})
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
	m.descriptors = newDescriptorMetrics()
	for _, role := range Roles() {
		m.accepted[role] = accepted.WithLabelValues(role.String())
		m.sessions[role] = sessions.WithLabelValues(role.String())
		for _, reason := range Reasons() {
			m.ended[role][reason] = ended.WithLabelValues(role.String(), reason.String())
		}
		for d := range endOfDisconnects {
			m.over[role][d] = over.WithLabelValues(role.String(), d.String())
		}
	}
	if r != nil {
		r.MustRegister(accepted, m.acceptErrors, m.waiting, sessions, ended, over, handshakes, connects, m.traffic, m.descriptors)
	}
	return m
}

// handshakeMetrics count the TLS handshakes of one listener. A connection that ends before its first byte has
// none.
type handshakeMetrics struct {
	*prometheus.CounterVec
	full, resumed map[uint16]prometheus.Counter // by TLS version
}

// Results of a handshake beside the reasons why it failed.
const (
	handshakeFull    = "full"
	handshakeResumed = "resumed"
)

func (m *handshakeMetrics) completed(state tls.ConnectionState) {
	counters, result := m.full, handshakeFull
	if state.DidResume {
		counters, result = m.resumed, handshakeResumed
	}
	if c := counters[state.Version]; c != nil {
		c.Inc()
		return
	}
	m.WithLabelValues(result, tlsVersionName(state.Version)).Inc()
}

// failed leaves the version open: in most failures there is none yet.
func (m *handshakeMetrics) failed(reason Reason) { m.WithLabelValues(reason.String(), "").Inc() }

// newHandshakeMetrics makes the metrics of all listeners, by role.
func newHandshakeMetrics() (vec *prometheus.CounterVec, byRole [endOfRoles]handshakeMetrics) {
	vec = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vernegate_handshakes_total",
		Help: "TLS handshakes, by listener, result (full, resumed, or the reason of the failure) and TLS version (of those that succeeded).",
	}, []string{"listener", "result", "version"})
	for role := range byRole {
		m := handshakeMetrics{
			vec.MustCurryWith(prometheus.Labels{"listener": Role(role).String()}),
			make(map[uint16]prometheus.Counter), make(map[uint16]prometheus.Counter),
		}
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			m.full[version] = m.WithLabelValues(handshakeFull, tlsVersionName(version))
			m.resumed[version] = m.WithLabelValues(handshakeResumed, tlsVersionName(version))
		}
		for reason := TLSHandshake; reason <= TLSCRL; reason++ {
			m.WithLabelValues(reason.String(), "")
		}
		byRole[role] = m
	}
	return vec, byRole
}

// A connectMetrics counts the CONNECTs of one listener, by MQTT version.
type connectMetrics map[packets.Version]prometheus.Counter

// newConnectMetrics makes the metrics about CONNECTs of all listeners, by role.
func newConnectMetrics() (vec *prometheus.CounterVec, byRole [endOfRoles]connectMetrics) {
	vec = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vernegate_connects_total",
		Help: "Well-formed CONNECTs read, by listener and MQTT version.",
	}, []string{"listener", "version"})
	for role := range byRole {
		byRole[role] = make(connectMetrics)
		for _, version := range []packets.Version{packets.V31, packets.V311, packets.V5} {
			byRole[role][version] = vec.WithLabelValues(Role(role).String(), version.String())
		}
	}
	return vec, byRole
}
