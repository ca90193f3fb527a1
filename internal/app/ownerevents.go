// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vernegate/vernegate/certacl"
	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/internal/ownerevents"
	"github.com/vernegate/vernegate/proxy"
)

const (
	// holdTold is how long an event overrules certificate-acl, which gets the same event, but may be restarted just then:
	// its Kafka client takes up to 45 s to notice that another one of its group is gone.
	holdTold = time.Minute
	// spreadOver is the time over which the owners of all live sessions are asked for anew.
	spreadOver = time.Minute
)

// newOwnerEvents returns what follows changes of owners, nil if that is off. What it reads changes what is remembered, and
// then live sessions.
func newOwnerEvents(cfg config.Config, cache *certacl.Cache, server *proxy.Server, m *eventMetrics, a *App) *ownerevents.Consumer {
	if len(cfg.KafkaBrokers) == 0 {
		return nil
	}
	return ownerevents.New(ownerevents.Config{
		Brokers: cfg.KafkaBrokers,
		Topics:  string(cfg.KafkaTopics),
		Access:  cfg.KafkaAccess(),
		Valid:   proxy.CheckOwner,
		Changed: func(e ownerevents.Event) ownerevents.Result {
			switch cache.Tell(e.Fingerprint, e.Owner, e.Owner != "", e.At) {
			case certacl.Counts:
				server.RecheckNow(e.Fingerprint)
				return ownerevents.Told
			case certacl.Unclear:
				server.RecheckSoon(proxy.Filter{Fingerprint: e.Fingerprint}, 0)
				return ownerevents.Asked
			}
			return ownerevents.Outdated
		},
		Unclear: func(e ownerevents.Event) bool {
			if !cache.Doubt(e.Fingerprint, e.At) {
				return false
			}
			server.RecheckSoon(proxy.Filter{Fingerprint: e.Fingerprint}, 0)
			return true
		},
		Missed: func(ownerevents.Gap) {
			cache.Outdate()
			server.RecheckSoon(proxy.Filter{}, spreadOver)
		},
		Observe: m.observe,
		Logger:  a.log,
	})
}

// checkKafka connects to Kafka, if events are followed.
func (r *report) checkKafka(ctx context.Context, cfg config.Config) {
	if len(cfg.KafkaBrokers) == 0 {
		return
	}
	name := "Kafka at " + strings.Join(cfg.KafkaBrokers, ",")
	topics, err := ownerevents.Check(ctx, ownerevents.Config{
		Brokers: cfg.KafkaBrokers, Topics: string(cfg.KafkaTopics), Access: cfg.KafkaAccess(),
	})
	switch {
	case err != nil:
		r.failedLines(name+": ", err)
	case topics == 0:
		r.warn("%s answers, but no topic matches VERNEGATE_KAFKA_TOPICS", name)
	default:
		r.ok("%s answers; topics: %d", name, topics)
	}
}

// eventMetrics count events, and tell how following them goes.
type eventMetrics struct {
	events *prometheus.CounterVec
	delay  prometheus.Histogram
	status func() ownerevents.Status
}

// newEventMetrics makes the metrics and registers them with r.
func newEventMetrics(r prometheus.Registerer) *eventMetrics {
	m := &eventMetrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vernegate_ownership_events_total",
			Help: "Events of owners from Kafka, by type (create, update, delete, other) and result: told (it counts), asked (old or unclear: certificate-acl is asked), outdated (another one counts), foreign, malformed, too_large (skipped).",
		}, []string{"type", "result"}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "vernegate_ownership_event_delay_seconds",
			Help:    "Time from the publication of an event, by the clock of Kafka or its publisher, to the end of the sessions that it ends.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30, 300},
		}),
	}
	for _, kind := range ownerevents.Types() {
		for _, result := range ownerevents.Results() {
			if m.possible(kind, result) {
				m.events.WithLabelValues(string(kind), string(result))
			}
		}
	}
	r.MustRegister(m.events, m.delay)
	return m
}

// possible reports whether events of a type have this result: those that are skipped have no type.
func (*eventMetrics) possible(kind ownerevents.Type, result ownerevents.Result) bool {
	skipped := result == ownerevents.Foreign || result == ownerevents.Malformed || result == ownerevents.TooLarge
	return skipped == (kind == ownerevents.Other)
}

// follow adds the metrics of how following goes.
func (m *eventMetrics) follow(r prometheus.Registerer, status func() ownerevents.Status) {
	m.status = status
	r.MustRegister(m)
}

func (m *eventMetrics) observe(kind ownerevents.Type, result ownerevents.Result, delay time.Duration) {
	m.events.WithLabelValues(string(kind), string(result)).Inc()
	m.delay.Observe(delay.Seconds())
}

// Describe implements prometheus.Collector. It describes nothing, like those of what depends on the configuration.
func (*eventMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *eventMetrics) Collect(metrics chan<- prometheus.Metric) {
	s := m.status()
	gauge := func(name, help string, value float64) {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		g.Set(value)
		g.Collect(metrics)
	}
	up := 0.
	if s.State == ownerevents.Well {
		up = 1
	}
	gauge("vernegate_kafka_up", "1 while Kafka answers, 0 while it, or one of its brokers with events, does not.", up)
	gauge("vernegate_kafka_topics", "Topics that match VERNEGATE_KAFKA_TOPICS.", float64(s.Topics))
	gauge("vernegate_kafka_lag_events", "Events that are in Kafka and not read yet.", float64(s.Lag))
	gauge("vernegate_kafka_last_answer_timestamp_seconds", "When a broker of Kafka has last answered; 0 if never.", timestamp(s.Answered))
	gauge("vernegate_kafka_last_event_timestamp_seconds", "When an event has last come; 0 if never.", timestamp(s.LastEvent))
	failures := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "vernegate_kafka_failures_total", Help: "Connections to and requests of Kafka that went wrong.",
	})
	failures.Add(float64(s.Failures))
	failures.Collect(metrics)
	gaps := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vernegate_kafka_gaps_total",
		Help: "Times at which events may have been missed, so that all owners were asked for anew, by reason: reconnected, truncated, unreadable.",
	}, []string{"reason"})
	for gap, n := range s.Gaps {
		gaps.WithLabelValues(string(gap)).Add(float64(n))
	}
	gaps.Collect(metrics)
}

// timestamp is a time in seconds, 0 for none.
func timestamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return unixSeconds(t)
}

// kafkaStatus is how following goes, for the page.
func kafkaStatus(s ownerevents.Status) *admin.Kafka {
	k := &admin.Kafka{
		State: string(s.State), Severity: admin.OK, Since: s.Since, LastError: s.LastError, LastEvent: s.LastEvent, Topics: s.Topics, Lag: s.Lag,
	}
	switch s.State {
	case ownerevents.Away:
		k.Severity = admin.Critical
	case ownerevents.Connecting:
		k.Severity = admin.Warning
	case ownerevents.Well:
		k.LastError = ""
	}
	for _, n := range s.Gaps {
		k.Gaps += n
	}
	return k
}

// followOwners follows changes of owners until ctx ends, if that is on.
func (a *App) followOwners(ctx context.Context, events *ownerevents.Consumer) error {
	if events == nil {
		return nil
	}
	a.log.Info("following changes of owners", "kafka", []string(a.cfg.KafkaBrokers), "topics", string(a.cfg.KafkaTopics))
	return events.Run(ctx)
}
