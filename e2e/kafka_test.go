// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// told is a fixture whose owners are only asked for when they have to be: once an hour, and when something says so.
type told struct {
	*fixture
	kafka *stack.Kafka
}

// newTold starts a Kafka and a vernegate that reads it.
func newTold(t *testing.T, brokers string, env ...string) *told {
	t.Helper()
	kafka := must(stack.StartKafka())(t)
	t.Cleanup(kafka.Down)
	s := &told{newFixture(t, brokers, append([]string{"VERNEGATE_KAFKA_BROKERS", kafka.Addr, "VERNEGATE_ADMIN_TOKEN", adminToken,
		"VERNEGATE_ACL_TTL", "1h", "VERNEGATE_ACL_NEGATIVE_TTL", "1h", "VERNEGATE_SESSION_RECHECK", "1h"}, env...)...), kafka}
	s.awaitKafka(t, 1)
	return s
}

// awaitKafka waits until Kafka is up (1) or away (0).
func (s *told) awaitKafka(t *testing.T, up float64) {
	t.Helper()
	eventually(t, stepTime, fmt.Sprintf("Kafka is up: %v", up), func() bool { return s.sum(t, "vernegate_kafka_up") == up })
}

func (s *fixture) sum(t *testing.T, metric string, labels ...string) float64 {
	t.Helper()
	return must(s.Metrics(within(t, stepTime)))(t).Sum(metric, labels...)
}

// publishes fails the test if Kafka does not take an event.
func publishes(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantEnded wants the session of a 5.0 client to be ended with "not authorized".
func (s *fixture) wantEnded(t *testing.T, w *stack.Wire) {
	t.Helper()
	if got, err := w.ReadToEnd(); err != nil || !bytes.Equal(got, []byte{0xE0, 1, 0x87}) {
		t.Errorf("got % X and %v, want a DISCONNECT and an orderly end", got, err)
	}
	s.ending(t, w.LocalAddr(), "owner_changed")
}

// refused reports whether a device is refused as not authorized.
func (s *fixture) refused(t *testing.T, device *certtest.Cert, version stack.Version) bool {
	t.Helper()
	c, err := stack.Connect(within(t, stepTime), s.through(device, 0), stack.Options{ClientID: unique(), Version: version})
	if err == nil {
		c.Cut()
		return false
	}
	return true
}

// ownerOf is who the live session of a device is.
func (s *fixture) ownerOf(t *testing.T, device *certtest.Cert) string {
	t.Helper()
	var page struct{ Sessions []struct{ Owner string } }
	_, body, err := s.Ask(within(t, stepTime), http.MethodGet, "/sessions?fingerprint="+stack.Fingerprint(device.Leaf), "")
	if err != nil || json.Unmarshal([]byte(body), &page) != nil || len(page.Sessions) != 1 {
		t.Fatalf("got %s and %v, want one session", body, err)
	}
	return page.Sessions[0].Owner
}

// TestDeletedOwnerFallsAtOnce takes a device from its owner. certificate-acl still names it, and is not believed; a device
// that is created again comes in, though certificate-acl does not know it yet.
func TestDeletedOwnerFallsAtOnce(t *testing.T) {
	t.Parallel()
	s := newTold(t, broker)
	device, other := s.device("acme:lamp"), s.live(t, s.device("acme:door"))
	w := s.live(t, device)
	publishes(t, s.kafka.Disown(within(t, stepTime), device.Leaf, "acme", "lamp"))
	began := time.Now()
	s.wantEnded(t, w)
	t.Logf("the session fell within %v of the event", time.Since(began).Round(time.Millisecond))
	for _, version := range []stack.Version{stack.V31, stack.V311, stack.V5} {
		if !s.refused(t, device, version) {
			t.Errorf("a device without an owner came in with %v", version)
		}
	}
	ping(t, other)

	s.acl.Disown(stack.Fingerprint(device.Leaf))
	publishes(t, s.kafka.Own(within(t, stepTime), "create", device.Leaf, "acme", "lamp"))
	eventually(t, stepTime, "it comes in again", func() bool { return !s.refused(t, device, stack.V5) })
	ping(t, other)
	if n := s.sum(t, "vernegate_ownership_events_total", `result="told"`); n != 2 {
		t.Errorf("%v events are counted, want 2", n)
	}
}

// TestTimesOfEventsDecideWhereTheirClockIsAhead has a delete come before the create that it follows, both from a clock that
// is ahead of vernegate's. A create that is late enough counts.
func TestTimesOfEventsDecideWhereTheirClockIsAhead(t *testing.T) {
	t.Parallel()
	const ahead = time.Second
	s := newTold(t, broker)
	device := s.device("acme:lamp")
	w, fp := s.live(t, device), stack.Fingerprint(device.Leaf)
	publish := func(kind string, at time.Time, owners string) {
		t.Helper()
		publishes(t, s.kafka.Publish(within(t, stepTime), "acme", stack.EventAt(at, kind, fp, "acme", owners)))
	}
	deleted := time.Now().Add(ahead)
	publish("delete", deleted, `"previousBelongsTo":{"device":"lamp"}`)
	s.wantEnded(t, w)
	s.acl.Disown(fp)
	publish("create", deleted.Add(-100*time.Millisecond), `"belongsTo":{"device":"lamp"}`)
	eventually(t, stepTime, "both are read", func() bool { return s.sum(t, "vernegate_ownership_events_total") == 2 })
	if !s.refused(t, device, stack.V5) {
		t.Error("the owner that was taken away counts")
	}
	eventually(t, stepTime, "it comes in again", func() bool {
		publish("create", time.Now().Add(ahead), `"belongsTo":{"device":"lamp"}`)
		return !s.refused(t, device, stack.V5)
	})
}

// TestUpdatedOwnerFallsAtOnce gives a device to another owner, before and after certificate-acl has heard of it.
func TestUpdatedOwnerFallsAtOnce(t *testing.T) {
	t.Parallel()
	for name, aclFirst := range map[string]bool{"before certificate-acl": false, "after certificate-acl": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTold(t, broker)
			device := s.device("acme:lamp")
			w := s.live(t, device)
			if aclFirst {
				s.acl.Own(stack.Fingerprint(device.Leaf), "acme:door")
			}
			publishes(t, s.kafka.Own(within(t, stepTime), "update", device.Leaf, "acme", "lamp")) // the same: nothing happens
			publishes(t, s.kafka.Own(within(t, stepTime), "update", device.Leaf, "acme", "door"))
			s.wantEnded(t, w)
			again := s.live(t, device)
			if owner := s.ownerOf(t, device); owner != "acme:door" {
				t.Errorf("it is %q, want acme:door", owner)
			}
			s.acl.Own(stack.Fingerprint(device.Leaf), "acme:door")
			publishes(t, s.kafka.Own(within(t, stepTime), "update", device.Leaf, "acme", "door"))
			var read float64
			defer func() {
				if t.Failed() {
					t.Logf("%v events were read", read)
				}
			}()
			eventually(t, stepTime, "three events are read", func() bool {
				read = s.sum(t, "vernegate_ownership_events_total")
				return read >= 3 // one may be read again
			})
			ping(t, again)
			if n := s.acl.Requests(stack.Fingerprint(device.Leaf)); n != 1 {
				t.Errorf("certificate-acl was asked %d times, want once", n)
			}
		})
	}
}

// TestFirstEventOfANewTenant is the one that its topic appears with.
func TestFirstEventOfANewTenant(t *testing.T) {
	t.Parallel()
	s := newTold(t, broker)
	publishes(t, s.kafka.Publish(within(t, stepTime), "old", []byte("something")))
	eventually(t, stepTime, "one topic is read", func() bool { return s.sum(t, "vernegate_kafka_topics") == 1 })
	device, bridge := s.device("acme:lamp"), s.device("v2k-bridge")
	lamp, service := s.live(t, device), s.live(t, bridge)
	publishes(t, s.kafka.Disown(within(t, stepTime), device.Leaf, "acme", "lamp"))
	s.wantEnded(t, lamp)
	publishes(t, s.kafka.Publish(within(t, stepTime), "", stack.Event("update", stack.Fingerprint(bridge.Leaf), "", `"belongsTo":{"application":"other"}`)))
	s.wantEnded(t, service)
}

// TestWhatIsNoEventEndsNothing sends what is malformed, huge, foreign or without a clear owner.
func TestWhatIsNoEventEndsNothing(t *testing.T) {
	t.Parallel()
	s := newTold(t, broker)
	device := s.device("acme:lamp")
	w, fp := s.live(t, device), stack.Fingerprint(device.Leaf)
	for _, value := range []string{
		"", "null", "{", strings.Repeat("[", 100_000), string(stack.Event("delete", fp[1:], "acme", `"x":1`)),
		string(stack.Event("delete", fp, "acme", `"x":"`+strings.Repeat("x", 200_000)+`"`)),
		strings.Replace(string(stack.Event("delete", fp, "acme", `"x":1`)), "ownership.", "trusted-ca.", 1),
		string(stack.Event("update", fp, "acme", `"belongsTo":{"device":"#"}`)),
		string(stack.Event("update", fp, "", `"belongsTo":{"device":"door"}`)),
	} {
		publishes(t, s.kafka.Publish(within(t, stepTime), "acme", []byte(value)))
	}
	eventually(t, stepTime, "all are read", func() bool { return s.sum(t, "vernegate_ownership_events_total") == 9 })
	if n := s.sum(t, "vernegate_ownership_events_total", `result="told"`); n != 0 {
		t.Errorf("%v of them were believed", n)
	}
	eventually(t, stepTime, "certificate-acl is asked about the unclear ones", func() bool { return s.acl.Requests(fp) >= 2 })
	ping(t, w)
}

// TestMissedEventsAreAskedFor has Kafka go away and forget an event. When it is back, certificate-acl is asked about
// everybody, however rarely it is asked otherwise.
func TestMissedEventsAreAskedFor(t *testing.T) {
	t.Parallel()
	s := newTold(t, broker)
	device := s.device("acme:lamp")
	w, other := s.live(t, device), s.live(t, s.device("acme:door"))
	s.kafka.Down()
	s.awaitKafka(t, 0)
	s.acl.Disown(stack.Fingerprint(device.Leaf))
	ping(t, w)
	if s.refused(t, s.device("acme:window"), stack.V5) {
		t.Error("a device is refused while Kafka is away")
	}
	publishes(t, s.kafka.Up())
	s.awaitKafka(t, 1)
	s.wantEnded(t, w)
	ping(t, other)
	if n := s.sum(t, "vernegate_kafka_gaps_total"); n == 0 {
		t.Error("no gap is counted")
	}
}

// TestStartWithoutKafka starts before Kafka does.
func TestStartWithoutKafka(t *testing.T) {
	t.Parallel()
	kafka := must(stack.StartKafka())(t)
	t.Cleanup(kafka.Down)
	kafka.Down()
	s := &told{newFixture(t, broker, "VERNEGATE_KAFKA_BROKERS", kafka.Addr, "VERNEGATE_SESSION_RECHECK", "1h"), kafka}
	device := s.device("acme:lamp")
	w := s.live(t, device)
	publishes(t, kafka.Up())
	s.awaitKafka(t, 1)
	publishes(t, kafka.Disown(within(t, stepTime), device.Leaf, "acme", "lamp"))
	s.wantEnded(t, w)
}

// TestInvalidateByHand changes owners that certificate-acl alone knows, and says so.
func TestInvalidateByHand(t *testing.T) {
	t.Parallel()
	s := newFixture(t, broker, "VERNEGATE_ADMIN_TOKEN", adminToken, "VERNEGATE_ACL_TTL", "1h", "VERNEGATE_SESSION_RECHECK", "1h")
	order := func(query string) string {
		resp, body, err := s.Ask(within(t, stepTime), http.MethodPost, "/identities/invalidate?"+query, adminToken)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v %s", query, err, body)
		}
		return body
	}
	for _, row := range []struct{ name, query string }{{"fingerprint", ""}, {"owner", "owner=acme:lamp"}, {"all", "all"}} {
		device := s.device("acme:lamp")
		fp := stack.Fingerprint(device.Leaf)
		w, other := s.live(t, device), s.live(t, s.device("acme:door"))
		if row.query == "" {
			row.query = "fingerprint=" + fp
		}
		_, body, err := s.Ask(within(t, stepTime), http.MethodGet, "/identities?fingerprint="+fp, "")
		if err != nil || !strings.Contains(body, `"owner": "acme:lamp"`) || !strings.Contains(body, `"source": "certificate-acl"`) {
			t.Errorf("%s: %v, remembered is %s", row.name, err, body)
		}
		s.acl.Disown(fp)
		if body := order(row.query); !strings.Contains(body, `"sessions"`) {
			t.Errorf("%s: got %s", row.name, body)
		}
		s.wantEnded(t, w)
		ping(t, other)
	}
}

// TestManyEventsBesideLiveTraffic publishes 10 000 events a second, of certificates that have no session, beside sessions
// that make round trips. The figures are told, and not judged: they are those of a machine that does other things, too.
func TestManyEventsBesideLiveTraffic(t *testing.T) {
	const rate, seconds, sessions = 10_000, 3, 200
	fake := startFakeBroker(t)
	s := newTold(t, fake.Addr)
	ctx := within(t, 4*time.Minute)
	crowd := crowdOf(ctx, t, s.fixture, sessions, s.pki.Root)
	beside := func(topic string) (felt pulse, cpu float64) {
		enough := make(chan struct{})
		before := s.sum(t, "process_cpu_seconds_total")
		go func() {
			defer close(enough)
			s.flood(ctx, topic, rate, seconds)
		}()
		felt = feel(ctx, t, crowd, enough)
		return felt, s.sum(t, "process_cpu_seconds_total") - before
	}
	unread, idle := beside("unread") // the work of Kafka and of who publishes, which are in this process
	busy, cpu := beside(stack.TopicOf("acme"))
	eventually(t, 2*time.Minute, "all events are read", func() bool {
		// Told, or asked about, where a busy machine has let them become old.
		return s.sum(t, "vernegate_ownership_events_total") >= rate*seconds
	})
	t.Logf("%d events a second that vernegate does not read: %v; it used %.2f s of CPU in %d s", rate, unread, idle, seconds)
	t.Logf("%d events a second that it reads: %v; it used %.2f s of CPU", rate, busy, cpu)
	if ended := s.sum(t, "vernegate_connections_ended_total"); ended != 0 {
		t.Errorf("%v sessions have ended", ended)
	}
}

// flood publishes events in a topic at a rate.
func (s *told) flood(ctx context.Context, topic string, rate, seconds int) {
	pem := strings.Repeat("MIIDszCCApugAwIBAgIUEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLE", 20)
	ticks := time.NewTicker(10 * time.Millisecond)
	defer ticks.Stop()
	for n := 0; n < rate*seconds; {
		<-ticks.C
		for range rate / 100 {
			fp := strings.TrimSuffix(strings.Repeat(fmt.Sprintf("%02X:%02X:", n>>8&0xff, n&0xff), 15), ":") + fmt.Sprintf(":%02X:01", n>>16&0xff) // none of zeros alone, which is no certificate's
			s.kafka.Flood(ctx, topic, stack.Event("create", fp, "acme", `"certificatePem":"`+pem+`","belongsTo":{"device":"d"}`))
			n++
		}
	}
	_ = s.kafka.Flush(ctx)
}
