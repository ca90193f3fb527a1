// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
)

const (
	v2k = "v2k-bridge"
	k2v = "k2v-bridge"
)

// patchedMayPublish is the rule of dojot's ACL plugin for PUBLISH: the first two
// levels count, and a bridge is whoever has its name within its own.
func patchedMayPublish(user, topic string) bool {
	levels := strings.Split(topic, "/")
	switch {
	case len(levels) < 2:
		return false
	case strings.Contains(user, k2v):
		return levels[1] == "config"
	}
	return levels[0] == user && levels[1] == "attrs"
}

// patchedMaySubscribe is its rule for SUBSCRIBE: the first filter decides for all.
func patchedMaySubscribe(user string, filters ...string) bool {
	levels := strings.Split(filters[0], "/")
	return strings.Contains(user, v2k) || len(levels) > 1 && levels[0] == user && levels[1] == "config"
}

// A ruled is a vernegate before a broker that enforces the converted ACL file, with
// clients of the broker that see and send what the file lets the bridges.
type ruled struct {
	*patchedFixture
	broker       string
	all, sender  *stack.Client // v2k, subscribed to everything, and k2v
	tenant       string        // of this test alone
	lamp, door   string        // two devices
	sentinelsOut int
}

func newRuled(t *testing.T) *ruled {
	t.Helper()
	old := stack.PatchedEnv(stack.PatchedConf("127.0.0.1:8883", "127.0.0.1:9883", "/vernemq/cert"))
	acl := must(os.ReadFile(filepath.Join(convertOld(t, old), "vmq.acl")))(t)
	r := &ruled{broker: ruledBroker(t, string(acl)), tenant: unique()}
	r.lamp, r.door = r.tenant+":lamp", r.tenant+":door"
	r.patchedFixture = newPatchedFixture(t, r.broker, nil)
	r.all, r.sender = r.direct(t, v2k), r.direct(t, k2v)
	if code := must(r.all.Subscribe(within(t, stepTime), "#", 1))(t); code > 1 {
		t.Fatalf("the broker lets %s not subscribe to everything: 0x%02X", v2k, code)
	}
	return r
}

// direct connects a client to the broker itself, as vernegate would.
func (r *ruled) direct(t *testing.T, username string) *stack.Client {
	t.Helper()
	return connect(t, stack.Direct(r.broker), stack.Options{Version: stack.V311, ClientID: unique(), Username: username})
}

// as connects a client whose certificate has that owner through vernegate.
func (r *ruled) as(t *testing.T, owner string) *stack.Client {
	t.Helper()
	return connect(t, r.through(r.device(owner), 0), stack.Options{Version: stack.V311, ClientID: unique(), Username: "somebody else"})
}

// sentinel has k2v publish behind everything before, and returns the topic.
func (r *ruled) sentinel(ctx context.Context, t *testing.T, user string) string {
	t.Helper()
	r.sentinelsOut++
	topic := fmt.Sprintf("%s/config/%s-%d", user, r.tenant, r.sentinelsOut)
	if err := r.sender.Publish(ctx, stack.Message{Topic: topic, QoS: 1}); err != nil {
		t.Fatal(err)
	}
	return topic
}

// hears reports whether c gets payload before the message on the last topic.
func hears(ctx context.Context, t *testing.T, c *stack.Client, payload, last string) bool {
	t.Helper()
	received := false
	for {
		m := must(c.Receive(ctx))(t)
		if m.Topic == last {
			return received
		}
		received = received || m.Payload == payload
	}
}

// aRule is one row: whether somebody may do something with a topic now. The test
// asks the rules of the plugin what it was.
type aRule struct {
	user, topic string
	may         bool
	differs     string // why, where it was otherwise
}

// check holds a row to what was.
func (r aRule) check(t *testing.T, was bool) {
	t.Helper()
	if (was != r.may) != (r.differs != "") {
		t.Errorf("%s, %s: the plugin said %v, the row %v: does that differ because of %q?", r.user, r.topic, was, r.may, r.differs)
	}
}

func TestPublishingAsPatched(t *testing.T) {
	t.Parallel()
	r := newRuled(t)
	ctx := within(t, stepTime)
	for _, row := range []aRule{
		{r.lamp, r.lamp + "/attrs", true, ""},
		{r.lamp, r.lamp + "/attrs/on", true, ""},
		{r.lamp, r.door + "/attrs", false, ""},
		{r.lamp, r.lamp + "/config", false, ""},
		{r.lamp, r.door + "/config", false, ""},
		{r.lamp, r.lamp + "2/attrs", false, ""},
		{r.lamp, r.lamp, false, ""},
		{r.lamp, "attrs", false, ""},
		{r.lamp, r.lamp + "/ATTRS", false, ""},
		{v2k, v2k + "/attrs", true, ""},
		{v2k, r.lamp + "/attrs", false, ""},
		{v2k, r.lamp + "/config", false, ""},
		{k2v, r.lamp + "/config", true, ""},
		{k2v, r.lamp + "/config/on", true, ""},
		{k2v, r.lamp + "/attrs", false, ""},
		{k2v, k2v + "/attrs", true, "a bridge may do what every client may"},
		{"my-" + k2v, r.lamp + "/config", false, "a bridge is who has exactly its name"},
		{"my-" + k2v, "my-" + k2v + "/attrs", true, "a bridge is who has exactly its name"},
	} {
		row.check(t, patchedMayPublish(row.user, row.topic))
		c, payload := r.as(t, row.user), unique()
		published, cancel := context.WithTimeout(ctx, 3*time.Second)
		_ = c.Publish(published, stack.Message{Topic: row.topic, Payload: payload, QoS: 1}) // a broker may close instead of answering
		cancel()
		if got := hears(ctx, t, r.all, payload, r.sentinel(ctx, t, r.lamp)); got != row.may {
			t.Errorf("%s publishes to %s: %v, want %v", row.user, row.topic, got, row.may)
		}
		c.Cut()
	}
}

func TestSubscribingAsPatched(t *testing.T) {
	t.Parallel()
	r := newRuled(t)
	ctx := within(t, stepTime)
	for _, row := range []struct {
		aRule        // topic is the filter
		probe string // a topic that the filter matches
	}{
		{aRule{r.lamp, r.lamp + "/config", true, ""}, r.lamp + "/config"},
		{aRule{r.lamp, r.lamp + "/config/#", true, ""}, r.lamp + "/config/on"},
		{aRule{r.lamp, r.door + "/config", false, ""}, r.door + "/config"},
		{aRule{r.lamp, r.lamp + "/attrs", false, ""}, r.lamp + "/attrs"},
		{aRule{r.lamp, "+/config", false, ""}, r.door + "/config"},
		{aRule{r.lamp, "#", false, ""}, r.door + "/attrs"},
		{aRule{r.lamp, "$share/group/+/attrs", false, ""}, r.door + "/attrs"},
		{aRule{v2k, "+/attrs", true, ""}, r.lamp + "/attrs"},
		{aRule{v2k, "$share/" + r.tenant + "/+/attrs", true, ""}, r.lamp + "/attrs"},
		{aRule{v2k, r.lamp + "/config", true, ""}, r.lamp + "/config"},
		{aRule{k2v, k2v + "/config", true, ""}, k2v + "/config"},
		{aRule{k2v, r.lamp + "/attrs", false, ""}, r.lamp + "/attrs"},
		{aRule{"my-" + v2k, "+/attrs", false, "a bridge is who has exactly its name"}, r.lamp + "/attrs"},
	} {
		row.check(t, patchedMaySubscribe(row.user, row.topic))
		c, payload := r.as(t, row.user), unique()
		for _, filter := range []string{row.topic, row.user + "/config/+"} { // the second is for the sentinel
			if _, err := c.Subscribe(ctx, filter, 1); err != nil && filter != row.topic {
				t.Fatal(err)
			}
		}
		r.publish(ctx, t, row.probe, payload)
		if got := hears(ctx, t, c, payload, r.sentinel(ctx, t, row.user)); got != row.may {
			t.Errorf("%s subscribes to %s: %v, want %v", row.user, row.topic, got, row.may)
		}
		c.Cut()
	}
}

// publish publishes to a topic as whoever may.
func (r *ruled) publish(ctx context.Context, t *testing.T, topic, payload string) {
	t.Helper()
	c := r.sender
	if user, _, isAttrs := strings.Cut(topic, "/attrs"); isAttrs {
		c = r.direct(t, user)
	}
	if err := c.Publish(ctx, stack.Message{Topic: topic, Payload: payload, QoS: 1}); err != nil {
		t.Fatal(err)
	}
}

// TestSecondFilterIsCheckedToo: the plugin looked at the first filter of a SUBSCRIBE,
// and with one's own in front one could read everything. Of a packet like that a
// broker may now grant the first or nothing, and never the second.
func TestSecondFilterIsCheckedToo(t *testing.T) {
	t.Parallel()
	r := newRuled(t)
	own, others := r.lamp+"/config", r.door+"/config"
	if !patchedMaySubscribe(r.lamp, own, others) {
		t.Fatal("the plugin would not have granted it")
	}
	w := dialWire(t, r.through(r.device(r.lamp), 0))
	body := slices.Concat([]byte{0, 1}, append(appendString(nil, own), 0), append(appendString(nil, others), 0))
	if err := w.Send(connectPacket{version: stack.V311, clientID: unique()}.bytes()); err != nil {
		t.Fatal(err)
	}
	must(w.ReadN(4))(t) // CONNACK
	if err := w.Send(packet(0x82, body)); err != nil {
		t.Fatal(err)
	}
	must(w.ReadN(6))(t) // SUBACK
	ctx := within(t, stepTime)
	r.publish(ctx, t, others, "not for you")
	r.publish(ctx, t, own, "for you")
	hears(ctx, t, r.all, "for you", r.sentinel(ctx, t, r.lamp))
	if err := w.Send([]byte{0xC0, 0}); err != nil { // PINGREQ: its answer ends what came
		t.Fatal(err)
	}
	var got []byte
	for !strings.HasSuffix(string(got), "\xD0\x00") {
		got = append(got, must(w.ReadN(1))(t)...)
	}
	if strings.Contains(string(got), "not for you") {
		t.Errorf("it got what is not for it: %q", got)
	}
}
