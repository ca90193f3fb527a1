// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package sdnotify_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vernegate/vernegate/internal/sdnotify"
)

// manager is the socket of a service manager.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

func listen(t *testing.T, name string) *manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &manager{t, conn}
}

// socket returns a path that is short enough for a socket.
func socket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sdnotify")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "notify")
}

// heard returns the next datagram, which must be there.
func (m *manager) heard() string {
	m.t.Helper()
	buf := make([]byte, 4096)
	n, err := m.conn.Read(buf)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(buf[:n])
}

// silent reports whether no datagram is there. A deadline in the past would end the reading
// before it looks.
func (m *manager) silent() bool {
	m.t.Helper()
	raw, err := m.conn.SyscallConn()
	if err != nil {
		m.t.Fatal(err)
	}
	var got error
	if err := raw.Read(func(fd uintptr) bool {
		_, _, got = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_DONTWAIT)
		return true
	}); err != nil {
		m.t.Fatal(err)
	}
	return errors.Is(got, unix.EAGAIN)
}

func mustNew(t *testing.T, vars map[string]string) *sdnotify.Notifier {
	t.Helper()
	n, err := sdnotify.New(vars, 7)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestEachStateIsOneDatagram(t *testing.T) {
	t.Parallel()
	names := []string{socket(t)}
	if runtime.GOOS == "linux" {
		names = append(names, "@vernegate-"+filepath.Base(filepath.Dir(socket(t))))
	}
	for _, name := range names {
		m := listen(t, name)
		n := mustNew(t, map[string]string{"NOTIFY_SOCKET": name})
		for _, step := range []struct {
			tell func() error
			want string
		}{
			{func() error { return n.Ready("taking clients") }, "READY=1\nSTATUS=taking clients\n"},
			{func() error { return n.Stopping("draining", 90*time.Second) }, "STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=90000000\n"},
			{func() error { return n.Status("12 sessions\nREADY=1") }, "STATUS=12 sessions READY=1\n"},
		} {
			if err := step.tell(); err != nil {
				t.Fatal(err)
			}
			if got := m.heard(); got != step.want {
				t.Errorf("%s heard %q, want %q", name, got, step.want)
			}
		}
	}
}

func TestReloadingTellsTheMonotonicTime(t *testing.T) {
	t.Parallel()
	name := socket(t)
	m, n := listen(t, name), mustNew(t, map[string]string{"NOTIFY_SOCKET": name})
	var times []int64
	for range 2 {
		if err := n.Reloading(); err != nil {
			t.Fatal(err)
		}
		text := m.heard()
		digits, ok := strings.CutPrefix(strings.TrimSuffix(text, "\n"), "RELOADING=1\nMONOTONIC_USEC=")
		usec, err := strconv.ParseInt(digits, 10, 64)
		if !ok || err != nil || usec <= 0 {
			t.Fatalf("heard %q", text)
		}
		times = append(times, usec)
	}
	if times[1] < times[0] {
		t.Errorf("the second reload was at %d, before the first at %d", times[1], times[0])
	}
}

func TestWatchdogIsToldTwiceInItsPatienceWhileAlive(t *testing.T) {
	t.Parallel()
	name := socket(t)
	synctest.Test(t, func(t *testing.T) {
		m := listen(t, name)
		n := mustNew(t, map[string]string{"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "7"})
		ctx, cancel := context.WithCancel(t.Context())
		var hung atomic.Bool
		alive := func() error {
			if hung.Load() {
				return errors.New("a loop hangs")
			}
			return nil
		}
		ended := make(chan struct{})
		go func() { defer close(ended); n.KeepAlive(ctx, alive) }()

		synctest.Wait()
		for range 3 {
			if got := m.heard(); got != "WATCHDOG=1\n" {
				t.Errorf("heard %q", got)
			}
			if !m.silent() {
				t.Error("it is told more often than twice in its patience")
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
		}
		m.heard()
		hung.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		if !m.silent() {
			t.Error("heard a sign of life of a process that hangs")
		}
		hung.Store(false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		m.heard()
		cancel()
		<-ended
	})
}

func TestNoWatchdogIsToldOfAnotherProcess(t *testing.T) {
	t.Parallel()
	name := socket(t)
	m := listen(t, name)
	for _, vars := range []map[string]string{
		{"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "8"},
		{"NOTIFY_SOCKET": name},
		{"WATCHDOG_USEC": "1000000"},
	} {
		mustNew(t, vars).KeepAlive(t.Context(), func() error { return nil }) // returns at once
	}
	if !m.silent() {
		t.Error("the watchdog heard something")
	}
}

func TestWithoutManagerNothingIsTold(t *testing.T) {
	t.Parallel()
	n := mustNew(t, nil)
	if err := errors.Join(n.Ready(""), n.Reloading(), n.Stopping("", time.Second), n.Status("idle")); n != nil || err != nil {
		t.Errorf("got %v, %v, want nil", n, err)
	}
}

func TestManagerThatIsGoneIsAnError(t *testing.T) {
	t.Parallel()
	name := socket(t)
	if err := mustNew(t, map[string]string{"NOTIFY_SOCKET": name}).Ready(""); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that there is no such socket", err)
	}
}

func TestWhatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	for _, vars := range []map[string]string{
		{"NOTIFY_SOCKET": "vsock:2:1234"},
		{"NOTIFY_SOCKET": "@"},
		{"NOTIFY_SOCKET": "relative"},
		{"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "soon"},
		{"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "0"},
		{"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "9300000000000000"},
	} {
		wrong := "NOTIFY_SOCKET"
		if _, is := vars["WATCHDOG_USEC"]; is {
			wrong = "WATCHDOG_USEC"
		}
		n, err := sdnotify.New(vars, 7)
		if err == nil || !strings.HasPrefix(err.Error(), wrong+`="`+vars[wrong]+`": expected `) {
			t.Errorf("%v: got %v", vars, err)
		}
		if usable := n != nil; usable != (wrong == "WATCHDOG_USEC") {
			t.Errorf("%v: got Notifier %v", vars, n)
		}
	}
}
