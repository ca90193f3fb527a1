// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package dial_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/dial"
)

// greeting is what every listener of these tests says.
const greeting = "hello"

// listenAt greets who connects.
func listenAt(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go greetAll(l)
	return l
}

func greetAll(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = c.Write([]byte(greeting))
		_ = c.Close()
	}
}

// socketPath is where a Unix socket may be: paths are bounded, those of t.TempDir are not.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dial")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "broker.sock")
}

func TestDialReachesEveryKindOfAddress(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	listenAt(t, "unix", path)
	_, port, _ := net.SplitHostPort(listenAt(t, "tcp", "127.0.0.1:0").Addr().String())
	for _, addr := range []string{dial.Unix + path, "127.0.0.1:" + port, "localhost:" + port} {
		conn, err := dial.New(net.KeepAliveConfig{}).Dial(t.Context(), addr)
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		got := make([]byte, len(greeting))
		if _, err := conn.Read(got); err != nil || string(got) != greeting {
			t.Errorf("%s: got %q (%v), want %q", addr, got, err, greeting)
		}
		_ = conn.Close()
	}
}

func TestDialSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	l := listenAt(t, "tcp", "127.0.0.1:0")
	addr := l.Addr().String()
	_ = l.Close()
	for addr, want := range map[string]error{
		addr:                        syscall.ECONNREFUSED,
		dial.Unix + socketPath(t):   os.ErrNotExist,
		"no-such-host.invalid:1883": nil,
		"127.0.0.1:not-a-port":      nil,
	} {
		conn, err := dial.New(net.KeepAliveConfig{}).Dial(t.Context(), addr)
		if err == nil || conn != nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: got %v (%v), want %v", addr, err, conn, want)
		}
	}
}

// A Unix socket whose listener is busy lets nobody wait in the kernel.
func TestDialWaitsForBusyUnixSocket(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), path)
	l, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(l.Close(), file.Close()) })

	const clients = 20
	d := dial.New(net.KeepAliveConfig{})
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	failed := 0
	var open []net.Conn
	for range clients {
		conn, err := d.Dial(short, dial.Unix+path)
		if err != nil {
			failed++
			continue
		}
		open = append(open, conn)
	}
	if failed == 0 {
		t.Skip("this system has room for all of them")
	}
	for _, conn := range open {
		_ = conn.Close()
	}

	var dialing sync.WaitGroup
	for range clients {
		dialing.Go(func() {
			conn, err := d.Dial(t.Context(), dial.Unix+path)
			if err != nil {
				t.Error(err)
				return
			}
			_ = conn.Close()
		})
	}
	go greetAll(l)
	dialing.Wait()
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{
		"unix:/run/broker.sock": true,
		"127.0.0.1:1883":        true,
		"[::1]:1883":            true,
		"localhost:1883":        true,
		"10.0.0.1:1883":         false,
		"vernemq:1883":          false,
		"127.0.0.1":             false,
	} {
		if got := dial.IsHere(addr); got != want {
			t.Errorf("%s is here: %v, want %v", addr, got, want)
		}
	}
	for addr, good := range map[string]bool{
		"unix:/run/broker.sock":             true,
		"unix:broker.sock":                  false,
		"unix:":                             false,
		"unix:/" + strings.Repeat("a", 103): false,
	} {
		if err := dial.CheckUnix(addr); (err == nil) != good {
			t.Errorf("%s: %v", addr, err)
		}
	}
}
