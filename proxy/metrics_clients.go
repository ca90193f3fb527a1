// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/tls"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vernegate/vernegate/packets"
)

// handshakeMetrics count the TLS handshakes of one listener. A connection that ends before its first byte has
// none.
type handshakeMetrics struct{ *prometheus.CounterVec }

// Results of a handshake beside the reasons why it failed.
const (
	handshakeFull    = "full"
	handshakeResumed = "resumed"
)

func (m handshakeMetrics) completed(state tls.ConnectionState) {
	result := handshakeFull
	if state.DidResume {
		result = handshakeResumed
	}
	m.WithLabelValues(result, tlsVersionName(state.Version)).Inc()
}

// failed leaves the version open: in most failures there is none yet.
func (m handshakeMetrics) failed(reason Reason) { m.WithLabelValues(reason.String(), "").Inc() }

// newHandshakeMetrics makes the metrics of all listeners, by role.
func newHandshakeMetrics() (vec *prometheus.CounterVec, byRole [Services + 1]handshakeMetrics) {
	vec = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vernegate_handshakes_total",
		Help: "TLS handshakes, by listener, result (full, resumed, or the reason of the failure) and TLS version (of those that succeeded).",
	}, []string{"listener", "result", "version"})
	for role := range byRole {
		m := handshakeMetrics{vec.MustCurryWith(prometheus.Labels{"listener": Role(role).String()})}
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			m.WithLabelValues(handshakeFull, tlsVersionName(version))
			m.WithLabelValues(handshakeResumed, tlsVersionName(version))
		}
		for reason := TLSHandshake; reason <= TLSCRL; reason++ {
			m.WithLabelValues(reason.String(), "")
		}
		byRole[role] = m
	}
	return vec, byRole
}

// newConnectMetrics makes the metrics about CONNECTs of all listeners, by role.
func newConnectMetrics() (vec *prometheus.CounterVec, byRole [Services + 1]*prometheus.CounterVec) {
	vec = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vernegate_connects_total",
		Help: "Well-formed CONNECTs read, by listener and MQTT version.",
	}, []string{"listener", "version"})
	for role := range byRole {
		byRole[role] = vec.MustCurryWith(prometheus.Labels{"listener": Role(role).String()})
		for _, version := range []packets.Version{packets.V31, packets.V311, packets.V5} {
			byRole[role].WithLabelValues(version.String())
		}
	}
	return vec, byRole
}
