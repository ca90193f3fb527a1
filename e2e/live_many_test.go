// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

const (
	// crowdSize is how many sessions TestOnlyThoseConcernedFall holds unless
	// E2E_SESSIONS says otherwise. Each has a certificate of its own, which makes
	// its handshake a full one.
	crowdSize = 5000

	// endingsPerSecond is the rate that vernegate keeps to when it ends sessions
	// in bulk, and endingsAtOnce what it may be ahead of it.
	endingsPerSecond, endingsAtOnce = 5000, 50
)

// A member of a crowd is a quiet session that nobody else shares a certificate with.
type member struct {
	device *certtest.Cert
	wire   *stack.Wire
	pongs  chan struct{} // one for each PINGRESP
	over   chan struct{} // closed when the stream has ended; then the rest is there
	ended  time.Time
	err    error
}

// crowdOf connects devices of both CAs by turns.
func crowdOf(ctx context.Context, t *testing.T, s *fixture, n int, cas ...*certtest.CA) []*member {
	t.Helper()
	const atOnce = 32
	crowd := make([]*member, n)
	var joining errgroup.Group
	joining.SetLimit(atOnce)
	for i := range crowd {
		joining.Go(func() (err error) {
			crowd[i], err = join(ctx, s, s.deviceOf(cas[i%len(cas)], fmt.Sprintf("acme:%d", i)))
			return err
		})
	}
	err := joining.Wait()
	var listening sync.WaitGroup
	for _, m := range crowd {
		if m != nil {
			listening.Go(m.listen)
		}
	}
	t.Cleanup(func() {
		for _, m := range crowd {
			if m != nil {
				m.wire.Close()
			}
		}
		listening.Wait()
	})
	if err != nil {
		t.Fatal(err)
	}
	return crowd
}

// join connects one device.
func join(ctx context.Context, s *fixture, device *certtest.Cert) (*member, error) {
	w, err := stack.DialWire(ctx, s.through(device, 0))
	if err != nil {
		return nil, err
	}
	m := &member{device: device, wire: w, pongs: make(chan struct{}, 1), over: make(chan struct{})}
	if err := w.Send(connectPacket{version: stack.V5, clientID: unique()}.bytes()); err != nil {
		return m, err
	}
	connack, err := w.ReadN(len(accepted(stack.V5)))
	if err == nil && !bytes.Equal(connack, accepted(stack.V5)) {
		err = &stack.RefusedError{Code: connack[3]}
	}
	return m, err
}

// listen reads PINGRESPs until the stream ends.
func (m *member) listen() {
	stream := packetReader{bufio.NewReaderSize(m.wire, 16)}
	for {
		packet, err := stream.next()
		if err == nil && packet[0] == pongPacket[0] {
			m.pongs <- struct{}{}
			continue
		}
		m.err, m.ended = err, time.Now()
		close(m.over)
		return
	}
}

// ping makes a round trip to the broker and returns how long it took.
func (m *member) ping(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	if err := m.wire.Send(pingPacket); err != nil {
		return 0, err
	}
	select {
	case <-m.pongs:
		return time.Since(began), nil
	case <-m.over:
		return 0, fmt.Errorf("the session ended: %w", m.err)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// A pulse is the round trips of a crowd, sorted.
type pulse []time.Duration

// String tells the usual quantiles.
func (p pulse) String() string {
	return fmt.Sprintf("%d round trips, median %v, p99 %v, longest %v", len(p), p.at(0.5), p.at(0.99), p.at(1))
}

func (p pulse) at(quantile float64) time.Duration {
	if len(p) == 0 {
		return 0
	}
	return p[int(quantile*float64(len(p)-1))].Round(10 * time.Microsecond)
}

// feel has one session of the crowd after the other make a round trip, over and over
// until the whole crowd has made one and enough is closed. It fails the test, from
// any goroutine, if one of them does not.
func feel(ctx context.Context, t *testing.T, crowd []*member, enough <-chan struct{}) pulse {
	t.Helper()
	const fingers = 8
	var mu sync.Mutex
	var felt pulse
	var feeling errgroup.Group
	for part := range slices.Chunk(crowd, (len(crowd)+fingers-1)/fingers) {
		feeling.Go(func() error {
			for {
				for i, m := range part {
					took, err := m.ping(ctx)
					if err != nil {
						return fmt.Errorf("session %d: %w", i, err)
					}
					mu.Lock()
					felt = append(felt, took)
					mu.Unlock()
				}
				select {
				case <-enough:
					return nil
				default:
				}
			}
		})
	}
	if err := feeling.Wait(); err != nil {
		t.Errorf("a session that nothing ended makes no round trip: %v", err)
	}
	slices.Sort(felt)
	return felt
}

// once is enough from the start.
var once = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// awaitEnds waits until every member has ended and returns when each did, since a
// moment, in order.
func awaitEnds(ctx context.Context, t *testing.T, since time.Time, crowd ...*member) []time.Duration {
	t.Helper()
	fell := make([]time.Duration, 0, len(crowd))
	for i, m := range crowd {
		select {
		case <-m.over:
		case <-ctx.Done():
			t.Fatalf("%d of %d sessions have ended, one does not", i, len(crowd))
		}
		fell = append(fell, m.ended.Sub(since))
	}
	slices.Sort(fell)
	return fell
}

// inUse waits for a generation to count and returns when it did.
func (s *fixture) inUse(ctx context.Context, t *testing.T, generation int) time.Time {
	t.Helper()
	r := must(s.WaitRecord(ctx, "new trust files", func(r stack.Record) bool {
		return r.Has("msg", "trust files in use") && r.Has("generation", strconv.Itoa(generation))
	}))(t)
	return must(time.Parse(time.RFC3339Nano, fmt.Sprint(r["time"])))(t)
}

// TestOnlyThoseConcernedFall holds a crowd of live sessions. One certificate of it is
// revoked, and its session ends; then the CA of half of them is removed, and those
// end, paced. The rest goes on without noticing. It runs alone, as it measures.
func TestOnlyThoseConcernedFall(t *testing.T) {
	n := crowdSize
	if sessions := os.Getenv("E2E_SESSIONS"); sessions != "" {
		n = must(strconv.Atoi(sessions))(t)
	}
	fake := startFakeBroker(t)
	s, acquired := prepareFixture(t), certtest.NewCA("acquired company")
	s.pki.Trust(acquired)
	s.rewrite(t)
	s.startBefore(t, fake.Addr)
	ctx := within(t, 4*time.Minute)
	crowd := crowdOf(ctx, t, s, n, s.pki.Root, acquired)
	atRest := feel(ctx, t, crowd, once)
	t.Logf("%d sessions, at rest: %v", n, atRest)

	first, rest := crowd[0], crowd[1:]
	s.revoke(t, first.device.Leaf)
	counts := s.inUse(ctx, t, 2)
	took := awaitEnds(ctx, t, counts, first)[0]
	t.Logf("one is revoked: it fell after %v", took)
	if took > stepTime {
		t.Errorf("the revoked session fell %v after the revocation counted", took)
	}
	feel(ctx, t, rest, once)

	stay, leave := byCA(rest, s.pki.Root), byCA(rest, acquired)
	ended := make(chan struct{})
	var felt pulse
	var feeling sync.WaitGroup
	feeling.Go(func() { felt = feel(ctx, t, stay, ended) })
	s.pki.Distrust(acquired)
	s.rewrite(t)
	counts = s.inUse(ctx, t, 3)
	times := awaitEnds(ctx, t, counts, leave...)
	close(ended)
	feeling.Wait()
	t.Logf("a CA is removed: %d fell over %v\n%s", len(leave), times[len(times)-1], histogram(times, 100*time.Millisecond))
	t.Logf("the other %d meanwhile: %v", len(stay), felt)
	if least := time.Second * time.Duration(len(leave)-endingsAtOnce-1) / endingsPerSecond; times[len(times)-1] < least {
		t.Errorf("the last of %d sessions fell after %v, want them paced over at least %v", len(leave), times[len(times)-1], least)
	}
	if p99, most := felt.at(0.99), max(time.Second, 20*atRest.at(0.99)); p99 > most {
		t.Errorf("the p99 of a round trip was %v while others fell, and %v at rest", p99, atRest.at(0.99))
	}
	s.checkEndedSessions(t, 1+len(leave), len(stay))
}

// byCA returns the members whose certificate a CA has signed.
func byCA(crowd []*member, ca *certtest.CA) []*member {
	return slices.DeleteFunc(slices.Clone(crowd), func(m *member) bool {
		return m.device.Leaf.CheckSignatureFrom(ca.Cert) != nil
	})
}

// checkEndedSessions expects as many sessions to have been ended, and as many to be left,
// as the metrics and the log tell.
func (s *fixture) checkEndedSessions(t *testing.T, ended, left int) {
	t.Helper()
	var metrics stack.Metrics
	eventually(t, stepTime, "all endings are counted", func() bool {
		metrics = must(s.Metrics(within(t, stepTime)))(t)
		return metrics.Sum("vernegate_connections_ended_total", `reason="cert_revoked"`) >= float64(ended)
	})
	if n := metrics.Sum("vernegate_connections_ended_total"); n != float64(ended) {
		t.Errorf("%v connections have ended, want the %d that were to end", n, ended)
	}
	if n := metrics.Sum("vernegate_sessions"); n != float64(left) {
		t.Errorf("%v sessions live on, want %d", n, left)
	}
	s.checkCounts(t, "cert_revoked")
}

// histogram draws how many of the times lie in each step.
func histogram(times []time.Duration, step time.Duration) string {
	bars := make([]int, max(0, times[len(times)-1]/step)+1)
	for _, d := range times {
		bars[max(0, d/step)]++
	}
	var b strings.Builder
	for i, n := range bars {
		fmt.Fprintf(&b, "%8v %4d %s\n", time.Duration(i)*step, n, strings.Repeat("#", 60*n/slices.Max(bars)))
	}
	return b.String()
}
