// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/vernegate/vernegate/e2e/stack"
)

// sharing starts another vernegate of the same fixture at the same addresses.
func (s *fixture) sharing(t *testing.T, env ...string) *fixture {
	t.Helper()
	return s.beside(t, append(env, "VERNEGATE_LISTEN", s.Devices, "VERNEGATE_SERVICE_LISTEN", s.Services)...)
}

// accepted is how many connections of devices the metrics count.
func (s *fixture) accepted(t *testing.T) int {
	t.Helper()
	return int(must(s.Metrics(within(t, stepTime)))(t).Sum("vernegate_connections_accepted_total", `listener="devices"`))
}

// TestProcessesShareAnAddress has a device come again and again to an address that two
// processes share, with one TLS session, until one of them stops.
func TestProcessesShareAnAddress(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" && runtime.GOOS != "freebsd" {
		t.Skip("this system does not divide connections")
	}
	keys := filepath.Join(t.TempDir(), "ticket.keys")
	if err := os.WriteFile(keys, []byte(newTicketKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"VERNEGATE_REUSE_PORT", "true", "VERNEGATE_TICKET_KEYS", keys}
	one := newFixture(t, broker, env...)
	two := one.sharing(t, env...)
	device := one.roamer(one.device("acme:lamp"))

	const visits = 64 // all of which are one process's with a probability of 2⁻⁶³
	for i := range visits {
		if resumed := one.visit(t, device); resumed != (i > 0) {
			t.Errorf("visit %d: got resumed %t, want %t", i+1, resumed, i > 0)
		}
	}
	atOne, atTwo := one.accepted(t), two.accepted(t)
	if atOne == 0 || atTwo == 0 || atOne+atTwo != visits {
		t.Errorf("%d and %d connections were accepted, want a part of %d each", atOne, atTwo, visits)
	}

	one.signal(t, syscall.SIGTERM)
	one.checkDrained(t)
	const later = 16
	for range later {
		two.visit(t, device)
	}
	if got := two.accepted(t); got != atTwo+later {
		t.Errorf("%d connections were accepted by the process that is left, want %d", got, atTwo+later)
	}
}

// TestNoProcessSharesItsAddressUnasked starts a second process at the address of the
// first where not both are to share it.
func TestNoProcessSharesItsAddressUnasked(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" && runtime.GOOS != "freebsd" {
		t.Skip("this system does not divide connections")
	}
	for _, share := range [][2]string{{"false", "false"}, {"true", "false"}, {"false", "true"}} {
		t.Run(fmt.Sprint(share), func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, broker, "VERNEGATE_REUSE_PORT", share[0])
			s.checkExit(t, exitFailed, []string{"listening as VERNEGATE_LISTEN says", s.Devices, "address already in use"},
				"VERNEGATE_LISTEN", s.Devices, "VERNEGATE_REUSE_PORT", share[1])
		})
	}
}

// TestFullProcessStepsAside has two processes share an address, of which one has few descriptors. Devices
// that come one after the other, many more than it has room for, are all let in at once, or have to try again at once.
func TestFullProcessStepsAside(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" && runtime.GOOS != "freebsd" {
		t.Skip("this system does not divide connections")
	}
	fake := startFakeBroker(t)
	small := prepareFixture(t)
	env := small.env(fake.Addr, "VERNEGATE_REUSE_PORT", "true")
	small.Vernegate = must(stack.StartVernegate(within(t, stepTime), program, env, fewDescriptors...))(t)
	t.Cleanup(func() { endWell(t, small.Vernegate) })
	large := &fixture{pki: small.pki, folder: small.folder, acl: small.acl}
	large.startBefore(t, fake.Addr, "VERNEGATE_REUSE_PORT", "true", "VERNEGATE_LISTEN", small.Devices, "VERNEGATE_SERVICE_LISTEN", small.Services)
	device := small.device("acme:lamp")

	const devices = 100 // with room for 11 in the small one
	for n := range devices {
		eventually(t, stepTime, "a device is let in", func() bool {
			c, err := stack.Connect(within(t, stepTime), small.through(device, 0), stack.Options{Version: stack.V5, ClientID: unique()})
			if errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("device %d waits", n)
			}
			if err == nil {
				t.Cleanup(c.Cut)
			}
			return err == nil
		})
	}
	if n := len(small.Records(func(r stack.Record) bool {
		return r.Has("msg", "file descriptors are used up, new connections wait until others end")
	})); n != 1 {
		t.Errorf("the small process says %d times that its descriptors are used up, want once", n)
	}
	if n := small.accepted(t); n > 22 {
		t.Errorf("the small process accepted %d connections, and has descriptors for 22", n)
	}
}
