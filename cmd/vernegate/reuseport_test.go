// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/proxy"
)

func TestPortReuse(t *testing.T) {
	t.Parallel()
	if mustLoad(t).ReusePort || mustLoad(t, "VERNEGATE_REUSE_PORT=false").ReusePort {
		t.Error("it is on, though nobody has asked for it")
	}
	wantMistake(t, "VERNEGATE_REUSE_PORT=yes", "expected true or false")
	const on = "VERNEGATE_REUSE_PORT=true"
	if !proxy.CanShare {
		wantMistake(t, on, "expected false on "+runtime.GOOS+", which does not divide connections among processes")
		return
	}
	if !mustLoad(t, on).ReusePort {
		t.Error("it is off, though it was asked for")
	}
}

// TestDevicesAndServicesDoNotShareAnAddress has two names for one address, which
// cannot be told from the configuration.
func TestDevicesAndServicesDoNotShareAnAddress(t *testing.T) {
	t.Parallel()
	if !proxy.CanShare {
		t.Skip("this system does not divide connections")
	}
	w := newWorld(t)
	held, err := proxy.ListenShared(t.Context(), "127.0.0.1:0") // so that nobody else takes the port meanwhile
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	port := strconv.Itoa(held.Addr().(*net.TCPAddr).Port)
	w.vars["VERNEGATE_REUSE_PORT"] = "true"
	w.vars["VERNEGATE_LISTEN"] = "127.0.0.1:" + port
	w.vars["VERNEGATE_SERVICE_LISTEN"] = "localhost:" + port
	code, printed := w.serve()
	if code != exitFailed {
		t.Errorf("ends with %d, want %d", code, exitFailed)
	}
	if want := "listening as VERNEGATE_SERVICE_LISTEN says: 127.0.0.1:" + port + " is that of VERNEGATE_LISTEN"; !strings.Contains(printed, want) {
		t.Errorf("printed %s, want %q in it", printed, want)
	}
}
