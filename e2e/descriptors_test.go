// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/e2e/stack"
)

// fewDescriptors lets a process open 152 files. vernegate keeps 128 for itself, and one for each of two processors: 22 are for
// connections.
var fewDescriptors = []string{"sh", "-c", `export GOMAXPROCS=2; ulimit -n 152; exec "$@"`, "sh"}

// TestUsedUpDescriptorsAreSeen has as many sessions come one after the other as there are descriptors for.
func TestUsedUpDescriptorsAreSeen(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := prepareFixture(t)
	s.Vernegate = must(stack.StartVernegate(within(t, stepTime), program, s.env(fake.Addr), fewDescriptors...))(t)
	t.Cleanup(func() { endWell(t, s.Vernegate) })
	device := s.device("acme:lamp")
	usedUp := func(r stack.Record) bool {
		return r.Has("msg", "file descriptors are used up, new connections wait until others end")
	}

	var inside []*stack.Client
	for len(s.Records(usedUp)) == 0 {
		if len(inside) > 22 {
			t.Fatalf("%d sessions with 22 descriptors", len(inside))
		}
		waiting := make(chan *stack.Client, 1)
		go func() {
			c, err := stack.Connect(t.Context(), s.through(device, 0), stack.Options{Version: stack.V5, ClientID: unique()})
			if err != nil {
				return // the test has ended
			}
			context.AfterFunc(t.Context(), c.Cut)
			waiting <- c
		}()
		eventually(t, stepTime, "another session, or none to be let in", func() bool {
			select {
			case c := <-waiting:
				inside = append(inside, c)
				return true
			default:
				return len(s.Records(usedUp)) > 0
			}
		})
	}
	metrics := must(s.Metrics(within(t, stepTime)))(t)
	if used, limit := metrics.Sum("vernegate_descriptors_used"), metrics.Sum("vernegate_descriptors_limit"); limit != 22 || used < limit {
		t.Errorf("the metrics have %v of %v descriptors used, want all of 22", used, limit)
	}
	resp := must(http.Get("http://" + s.Admin + "/"))(t)
	page := must(io.ReadAll(resp.Body))(t)
	_ = resp.Body.Close()
	if !strings.Contains(string(page), "File descriptors are used up") {
		t.Error("the status page does not say that file descriptors are used up")
	}
	for _, c := range inside {
		c.Disconnect()
	}
	must(s.WaitRecord(within(t, stepTime), "free descriptors", func(r stack.Record) bool { return r.Has("msg", "file descriptors are free again") }))(t)
	if n := len(s.Records(usedUp)); n != 1 {
		t.Errorf("%d lines say that descriptors are used up, want 1", n)
	}
}
