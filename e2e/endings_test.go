// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"net"
	"testing"

	"github.com/vernegate/vernegate/e2e/stack"
)

// ending waits for the summary line of the connection that came from addr and ended for
// that reason. An earlier connection may have had the same port and another reason.
func (s *fixture) ending(t *testing.T, addr net.Addr, slug string) stack.Record {
	t.Helper()
	from := func(r stack.Record) bool { return r.Has("remote", addr.String()) && r["reason"] != nil }
	r, err := s.WaitRecord(within(t, stepTime), slug+" of "+addr.String(), func(r stack.Record) bool {
		return from(r) && r.Has("reason", slug)
	})
	if err != nil {
		t.Fatalf("%v; these ended: %v", err, s.Records(from))
	}
	return r
}

// checkCounts compares, for each of the slugs, the metric with the summary lines:
// every ending is in both.
func (s *fixture) checkCounts(t *testing.T, slugs ...string) {
	t.Helper()
	metrics := must(s.Metrics(within(t, stepTime)))(t)
	for _, slug := range slugs {
		counted := metrics.Sum("vernegate_connections_ended_total", `reason="`+slug+`"`)
		logged := len(s.Records(func(r stack.Record) bool { return r.Has("reason", slug) }))
		if logged == 0 || counted != float64(logged) {
			t.Errorf("reason %s: counted %v times, logged %d times, want the same and more than none", slug, counted, logged)
		}
	}
}
