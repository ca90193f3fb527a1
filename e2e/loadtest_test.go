// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vernegate/vernegate/e2e/stack"
)

// window is how many messages of one device are under way at a time.
const window = 8

// A loadTest has devices publish through vernegate as fast as their messages are
// answered. A hub, connected to the broker directly, answers each message with its payload.
type loadTest struct {
	name    string // begins client ids and topics
	hub     *qos1Client
	devices []*qos1Client

	hubs, running errgroup.Group
	stopHub       context.CancelFunc
	stop          chan struct{} // closed: devices publish no more
}

// newLoadTest starts a hub and n devices, of 3.1.1 and 5.0 by turns, that go through
// the fixtures one after the other.
func newLoadTest(ctx context.Context, t *testing.T, n int, fixtures ...*fixture) *loadTest {
	t.Helper()
	c := &loadTest{name: unique(), stop: make(chan struct{})}
	subscribed := make(chan struct{})
	c.hub = &qos1Client{
		version: stack.V311,
		id:      c.name + "-hub",
		ways:    []stack.Dial{stack.Direct(broker)},
		filter:  c.name + "/attrs/+",
		begin:   func(*qos1Client) { close(subscribed) },
		react: func(hub *qos1Client, p publishing) {
			hub.publish(strings.Replace(p.topic, "/attrs/", "/config/", 1), p.payload)
		},
	}
	hubCtx, dismiss := context.WithCancel(ctx)
	c.stopHub = dismiss
	c.hubs.Go(func() error { return c.hub.run(hubCtx) })
	select {
	case <-subscribed:
	case <-ctx.Done():
		t.Fatal("the hub cannot connect to the broker")
	}
	for i := range n {
		device := c.newDevice(i, fixtures)
		c.devices = append(c.devices, device)
		c.running.Go(func() error { return device.run(ctx) })
	}
	return c
}

// newDevice makes the i-th device. It keeps the window full until the loadTest stops,
// and is done when it has an answer to each of its messages.
func (c *loadTest) newDevice(i int, fixtures []*fixture) *qos1Client {
	versions := []stack.Version{stack.V311, stack.V5}
	cert := fixtures[0].device(fmt.Sprintf("acme:%d", i))
	device := &qos1Client{
		version: versions[i%len(versions)],
		id:      fmt.Sprintf("%s-%d", c.name, i),
		filter:  fmt.Sprintf("%s/config/%d", c.name, i),
	}
	for _, s := range fixtures {
		device.ways = append(device.ways, s.through(cert, 0))
	}
	unanswered := make(map[string]bool)
	publish := func(device *qos1Client) {
		n := len(device.published)
		payload := fmt.Sprintf("%d of %s: %s", n, device.id, strings.Repeat("~", n*37%3000))
		unanswered[payload] = true
		device.publish(fmt.Sprintf("%s/attrs/%d", c.name, i), payload)
	}
	device.begin = func(device *qos1Client) {
		for range window {
			publish(device)
		}
	}
	device.react = func(device *qos1Client, p publishing) {
		fresh := unanswered[p.payload]
		delete(unanswered, p.payload)
		select {
		case <-c.stop:
		default:
			if fresh {
				publish(device)
			}
		}
	}
	device.done = func(device *qos1Client) bool { return len(unanswered) == 0 && len(device.unacked) == 0 }
	return device
}

// await waits until every device has received n more answers.
func (c *loadTest) await(t *testing.T, n int64) {
	t.Helper()
	least := make(map[*qos1Client]int64)
	for _, device := range c.devices {
		least[device] = device.progress.Load() + n
	}
	eventually(t, stepTime, "every device hears answers", func() bool {
		maps.DeleteFunc(least, func(device *qos1Client, n int64) bool { return device.progress.Load() >= n })
		return len(least) == 0
	})
}

// finish has every device publish no more and waits until each has all of its answers.
func (c *loadTest) finish(t *testing.T) {
	t.Helper()
	close(c.stop)
	if err := c.running.Wait(); err != nil {
		t.Errorf("a message is lost: %v", err)
	}
	c.stopHub()
	if err := c.hubs.Wait(); err != nil {
		t.Error(err)
	}
	if len(c.hub.disconnections) > 1 { // the last one is stopHub
		t.Error("the hub has lost its connection, which is not what this is about")
	}
}

// checkDelivery compares what was acknowledged on one side with what came on the
// other: to a device, PUBACK means that the hub gets its message, and to the hub, that
// the device does. What comes twice may only be what was under way at a disconnection.
func (c *loadTest) checkDelivery(t *testing.T) {
	t.Helper()
	var up, down, upAgain, downAgain int
	for _, device := range c.devices {
		again := 0
		for payload := range device.acked {
			up++
			if c.hub.received[payload] == 0 {
				t.Errorf("%s: the broker acknowledged a message that the hub never got: %.40q", device.id, payload)
			}
		}
		for payload, times := range device.received {
			down++
			again += times - c.hub.published[payload]
			if device.published[payload] == 0 {
				t.Errorf("%s: received what nobody has published: %.40q", device.id, payload)
			}
		}
		for payload, times := range device.published {
			upAgain += c.hub.received[payload] - times
			if c.hub.acked[payload] > 0 && device.received[payload] == 0 {
				t.Errorf("%s: the broker acknowledged an answer that never came: %.40q", device.id, payload)
			}
		}
		if most := window * len(device.disconnections); again > most {
			t.Errorf("%s: %d messages came again after they were acknowledged, want at most the %d under way", device.id, again, most)
		}
		downAgain += again
	}
	t.Logf("%d messages up, %d of them twice; %d answers down, %d of them twice", up, upAgain, down, downAgain)
	if up == 0 || down == 0 {
		t.Error("no message was acknowledged: this shows nothing")
	}
}

// checkDisconnections expects every device to have ended once, in an orderly way, and returns
// when each did, since a moment.
func (c *loadTest) checkDisconnections(t *testing.T, since time.Time, disconnect []byte) []time.Duration {
	t.Helper()
	var times []time.Duration
	for _, device := range c.devices {
		if len(device.disconnections) != 1 {
			t.Errorf("%s has ended %d times, want once", device.id, len(device.disconnections))
			continue
		}
		f := device.disconnections[0]
		if !f.orderly(device.version, disconnect) {
			t.Errorf("%s, %v: the last packet is % X and then %v, want % X and an orderly end",
				device.id, device.version, f.last, f.err, disconnect)
		}
		times = append(times, f.at.Sub(since))
	}
	return times
}
