// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
)

// A serviceManager is the socket that systemd listens on to what a service says.
type serviceManager struct {
	name string
	conn *net.UnixConn
}

func listenAsManager(t *testing.T, name string) *serviceManager {
	t.Helper()
	conn := must(net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: name}))(t)
	t.Cleanup(func() { _ = conn.Close() })
	return &serviceManager{name, conn}
}

// await returns the next message with this line, as its lines, and drops those before it.
func (m *serviceManager) await(t *testing.T, line string) []string {
	t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(stepTime)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		n, err := m.conn.Read(buf)
		if err != nil {
			t.Fatalf("waiting for %s: %v", line, err)
		}
		if lines := strings.Split(strings.TrimSuffix(string(buf[:n]), "\n"), "\n"); slices.Contains(lines, line) {
			return lines
		}
	}
}

// TestServiceManagerHearsTheWholeLife runs vernegate as a unit of Type=notify with
// WatchdogSec is run: at a path, and in the abstract namespace.
func TestServiceManagerHearsTheWholeLife(t *testing.T) {
	t.Parallel()
	dir := must(os.MkdirTemp("", "vernegate-"))(t) // of t.TempDir, a name may be too long for a socket
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	names := []string{filepath.Join(dir, "notify")}
	if runtime.GOOS == "linux" {
		names = append(names, "@vernegate-e2e-"+unique())
	}
	for _, name := range names {
		t.Run(name[:1], func(t *testing.T) {
			t.Parallel()
			manager := listenAsManager(t, name)
			s := newFixture(t, broker, "NOTIFY_SOCKET", name, "WATCHDOG_USEC", "200000",
				"VERNEGATE_DRAIN_DELAY", "1ms", "VERNEGATE_DRAIN_TIMEOUT", "5m")
			manager.await(t, "STATUS=waiting for a first good set of trust files")
			manager.await(t, "READY=1")
			for range 3 {
				manager.await(t, "WATCHDOG=1")
			}

			s.signal(t, syscall.SIGHUP)
			reloading := manager.await(t, "RELOADING=1")
			usec, ok := strings.CutPrefix(reloading[len(reloading)-1], "MONOTONIC_USEC=")
			if _, err := strconv.ParseUint(usec, 10, 63); !ok || err != nil {
				t.Errorf("a reload is told with %q, want the monotonic time", reloading)
			}
			if ready := manager.await(t, "READY=1"); !slices.Contains(ready, "STATUS=taking clients, generation 1 of the trust files") {
				t.Errorf("the end of a reload that finds nothing new is told with %q", ready)
			}

			s.signal(t, syscall.SIGTERM)
			stopping := manager.await(t, "STOPPING=1")
			if !slices.Contains(stopping, "EXTEND_TIMEOUT_USEC=310001000") {
				t.Errorf("the stop is told with %q, want the time that draining may take and 10 s", stopping)
			}
			s.checkDrained(t)
		})
	}
}

// A service manager that is not there any more is no reason to stop.
func TestMissingServiceManagerIsNoReasonToStop(t *testing.T) {
	t.Parallel()
	s := newFixture(t, broker, "NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"), "WATCHDOG_USEC", "10000")
	if !strings.Contains(s.Output.String(), "the service manager does not hear") {
		t.Error("the log does not say that the service manager does not hear")
	}
	connect(t, s.through(s.device("acme:lamp"), 0), stack.Options{Version: stack.V5, ClientID: unique()}).Cut()
}

// TestUnitRestartsAProcessThatTheWatchdogAborts has a process end as systemd's watchdog ends
// it, in the environment of the unit, which does not restart a process that ends with 2.
func TestUnitRestartsAProcessThatTheWatchdogAborts(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"vernegate.service", "vernegate@.service"} {
		unit := string(must(os.ReadFile(filepath.Join("../packaging/systemd", name)))(t))
		if !strings.Contains(unit, "\nRestartPreventExitStatus=2\n") || !strings.Contains(unit, "\nEnvironment=GOTRACEBACK=crash\n") {
			t.Errorf("%s is not what this test is about", name)
		}
	}
	s := prepareFixture(t)
	noCore := []string{"sh", "-c", `ulimit -c 0; exec "$0" "$@"`} // LimitCORE=0
	s.Vernegate = must(stack.StartVernegate(within(t, 30*time.Second), program, s.env(broker, "GOTRACEBACK", "crash"), noCore...))(t)
	t.Cleanup(s.Kill)
	s.signal(t, syscall.SIGABRT)
	if code := must(s.Wait(within(t, stepTime)))(t); code != -1 {
		t.Errorf("it ends with exit code %d, want that a signal ends it", code)
	}
}
