// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ownerevents

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vernegate/vernegate/internal/untrusted"
)

const (
	// probeInterval is how often it is looked at whether Kafka answers.
	probeInterval = time.Second
	// probeTimeout is how long it may take to answer.
	probeTimeout = 5 * time.Second
	// shortTrouble is what a broker that is restarted causes, or a connection that is lost: nobody is told of it, as no
	// event is missed by it.
	shortTrouble = 3 * time.Second
	// troubleEnds is after which time without an error trouble with one of several brokers is over: it answers again, or its
	// partitions have moved to others and nobody asks it any more.
	troubleEnds = 15 * time.Second
)

// A State says whether events come.
type State string

// The states.
const (
	Connecting State = "connecting" // Kafka has not answered yet
	Well       State = "well"
	Away       State = "away" // Kafka, or one of its brokers with events, does not answer
)

// health finds out whether Kafka answers. It is a hook of the client, which calls it from many goroutines.
type health struct {
	log *slog.Logger

	mu       sync.Mutex // guards what follows
	state    State
	since    time.Time
	trouble  map[int32]*trouble // by broker
	unprobed time.Time          // since when no broker has answered a probe; zero = the last one was answered
	lastErr  string
	failures uint64
	answered time.Time
	topics   int
}

// trouble is a broker that does not answer.
type trouble struct{ first, last time.Time }

var (
	_ kgo.HookBrokerConnect = (*health)(nil)
	_ kgo.HookBrokerE2E     = (*health)(nil)
)

func (h *health) init(log *slog.Logger) {
	h.log, h.state, h.since, h.trouble = log, Connecting, time.Now(), make(map[int32]*trouble)
	h.unprobed = h.since
}

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (h *health) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil {
		h.note(meta.NodeID, err)
	}
}

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (h *health) OnBrokerE2E(meta kgo.BrokerMetadata, _ int16, e2e kgo.BrokerE2E) {
	h.note(meta.NodeID, e2e.Err())
}

// note notes that a broker has answered, or has not. Those that were configured, and are only known by that, have negative
// numbers, and no events: as long as any of them answers, all is well.
func (h *health) note(node int32, err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, kgo.ErrClientClosed) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if err == nil {
		h.answered = now
		delete(h.trouble, node)
		return
	}
	h.failures++
	h.lastErr = untrusted.Text(err.Error())
	if node < 0 {
		return
	}
	if h.trouble[node] == nil {
		h.trouble[node] = &trouble{first: now}
	}
	h.trouble[node].last = now
}

// watch follows the state until ctx ends. It says on returned when Kafka was away so long that events may have been
// missed.
func (h *health) watch(ctx context.Context, ping func(context.Context) error, returned chan<- struct{}) {
	ticks := time.NewTicker(probeInterval)
	defer ticks.Stop()
	for {
		limited, cancel := context.WithTimeout(ctx, probeTimeout)
		err := ping(limited)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if h.probed(err) {
			select {
			case returned <- struct{}{}:
			default:
			}
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
	}
}

// probed judges after a probe, and reports whether Kafka has returned after it was away.
func (h *health) probed(err error) (returned bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	switch {
	case err == nil:
		h.unprobed = time.Time{}
	case h.unprobed.IsZero():
		h.unprobed = now
	}
	if err != nil {
		h.lastErr = untrusted.Text(err.Error())
	}
	since := h.troubleSince(now)
	switch {
	case since.IsZero() && h.state != Well:
		return h.setWell(now)
	case !since.IsZero() && h.state != Away && now.Sub(since) >= shortTrouble:
		h.state, h.since = Away, since
		h.log.Warn("Kafka is away; owners are asked for as without it", "err", h.lastErr)
	}
	return false
}

// setWell notes that Kafka answers. mu must be held.
func (h *health) setWell(now time.Time) (returned bool) {
	returned = h.state == Away
	if returned {
		h.log.Info("Kafka is back", "away", now.Sub(h.since).Round(time.Second).String())
	} else {
		h.log.Info("Kafka answers")
	}
	h.state, h.since = Well, now
	return returned
}

// troubleSince returns since when something does not answer; zero = all is well. mu must be held.
func (h *health) troubleSince(now time.Time) (since time.Time) {
	since = h.unprobed
	for node, t := range h.trouble {
		switch {
		case now.Sub(t.last) > troubleEnds:
			delete(h.trouble, node)
		case since.IsZero() || t.first.Before(since):
			since = t.first
		}
	}
	return since
}

func (h *health) setTopics(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.topics = n
}

func (h *health) status() Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Status{
		State: h.state, Since: h.since, LastError: h.lastErr, Failures: h.failures, Answered: h.answered, Topics: h.topics,
	}
}
