// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// traffic counts what sessions carry. Each session counts for itself, so that a message costs no more than two
// writes to memory of its own; the sums are made when they are asked for. They never go back:
// what a session has carried since it was last settled is added once, while it lives or when it has ended.
type traffic struct {
	bytes, packets *prometheus.Desc

	mu   sync.Mutex
	live *registry // nil = no server yet
	sums [endOfRoles]load
}

// A load is what has been carried in both directions.
type load struct{ up, down flow }

type flow struct {
	bytes   int64
	packets uint64
}

func newTraffic() *traffic {
	labels := []string{"listener", "direction"}
	return &traffic{
		bytes: prometheus.NewDesc("vernegate_relayed_bytes_total",
			"Bytes relayed behind the CONNECT, by listener and direction: up to the brokers, down to the clients.", labels, nil),
		packets: prometheus.NewDesc("vernegate_relayed_packets_total",
			"MQTT packets relayed behind the CONNECT, by listener and direction.", labels, nil),
	}
}

// follow makes the sessions of a registry those that are counted.
func (t *traffic) follow(live *registry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.live = live
}

// settle adds what a session has carried since it was last settled.
func (t *traffic) settle(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(s)
}

// add is settle for who holds mu.
func (t *traffic) add(s *session) {
	var now load
	now.up.bytes, now.up.packets = s.up.Carried()
	now.down.bytes, now.down.packets = s.down.Carried()
	sum := &t.sums[s.role]
	sum.up.add(now.up, s.settled.up)
	sum.down.add(now.down, s.settled.down)
	s.settled = now
}

// add adds what has come since.
func (f *flow) add(now, since flow) {
	f.bytes += now.bytes - since.bytes
	f.packets += now.packets - since.packets
}

// settleAll settles the live sessions and returns the sums. Sessions that end meanwhile wait for a few hundred
// others at most.
func (t *traffic) settleAll() [endOfRoles]load {
	t.mu.Lock()
	live := t.live
	t.mu.Unlock()
	if live != nil {
		for chunk := range live.walk(0) {
			t.mu.Lock()
			for _, s := range chunk {
				t.add(s)
			}
			t.mu.Unlock()
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sums
}

// Describe implements prometheus.Collector.
func (t *traffic) Describe(descs chan<- *prometheus.Desc) {
	descs <- t.bytes
	descs <- t.packets
}

// Collect implements prometheus.Collector.
func (t *traffic) Collect(metrics chan<- prometheus.Metric) {
	sums := t.settleAll()
	for _, role := range Roles() {
		for _, d := range []struct {
			direction string
			flow      flow
		}{{"up", sums[role].up}, {"down", sums[role].down}} {
			metrics <- prometheus.MustNewConstMetric(t.bytes, prometheus.CounterValue,
				float64(d.flow.bytes), role.String(), d.direction)
			metrics <- prometheus.MustNewConstMetric(t.packets, prometheus.CounterValue,
				float64(d.flow.packets), role.String(), d.direction)
		}
	}
}
