// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/vernegate/vernegate/e2e/stack"
)

// socketDir returns a directory whose name is short enough for a Unix socket in it.
func socketDir(t *testing.T) string {
	t.Helper()
	dir := must(os.MkdirTemp("", "e2e"))(t)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// TestBrokerAtAUnixSocket is a session of each version with a broker beside vernegate,
// and the broker's end and return.
func TestBrokerAtAUnixSocket(t *testing.T) {
	t.Parallel()
	if mosquitto == nil {
		t.Skip("needs a Mosquitto at a Unix socket")
	}
	path := filepath.Join(socketDir(t), "mqtt.sock")
	m := must(stack.StartMosquitto(within(t, stepTime), t.TempDir(), "", "listener 0 "+path))(t)
	t.Cleanup(m.Kill)
	s := newFixture(t, "unix:"+path)
	dial := s.through(s.device("acme:lamp"), 0)
	checkVersions(t, m, dial)
	if got := s.sessionsAt(t, "unix:"+path); got != len(versions) {
		t.Errorf("%d sessions at the socket, want %d", got, len(versions))
	}

	m.Kill()
	must(s.WaitRecord(within(t, stepTime), "the ejection", func(r stack.Record) bool {
		return r.Has("msg", "backend is ejected") && r.Has("backend", "unix:"+path)
	}))(t)
	m = must(m.Restart(within(t, stepTime)))(t)
	t.Cleanup(m.Kill)
	eventually(t, stepTime, "devices are let in again", func() bool {
		return tryConnect(within(t, stepTime), dial) == nil
	})
	if code := must(s.Status(within(t, stepTime), "/readyz"))(t); code != http.StatusOK {
		t.Errorf("/readyz: %d", code)
	}
}
