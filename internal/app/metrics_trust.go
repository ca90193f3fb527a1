// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"crypto/x509"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/internal/due"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/internal/untrusted"
	"github.com/vernegate/vernegate/truststore"
)

// reloadMetrics count what came of looking at the trust files, and remember the
// last time.
type reloadMetrics struct {
	looks   *prometheus.CounterVec
	refused prometheus.Gauge
	last    atomic.Pointer[admin.Look] // nil before the first
}

// newReloadMetrics makes the metrics and registers them with r.
func newReloadMetrics(r prometheus.Registerer) *reloadMetrics {
	m := &reloadMetrics{
		looks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vernegate_trust_looks_total",
			Help: "Looks at the trust files, by result: unchanged, swapped, settling (good, but takes trust away), refused (a part is; others may have changed).",
		}, []string{"result"}),
		refused: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "vernegate_trust_files_refused",
			Help: "1 while any part of the trust files is no good, else 0. Its last good version serves on.",
		}),
	}
	for _, result := range []truststore.Result{truststore.Unchanged, truststore.Swapped, truststore.Settling, truststore.Refused} {
		m.looks.WithLabelValues(result.String())
	}
	r.MustRegister(m.looks, m.refused)
	return m
}

// observe is a truststore.Store's observer.
func (m *reloadMetrics) observe(result truststore.Result, err error) {
	look := &admin.Look{At: time.Now(), Result: result.String()}
	if err != nil {
		look.Errors = untrustedLines(err)
	}
	m.last.Store(look)
	m.looks.WithLabelValues(result.String()).Inc()
	m.refused.Set(0)
	if result == truststore.Refused {
		m.refused.Set(1)
	}
}

// partsCollector says which parts of the trust files are refused when it is asked.
type partsCollector struct {
	config   truststore.Config
	refusals func() []truststore.Refusal
}

// Describe implements prometheus.Collector. It describes nothing, as what
// Collect sends depends on the configuration.
func (*partsCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *partsCollector) Collect(metrics chan<- prometheus.Metric) {
	m := newPartRefused()
	for kind, files := range map[truststore.Kind][]string{
		truststore.KindServer: c.config.Certs, truststore.KindCAs: c.config.CAs,
		truststore.KindCRL: c.config.CRLs, truststore.KindTickets: c.config.TicketKeys,
	} {
		for _, file := range files {
			m.WithLabelValues(string(kind), untrusted.Text(file)).Set(0)
		}
	}
	for _, r := range c.refusals() {
		m.WithLabelValues(string(r.Kind), untrusted.Text(r.File)).Set(1)
	}
	m.Collect(metrics)
}

func newPartRefused() *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "vernegate_trust_part_refused",
		Help: "1 while a part of the files is no good and its last good version stays in use, else 0. Parts are server (a certificate with its key), cas, crl, tickets, backend_tls (CAs and certificate for brokers), acl_tls (for certificate-acl), acl_token and crl_tls (CAs for servers of CRLs).",
	}, []string{"part", "file"})
}

// generationCollector collects metrics of the generation that is in use at a
// scrape. It makes its metrics anew each time, so that what left the files
// leaves the metrics.
type generationCollector func() *truststore.Generation

// Describe implements prometheus.Collector. It describes nothing, since what
// Collect sends depends on the files.
func (current generationCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (current generationCollector) Collect(metrics chan<- prometheus.Metric) {
	g := current()
	for _, c := range []prometheus.Collector{
		sequenceOf(g), loadedOf(g), expiriesOf(g), certificatesDueOf(g), nextUpdatesOf(g), crlsDueOf(g), entriesOf(g),
	} {
		c.Collect(metrics)
	}
}

func sequenceOf(g *truststore.Generation) prometheus.Collector {
	m := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "vernegate_trust_generation",
		Help: "Number of the trust generation in use; the first one is 1.",
	})
	m.Set(float64(g.Sequence()))
	return m
}

func loadedOf(g *truststore.Generation) prometheus.Collector {
	m := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "vernegate_trust_loaded_timestamp_seconds",
		Help: "When the files of the trust generation in use were read.",
	})
	m.Set(unixSeconds(g.Loaded()))
	return m
}

// newExpiry and newCertificatesDue make the metrics of generationCollector and of clientFiles.
func newExpiry() *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "vernegate_trust_certificate_expiry_timestamp_seconds",
		Help: "When each certificate in use expires: those of the server, of the CAs, and of vernegate as a client of brokers and certificate-acl.",
	}, []string{"kind", "subject", "serial"})
}

func newCertificatesDue() *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "vernegate_trust_certificate_due_timestamp_seconds",
		Help: "When each of these certificates is due to be looked at, by severity: warning, critical. The status page and the alerts go by it.",
	}, []string{"kind", "subject", "serial", "severity"})
}

func setExpiry(m *prometheus.GaugeVec, kind string, cert *x509.Certificate) {
	m.WithLabelValues(kind, untrusted.Text(pki.SubjectOf(cert)), cert.SerialNumber.Text(16)).Set(unixSeconds(cert.NotAfter))
}

func setCertificateDue(m *prometheus.GaugeVec, kind string, cert *x509.Certificate) {
	setDue(m, certificateDue(kind, cert), kind, untrusted.Text(pki.SubjectOf(cert)), cert.SerialNumber.Text(16))
}

func expiriesOf(g *truststore.Generation) prometheus.Collector {
	m := newExpiry()
	for _, pair := range g.ServerCertificates() {
		setExpiry(m, admin.KindServer, pair.Leaf)
	}
	for _, ca := range g.CAs() {
		setExpiry(m, admin.KindCA, ca)
	}
	return m
}

func certificatesDueOf(g *truststore.Generation) prometheus.Collector {
	m := newCertificatesDue()
	for _, pair := range g.ServerCertificates() {
		setCertificateDue(m, admin.KindServer, pair.Leaf)
	}
	for _, ca := range g.CAs() {
		setCertificateDue(m, admin.KindCA, ca)
	}
	return m
}

// setDue sets the times of something with these labels.
func setDue(m *prometheus.GaugeVec, t due.Times, labels ...string) {
	for severity, at := range map[string]time.Time{"warning": t.Warning, "critical": t.Critical} {
		if !at.IsZero() {
			m.WithLabelValues(append(labels, severity)...).Set(unixSeconds(at))
		}
	}
}

// nextUpdatesOf has the earliest of several lists in one file of one issuer.
func nextUpdatesOf(g *truststore.Generation) prometheus.Collector {
	m := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "vernegate_trust_crl_next_update_timestamp_seconds",
		Help: "When each CRL in use is due to be replaced.",
	}, []string{"issuer", "file"})
	for _, list := range nextUpdateLast(g) {
		if !list.NextUpdate.IsZero() {
			m.WithLabelValues(untrusted.Text(list.Issuer), untrusted.Text(list.Path)).Set(unixSeconds(list.NextUpdate))
		}
	}
	return m
}

func crlsDueOf(g *truststore.Generation) prometheus.Collector {
	m := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "vernegate_trust_crl_due_timestamp_seconds",
		Help: "When each CRL in use is due to be looked at, by severity: warning, critical. The status page and the alerts go by it.",
	}, []string{"issuer", "file", "severity"})
	for _, list := range nextUpdateLast(g) {
		setDue(m, crlDue(list), untrusted.Text(list.Issuer), untrusted.Text(list.Path))
	}
	return m
}

// nextUpdateLast returns the CRLs, the one that is to be replaced next as the last one: what is set last stays.
func nextUpdateLast(g *truststore.Generation) []truststore.CRL {
	return slices.SortedFunc(slices.Values(g.CRLs()), func(a, b truststore.CRL) int { return b.NextUpdate.Compare(a.NextUpdate) })
}

func entriesOf(g *truststore.Generation) prometheus.Collector {
	m := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "vernegate_trust_crl_entries",
		Help: "Revoked certificates in the CRLs in use.",
	}, []string{"issuer", "file"})
	for _, list := range g.CRLs() {
		m.WithLabelValues(untrusted.Text(list.Issuer), untrusted.Text(list.Path)).Add(float64(list.Entries))
	}
	return m
}

// untrustedLines returns the lines of an error that may quote strangers.
func untrustedLines(err error) []string {
	var lines []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		lines = append(lines, untrusted.Text(line))
	}
	return lines
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
