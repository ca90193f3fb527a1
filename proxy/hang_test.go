// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && !portable && !386 && !s390x

package proxy_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vernegate/vernegate/internal/sdnotify"
)

// A server with a loop that hangs says so, with the stack in the log, and can still be shut down.
func TestHangingLoopIsNoticedAndShutDown(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	end := make(chan struct{})
	g := startGate(t, brokers(b))
	g.TestingOnlyStall(func() { <-end }) // the loops begin with the first session
	t.Cleanup(func() { close(end) })     // before the server is stopped
	client, backend := session(g, b)
	if err := g.Hung(); err != nil {
		t.Errorf("got %v before anything hangs", err)
	}
	await(t, "a loop to hang", func() bool { write(t, client, pingreq); return g.Hung() != nil })
	line := g.logs.await(t, func(l map[string]any) bool { return l["msg"] == "a relay loop hangs" })
	if stack, _ := line["stack"].(string); !strings.Contains(stack, "proxy_test.TestHangingLoop") {
		t.Errorf("the stack in the log does not say where it hangs: %q", stack)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := g.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutting down: got %v, want that its time has passed", err)
	}
	if _, err := io.Copy(io.Discard, backend); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the broker does not see the end")
	}
}

// systemd hears no sign of life while a loop hangs, on the socket that it listens on, and hears them again when the loop
// goes on.
func TestWatchdogHearsNothingWhileALoopHangs(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	begin, end := make(chan struct{}), make(chan struct{})
	goOn := sync.OnceFunc(func() { close(end) })
	g := startGate(t, brokers(b))
	g.TestingOnlyStall(func() { // the loops pump for the first time for the first session
		select {
		case <-begin:
			<-end
		default:
		}
	})
	t.Cleanup(goOn)
	client, backend := session(g, b)

	dir, err := os.MkdirTemp("", "hang") // of t.TempDir, a name may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "notify")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = systemd.Close() })
	notifier, err := sdnotify.New(map[string]string{"NOTIFY_SOCKET": socket, "WATCHDOG_USEC": "20000"}, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	var refused atomic.Int32 // how often there was nothing good to tell
	alive := func() error {
		err := g.Hung()
		if err != nil {
			refused.Add(1)
		}
		return err
	}
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { notifier.KeepAlive(ctx, alive) })
	t.Cleanup(func() { cancel(); watching.Wait() })

	await(t, "signs of life", func() bool { return waiting(t, systemd) > 0 })
	close(begin)
	await(t, "a loop to hang", func() bool {
		write(t, client, pingreq)
		waiting(t, systemd) // what is not read in time is not sent
		return refused.Load() > 0
	})
	waiting(t, systemd)
	before := refused.Load()
	await(t, "the watchdog to be due many times", func() bool { return refused.Load() > before+10 })
	if n := waiting(t, systemd); n > 0 {
		t.Errorf("systemd has heard %d signs of life of a process that hangs", n)
	}
	goOn()
	await(t, "signs of life when the loop goes on", func() bool { return waiting(t, systemd) > 0 })
	wantBytes(t, backend, pingreq)
}

// waiting takes the datagrams that are there, all of which have to be signs of life, and counts them.
func waiting(t *testing.T, conn *net.UnixConn) (count int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var buf [64]byte
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, _, err := unix.Recvfrom(int(fd), buf[:], unix.MSG_DONTWAIT)
			if err != nil {
				return true
			}
			if got := string(buf[:n]); got != "WATCHDOG=1\n" {
				t.Errorf("systemd has heard %q", got)
			}
			count++
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}
