// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
)

// Exit codes.
const (
	exitDrained = 0
	exitFailed  = 1
	exitMistake = 2
	exitKilled  = -1 // by a signal, as os/exec tells it
)

// checkExit launches a vernegate that is not to work, and expects the exit code and
// all of the words in what it prints.
func (s *fixture) checkExit(t *testing.T, code int, words []string, env ...string) {
	t.Helper()
	v := must(stack.LaunchVernegate(program, s.env(broker, env...)))(t)
	t.Cleanup(v.Kill)
	if got := must(v.Wait(within(t, stepTime)))(t); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	printed := v.Output.String()
	for _, word := range words {
		if !strings.Contains(printed, word) {
			t.Errorf("what it printed does not name %s:\n%s", word, printed)
		}
	}
}

func TestEveryMistakeIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	s := prepareFixture(t)
	missing := filepath.Join(string(s.folder), "nowhere.crl")
	mistakes := []string{
		"VERNEGATE_SERVICE_LISTEN", "next door",
		"VERNEGATE_ACL_TTL", "soon",
		"VERNEGATE_MAX_CONNECT_SIZE", "plenty",
		"VERNEGATE_TLS_MIN_VERSION", "0.9",
		"VERNEGATE_CRL_EXPIRED", "perhaps",
		"VERNEGATE_BACKENDS", "broker:mqtt:1883",
		"CERTIFICATE_ACL_URL", "ftp://certificate-acl/",
		"CERTIFICATE_ACL_REQ_TIMEOUT_MS", "-1",
	}
	misnamed := []string{"VERNEGATE_HANDSHAKE_TIMOUT", "5s", "VERNEGATE_TLS_CRL", missing}
	words := append(slices.Clone(mistakes), "VERNEGATE_HANDSHAKE_TIMOUT", "VERNEGATE_HANDSHAKE_TIMEOUT", "VERNEGATE_TLS_CRL", missing)
	s.checkExit(t, exitMistake, words, append(mistakes, misnamed...)...)
}

// TestFilesThatAreNoGood starts with files that no variable is wrong about. The
// start waits for a writer that may be at work before it gives up.
func TestFilesThatAreNoGood(t *testing.T) {
	t.Parallel()
	t.Run("another certificate's key", func(t *testing.T) {
		t.Parallel()
		s := prepareFixture(t)
		replace(t, filepath.Join(string(s.folder), "server.key"), s.pki.Root.Issue("another").KeyPEM())
		s.checkExit(t, exitMistake, []string{"VERNEGATE_TLS_KEY", "server.key", "VERNEGATE_TLS_CERT", "server.crt"})
	})
	t.Run("several", func(t *testing.T) {
		t.Parallel()
		s := prepareFixture(t)
		for _, name := range []string{"server.crt", "ca.crl"} {
			replace(t, filepath.Join(string(s.folder), name), []byte("not PEM\n"))
		}
		if err := os.Remove(filepath.Join(string(s.folder), "bundle.crt")); err != nil {
			t.Fatal(err)
		}
		s.checkExit(t, exitMistake, []string{"server.crt", "ca.crl", "bundle.crt"})
	})
}

// TestStartWaitsForItsFiles has the writer come after the program.
func TestStartWaitsForItsFiles(t *testing.T) {
	t.Parallel()
	s := prepareFixture(t)
	s.folder = stack.Folder(t.TempDir())
	s.Vernegate = must(stack.LaunchVernegate(program, s.env(broker)))(t)
	t.Cleanup(func() { endWell(t, s.Vernegate) })
	ctx := within(t, stepTime)
	eventually(t, stepTime, "/livez answers", func() bool {
		status, err := s.Status(ctx, "/livez")
		return err == nil && status == 200
	})
	if status := must(s.Status(ctx, "/readyz"))(t); status != 503 {
		t.Errorf("/readyz answers %d without any files, want 503", status)
	}
	if err := s.folder.Rewrite(s.pki.Set(), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	if err := tryConnect(ctx, s.through(s.device("acme:lamp"), 0)); err != nil {
		t.Errorf("a device is refused after a late start: %v", err)
	}
}

func TestTakenPortIsNamed(t *testing.T) {
	t.Parallel()
	s := prepareFixture(t)
	taken := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { taken.Close() })
	for _, variable := range []string{"VERNEGATE_LISTEN", "VERNEGATE_SERVICE_LISTEN", "VERNEGATE_ADMIN"} {
		s.checkExit(t, exitFailed, []string{variable, taken.Addr().String()}, variable, taken.Addr().String())
	}
}

func TestTerminateEndsSessionsAndExits(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			s := prepareFixture(t)
			s.start(t)
			c := connect(t, s.through(s.device("acme:lamp"), 0), stack.Options{Version: stack.V311, ClientID: unique()})
			if err := s.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if code := must(s.Wait(within(t, stepTime)))(t); code != exitDrained {
				t.Errorf("exit code %d, want %d", code, exitDrained)
			}
			select {
			case <-c.Dropped():
			case <-within(t, stepTime).Done():
				t.Error("the program has ended and its client was not told")
			}
			shutdown := func(r stack.Record) bool { return r.Has("reason", "shutdown") && r.Has("owner", "acme:lamp") }
			if n := len(s.Records(shutdown)); n != 1 {
				t.Errorf("%d summary lines with reason shutdown, want one", n)
			}
		})
	}
}

// TestSecondSignalKills has a client that does not let go, so that the first signal
// takes its time.
func TestSecondSignalKills(t *testing.T) {
	t.Parallel()
	s := prepareFixture(t)
	s.Vernegate = must(stack.StartVernegate(within(t, stepTime), program, s.env(broker)))(t)
	t.Cleanup(s.Kill)
	w := dialWire(t, s.through(s.device("acme:lamp"), 0))
	if err := w.Send(connectPacket{version: stack.V311, clientID: unique()}.bytes()); err != nil {
		t.Fatal(err)
	}
	must(w.ReadN(4))(t)
	eventually(t, stepTime, "a second signal ends the program", func() bool {
		_ = s.Signal(syscall.SIGTERM) // it may just have ended
		select {
		case <-s.Done():
			return true
		case <-time.After(20 * time.Millisecond):
			return false
		}
	})
	if code := must(s.Wait(t.Context()))(t); code != exitKilled {
		t.Errorf("exit code %d, want %d: killed by the second signal", code, exitKilled)
	}
}
