// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/proxy/listen"
)

// TestDevicesAndServicesDoNotShareAnAddress has two names for one address, which
// cannot be told from the configuration.
func TestDevicesAndServicesDoNotShareAnAddress(t *testing.T) {
	t.Parallel()
	if !listen.CanShare {
		t.Skip("this system does not divide connections")
	}
	w := newWorld(t)
	held, err := listen.SharedTCP(t.Context(), "127.0.0.1:0") // so that nobody else takes the port meanwhile
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	port := strconv.Itoa(held.Addr().(*net.TCPAddr).Port)
	w.Vars["VERNEGATE_REUSE_PORT"] = "true"
	w.Vars["VERNEGATE_LISTEN"] = "127.0.0.1:" + port
	w.Vars["VERNEGATE_SERVICE_LISTEN"] = "localhost:" + port
	code, printed := w.serve()
	if code != exitFailed {
		t.Errorf("ends with %d, want %d", code, exitFailed)
	}
	if want := "listening as VERNEGATE_SERVICE_LISTEN says: 127.0.0.1:" + port + " is that of VERNEGATE_LISTEN"; !strings.Contains(printed, want) {
		t.Errorf("printed %s, want %q in it", printed, want)
	}
}
