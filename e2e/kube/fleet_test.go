// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build kube

package kube_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// A fleet is devices that publish with QoS 1 all the time, and the bridge that reads what
// they say in a persistent session. All of them come back when their connection ends, and
// devices then say again what was not acknowledged.
type fleet struct {
	installation *installation

	devices   []device
	sea       context.Context // ends when devices are to stop
	anchor    context.CancelFunc
	dismiss   context.CancelFunc // ends the bridge, too
	sailing   sync.WaitGroup     // the devices
	listening sync.WaitGroup     // the bridge

	mu             sync.Mutex
	acked          map[string]bool // what devices were told has arrived
	heard          map[string]bool // what the bridge got
	disconnections []disconnection
	fresh          map[string]int // by owner: acknowledged since the last await
	wrong          error          // the first thing that nobody should see
}

// A disconnection is the end of a connection that its client did not bring about.
type disconnection struct {
	at   time.Time
	back time.Duration // until it was connected again
}

const (
	publishEvery = 100 * time.Millisecond
	patience     = 15 * time.Second // of a device, for one answer
	retryMost    = 500 * time.Millisecond
)

// A device is one that publishes below its owner's name.
type device struct {
	owner   string
	cert    *certtest.Cert
	version stack.Version
}

// issueDevices issues certificates for n devices, of 3.1.1 and 5.0 by turns.
func (s *installation) issueDevices(name string, n int) (devices []device) {
	for i := range n {
		owner := fmt.Sprintf("acme:%s-%d", name, i)
		devices = append(devices, device{owner, s.issue(s.pki.Root, owner), []stack.Version{stack.V311, stack.V5}[i%2]})
	}
	return devices
}

// launch has devices connect and publish until the fleet is settled. It returns when each
// of them is heard.
func (s *installation) launch(t *testing.T, reader *certtest.Cert, devices []device) *fleet {
	t.Helper()
	f := &fleet{installation: s, acked: make(map[string]bool), heard: make(map[string]bool), fresh: make(map[string]int)}
	ctx, dismiss := context.WithCancel(t.Context())
	sea, anchor := context.WithCancel(ctx)
	f.sea, f.anchor, f.dismiss = sea, anchor, dismiss
	t.Cleanup(func() { // of a test that has failed before it settled
		dismiss()
		f.sailing.Wait()
		f.listening.Wait()
	})
	subscribed := make(chan struct{})
	f.listening.Go(func() { f.read(ctx, reader, subscribed) })
	select {
	case <-subscribed:
	case <-within(t, stepTime).Done():
		t.Fatal("the bridge does not get to the broker")
	}
	f.join(t, devices)
	return f
}

// join has more devices join a fleet.
func (f *fleet) join(t *testing.T, devices []device) {
	t.Helper()
	f.devices = append(f.devices, devices...)
	for _, d := range devices {
		f.sailing.Go(func() { f.sail(d) })
	}
	f.await(t)
}

// sail is the life of a device.
func (f *fleet) sail(d device) {
	var fell time.Time // zero = not yet
	for said := 0; ; fell = time.Now() {
		// Its username is another's: the broker allows it its topic all the same, if
		// vernegate has made its owner the username.
		c := f.board(f.sea, d.cert, stack.Options{Version: d.version, ClientID: d.owner, Username: "somebody:else"})
		if c == nil {
			return
		}
		if !fell.IsZero() {
			f.noteDisconnection(disconnection{at: fell, back: time.Since(fell)})
		}
		said = f.voyage(c, d.owner, said)
		if f.sea.Err() != nil {
			c.Disconnect()
			return
		}
		c.Cut()
	}
}

// voyage publishes until the connection ends, or the sea does, and returns how many
// messages have been acknowledged, with those before.
func (f *fleet) voyage(c *stack.Client, owner string, said int) int {
	tick := time.NewTicker(publishEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.Dropped():
			return said
		case <-f.sea.Done():
			return said
		}
		payload := fmt.Sprintf("%d of %s", said, owner)
		if !publish(c, stack.Message{Topic: owner + "/attrs", Payload: payload, QoS: 1}) {
			return said
		}
		f.note(owner, payload)
		said++
	}
}

// publish is true when the broker has acknowledged. It ends early when the connection does.
func publish(c *stack.Client, m stack.Message) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	acked := make(chan error, 1)
	go func() { acked <- c.Publish(ctx, m) }()
	select {
	case err := <-acked:
		return err == nil
	case <-c.Dropped():
		cancel()
		return <-acked == nil
	}
}

// board connects, again and again; nil when ctx ends first.
func (f *fleet) board(ctx context.Context, cert *certtest.Cert, o stack.Options) *stack.Client {
	for {
		attempt, cancel := context.WithTimeout(ctx, patience)
		c, err := stack.Connect(attempt, f.installation.through(cert), o)
		cancel()
		if err == nil {
			return c
		}
		select {
		case <-time.After(rand.N(retryMost)):
		case <-ctx.Done():
			return nil
		}
	}
}

// noteDisconnection writes down a disconnection.
func (f *fleet) noteDisconnection(fell disconnection) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.disconnections = append(f.disconnections, fell)
}

// note writes down what was acknowledged.
func (f *fleet) note(owner, payload string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acked[payload] = true
	f.fresh[owner]++
}

// read is the life of the bridge. What a connection of it has acknowledged may still be
// on its way to us when the next one is there: so each is read until the end.
func (f *fleet) read(ctx context.Context, cert *certtest.Cert, subscribed chan<- struct{}) {
	o := stack.Options{Version: stack.V5, ClientID: unique(), Username: bridge, Persistent: true}
	for first := true; ; first = false {
		c := f.board(ctx, cert, o)
		if c == nil {
			return
		}
		f.listening.Go(func() { f.listen(ctx, c) })
		if first {
			if _, err := c.Subscribe(ctx, "+/attrs", 1); err != nil {
				f.blame(err)
				return
			}
			close(subscribed)
		} else if !c.SessionPresent {
			f.blame(errors.New("the bridge has come back and its session is gone"))
		}
		select {
		case <-c.Dropped():
			c.Cut()
		case <-ctx.Done():
			c.Disconnect()
			return
		}
	}
}

// listen writes down what the bridge hears on one connection.
func (f *fleet) listen(ctx context.Context, c *stack.Client) {
	for {
		m, err := c.Receive(ctx)
		if err != nil {
			return
		}
		f.mu.Lock()
		f.heard[m.Payload] = true
		f.mu.Unlock()
	}
}

func (f *fleet) blame(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wrong == nil {
		f.wrong = err
	}
}

// await waits until every device has had some messages acknowledged from now on.
func (f *fleet) await(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	clear(f.fresh)
	f.mu.Unlock()
	eventually(t, stepTime, "every device publishes", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return !slices.ContainsFunc(f.devices, func(d device) bool { return f.fresh[d.owner] < 3 })
	})
}

// settle has the devices publish no more, waits until the bridge has heard what was
// acknowledged, and fails the test if something is lost.
func (f *fleet) settle(t *testing.T) {
	t.Helper()
	f.anchor()
	f.sailing.Wait()
	lost := f.lost()
	for deadline := time.Now().Add(time.Minute); len(lost) > 0 && time.Now().Before(deadline); lost = f.lost() {
		time.Sleep(100 * time.Millisecond)
	}
	f.dismiss()
	f.listening.Wait()
	if len(lost) > 0 {
		t.Errorf("%d of %d acknowledged messages are lost, such as %q", len(lost), len(f.acked), lost[0])
	}
	if f.wrong != nil {
		t.Error(f.wrong)
	}
	t.Logf("%d messages acknowledged, all of them heard but %d; %d disconnections", len(f.acked), len(lost), len(f.disconnections))
}

// lost is what was acknowledged and not heard.
func (f *fleet) lost() (payloads []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for payload := range f.acked {
		if !f.heard[payload] {
			payloads = append(payloads, payload)
		}
	}
	return payloads
}

// disconnectionsSince are the disconnections of devices since a moment, in order.
func (f *fleet) disconnectionsSince(moment time.Time) []disconnection {
	f.mu.Lock()
	defer f.mu.Unlock()
	disconnections := slices.DeleteFunc(slices.Clone(f.disconnections), func(f disconnection) bool { return f.at.Before(moment) })
	slices.SortFunc(disconnections, func(a, b disconnection) int { return a.at.Compare(b.at) })
	return disconnections
}

// checkPaced expects disconnections to be spread: of all of them, no more than most within any second.
func checkPaced(t *testing.T, disconnections []disconnection, most int) {
	t.Helper()
	densest, second := 0, 0
	for i, f := range disconnections {
		n := 0
		for _, later := range disconnections[i:] {
			if later.at.Sub(f.at) <= time.Second {
				n++
			}
		}
		if n > densest {
			densest, second = n, i
		}
	}
	var longest time.Duration
	for _, f := range disconnections {
		longest = max(longest, f.back)
	}
	t.Logf("%d disconnections within %v, %d of them within a second; the longest absence took %v",
		len(disconnections), disconnections[len(disconnections)-1].at.Sub(disconnections[0].at), densest, longest)
	if densest > most {
		t.Errorf("%d of %d sessions ended within the second from %v on, want at most %d", densest, len(disconnections), disconnections[second].at, most)
	}
}
