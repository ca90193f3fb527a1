// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
)

var versions = []stack.Version{stack.V311, stack.V5}

// start runs a broker with the rules, for one test.
func start(t *testing.T, rules string) (addr string) {
	t.Helper()
	addr, _ = startWith(t, rules, t.TempDir())
	return addr
}

// startWith is start with a folder for data; stop ends the broker before the test does.
func startWith(t *testing.T, rules, data string) (addr string, stop func()) {
	t.Helper()
	dir := t.TempDir()
	addr, err := stack.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	acl := filepath.Join(dir, "vmq.acl")
	conf := filepath.Join(dir, "vernemq.conf")
	text := fmt.Sprintf("# by a test\nlistener.tcp.vernegate = %s\nlistener.tcp.vernegate.proxy_protocol = off\n"+
		"plugins.vmq_acl = on\nvmq_acl.acl_file = %s\n", addr, acl)
	for path, content := range map[string]string{acl: rules, conf: text} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, conf, data, slog.New(slog.DiscardHandler)) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return addr, stop
}

// connect connects a client, again and again until the broker listens.
func connect(t *testing.T, addr string, o stack.Options) *stack.Client {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := stack.Connect(within(t), stack.Direct(addr), o)
		if err == nil {
			t.Cleanup(c.Cut)
			return c
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

const (
	open   = "topic #\n"
	strict = "pattern write %u/attrs\npattern read %u/config\nuser bridge\ntopic read +/attrs\n"
)

// TestNothingIsLostWhileASessionMoves takes the subscriber's session over again and
// again, while one publishes: all that is acknowledged arrives at one of its connections.
func TestNothingIsLostWhileASessionMoves(t *testing.T) {
	t.Parallel()
	const messages, moves = 2000, 15
	for _, v := range versions {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			ctx := within(t)
			addr := start(t, open)
			publisher := connect(t, addr, stack.Options{Version: v, ClientID: "publisher"})
			arrivals := make(chan string)
			var publishing sync.WaitGroup
			for move := range moves {
				subscriber := connect(t, addr, stack.Options{Version: v, ClientID: "subscriber", Persistent: true})
				if subscriber.SessionPresent != (move > 0) {
					t.Fatalf("after %d moves, session present is %v", move, subscriber.SessionPresent)
				}
				if code, err := subscriber.Subscribe(ctx, "t/+", 1); err != nil || code != 1 {
					t.Fatalf("subscribing: %d, %v", code, err)
				}
				go forward(ctx, subscriber, arrivals)
				publishing.Go(func() { publishSome(ctx, t, publisher, move*messages/moves, (move+1)*messages/moves) })
			}
			got := map[string]bool{}
			for len(got) < messages {
				select {
				case payload := <-arrivals:
					got[payload] = true
				case <-ctx.Done():
					t.Fatalf("%d of %d messages came", len(got), messages)
				}
			}
			publishing.Wait()
		})
	}
}

// forward hands on what a client receives, until ctx ends.
func forward(ctx context.Context, c *stack.Client, to chan<- string) {
	for {
		m, err := c.Receive(ctx)
		if err != nil {
			return
		}
		select {
		case to <- m.Payload:
		case <-ctx.Done():
		}
	}
}

// publishSome publishes numbers.
func publishSome(ctx context.Context, t *testing.T, c *stack.Client, from, to int) {
	for i := from; i < to; i++ {
		if err := c.Publish(ctx, stack.Message{Topic: "t/x", Payload: fmt.Sprint(i), QoS: 1}); err != nil {
			t.Errorf("publishing %d: %v", i, err)
			return
		}
	}
}

func TestSessionsOutliveTheBroker(t *testing.T) {
	t.Parallel()
	for _, v := range versions {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			data := t.TempDir()
			o := stack.Options{Version: v, ClientID: "subscriber", Persistent: true}
			addr, stop := startWith(t, open, data)
			subscriber := connect(t, addr, o)
			if code, err := subscriber.Subscribe(within(t), "t/+", 1); err != nil || code != 1 {
				t.Fatalf("subscribing: %d, %v", code, err)
			}
			subscriber.Cut()
			publisher := connect(t, addr, stack.Options{Version: v, ClientID: "publisher"})
			if err := publisher.Publish(within(t), stack.Message{Topic: "t/x", Payload: "before", QoS: 1}); err != nil {
				t.Fatal(err)
			}
			stop()

			addr, _ = startWith(t, open, data)
			subscriber = connect(t, addr, o)
			if m, err := subscriber.Receive(within(t)); err != nil || m.Payload != "before" || !subscriber.SessionPresent {
				t.Errorf("got %+v, %v, session present: %v", m, err, subscriber.SessionPresent)
			}
			if publisher := connect(t, addr, stack.Options{Version: v, ClientID: "publisher", Persistent: true}); publisher.SessionPresent {
				t.Error("a session that was to end with its connection has outlived the broker")
			}
		})
	}
}

func TestRulesAreEnforced(t *testing.T) {
	t.Parallel()
	for _, v := range versions {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			addr := start(t, strict)
			bridge := connect(t, addr, stack.Options{Version: v, ClientID: "b", Username: "bridge"})
			if code, err := bridge.Subscribe(within(t), "+/attrs", 1); err != nil || code != 1 {
				t.Fatalf("the bridge subscribes: %d, %v", code, err)
			}
			lamp := connect(t, addr, stack.Options{Version: v, ClientID: "l", Username: "lamp"})
			if code, _ := lamp.Subscribe(within(t), "+/attrs", 1); code != 0x80 {
				t.Errorf("the device subscribes to everything: %d", code)
			}
			if err := lamp.Publish(within(t), stack.Message{Topic: "lamp/attrs", Payload: "on", QoS: 1}); err != nil {
				t.Fatal(err)
			}
			if m, err := bridge.Receive(within(t)); err != nil || m.Topic != "lamp/attrs" {
				t.Errorf("the bridge got %+v, %v", m, err)
			}
			if err := lamp.Publish(within(t), stack.Message{Topic: "door/attrs", Payload: "on", QoS: 1}); err == nil {
				t.Error("the device publishes for another")
			}
		})
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		filter, topic string
		want          bool
	}{
		{"#", "a/b", true},
		{"a/#", "a", true},
		{"a/#", "a/b/c", true},
		{"a/+", "a/b", true},
		{"a/+", "a", false},
		{"a/+", "a/b/c", false},
		{"+/b", "a/b", true},
		{"a", "b", false},
	} {
		if got := matches(row.filter, row.topic); got != row.want {
			t.Errorf("%q matches %q: %v, want %v", row.filter, row.topic, got, row.want)
		}
	}
}
