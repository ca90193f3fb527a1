// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/e2e/stack"
)

// TestDevicesAreSentElsewhereWithoutABroker has a broker that is not there for the 30 s that /readyz is patient, and then comes:
// a probe of it is enough.
func TestDevicesAreSentElsewhereWithoutABroker(t *testing.T) {
	t.Parallel()
	addr := must(stack.FreeAddr())(t)
	s := newFixture(t, addr, "VERNEGATE_READY_NEEDS_BROKER", "on") // returns when it is ready, at first
	answer := func() (status int, text string) {
		t.Helper()
		resp, text, err := s.Ask(within(t, stepTime), http.MethodGet, "/readyz", "")
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, text
	}
	eventually(t, stepTime, "readiness goes, as no broker is up", func() bool {
		status, text := answer()
		return status == http.StatusServiceUnavailable && strings.HasPrefix(text, "no broker has been up for ")
	})
	l := must(net.Listen("tcp", addr))(t)
	defer l.Close()
	eventually(t, stepTime, "readiness comes back with the broker", func() bool {
		status, _ := answer()
		return status == http.StatusOK
	})
}
