// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// countsWithin is how soon after the last write a new file must count: long before the next look at all files, which comes
// every five minutes. How soon that is to the second is tested in truststore, where the clock stands still meanwhile.
const countsWithin = stepTime

// tryConnect connects with a CONNECT of its own and reports whether the device was let
// in; the error says how it was refused.
func tryConnect(ctx context.Context, dial stack.Dial) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	w, err := stack.DialWire(ctx, dial)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.Send(connectPacket{version: stack.V311, clientID: unique()}.bytes()); err != nil {
		return err
	}
	answer, err := w.ReadN(4)
	if err == nil && !bytes.Equal(answer, accepted(stack.V311)) {
		err = &stack.RefusedError{Code: answer[3]}
	}
	return err
}

// watchGood connects a device again and again until the test ends, which fails if
// it was refused even once. The function it returns reports how often it got in.
func watchGood(t *testing.T, dial stack.Dial) (times func() int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var got atomic.Int64
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			switch err := tryConnect(ctx, dial); {
			case err == nil:
				got.Add(1)
			case ctx.Err() == nil:
				t.Errorf("a good device was refused: %v", err)
				return
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if got.Load() == 0 {
			t.Error("the good device never got in: this shows nothing")
		}
	})
	return got.Load
}

// writers are the ways in which the files can be replaced.
var writers = map[string]func(stack.Folder, stack.Set) error{
	"in place": func(f stack.Folder, s stack.Set) error { return f.Rewrite(s, nil) },
	"rename":   stack.Folder.Rename,
	"..data":   stack.Folder.Swap,
}

func TestChangedFilesCountSoon(t *testing.T) {
	t.Parallel()
	for name, write := range writers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := prepareFixture(t)
			s.folder = stack.Folder(t.TempDir())
			if err := write(s.folder, s.pki.Set()); err != nil {
				t.Fatal(err)
			}
			s.start(t)
			watchGood(t, s.through(s.device("acme:lamp"), 0))
			for range 3 { // the first change may be caught by the last look of the start
				s.checkChange(t, write)
			}
		})
	}
}

// checkChange adds a CA and a revocation to the files: both must count soon.
func (s *fixture) checkChange(t *testing.T, write func(stack.Folder, stack.Set) error) {
	t.Helper()
	fresh := certtest.NewCA("acquired company")
	newcomer, dropout := s.deviceOf(fresh, "acme:newcomer"), s.device("acme:dropout")
	ctx := within(t, stepTime)
	if tryConnect(ctx, s.through(newcomer, 0)) == nil {
		t.Fatal("a device of a CA that nobody trusts was let in")
	}
	if err := tryConnect(ctx, s.through(dropout, 0)); err != nil {
		t.Fatal(err)
	}
	s.pki.Trust(fresh)
	s.pki.Revoke(dropout.Leaf)
	if err := write(s.folder, s.pki.Set()); err != nil {
		t.Fatal(err)
	}
	s.checkCountsSoon(t, time.Now(), s.through(newcomer, 0), s.through(dropout, 0))
}

// checkCountsSoon expects the files that were written last to count in time: the
// newcomer is let in, the dropout is not.
func (s *fixture) checkCountsSoon(t *testing.T, written time.Time, newcomer, dropout stack.Dial) {
	t.Helper()
	ctx := within(t, stepTime)
	eventually(t, stepTime, "a device of the new CA is let in", func() bool { return tryConnect(ctx, newcomer) == nil })
	eventually(t, stepTime, "a newly revoked device is kept out", func() bool { return tryConnect(ctx, dropout) != nil })
	s.checkUsedSoon(t, written)
}

// checkUsedSoon expects vernegate to have used files in time, by its own log: a client
// that tells may be late where a machine is busy.
func (s *fixture) checkUsedSoon(t *testing.T, written time.Time) {
	t.Helper()
	used := s.Records(func(r stack.Record) bool { return r.Has("msg", "trust files in use") })
	at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(used[len(used)-1]["time"]))
	if err != nil {
		t.Fatal(err)
	}
	if took := at.Sub(written); took > countsWithin {
		t.Errorf("the new files counted %v after the last write, want within %v", took, countsWithin)
	}
}

// start starts the vernegate of a prepared fixture.
func (s *fixture) start(t *testing.T, env ...string) {
	t.Helper()
	s.startBefore(t, broker, env...)
}

// TestHalfWrittenFilesAreNeverUsed rewrites everything (another server key and
// certificate, one more CA, one more revocation) in place and slowly, stopping
// where a reader would be misled most. Whoever connects meanwhile meets whole files,
// never a part of one: there are two CAs with a list each, and half of those files
// would shut out the devices of the second or let in those that it has revoked.
func TestHalfWrittenFilesAreNeverUsed(t *testing.T) {
	t.Parallel()
	const pause = 150 * time.Millisecond
	s := prepareFixture(t)
	second := certtest.NewCA("second")
	s.pki.Trust(second)
	revoked := []*certtest.Cert{s.device("acme:revoked"), s.deviceOf(second, "acme:revoked")}
	s.pki.Revoke(revoked[0].Leaf, revoked[1].Leaf)
	if err := s.folder.Rewrite(s.pki.Set(), nil); err != nil {
		t.Fatal(err)
	}
	s.start(t, "VERNEGATE_TRUST_REFRESH_INTERVAL", "1s")
	ctx := within(t, 2*stepTime)
	watchGood(t, s.through(s.device("acme:lamp"), 0))
	good := watchGood(t, s.through(s.deviceOf(second, "acme:door"), 0))

	fresh := certtest.NewCA("acquired company")
	s.pki.Trust(fresh)
	s.pki.Server = s.pki.Root.Issue("vernegate, renewed", certtest.Server("127.0.0.1"))
	dropout := s.device("acme:dropout")
	s.pki.Revoke(dropout.Leaf)
	err := s.folder.Rewrite(s.pki.Set(), func() {
		time.Sleep(pause) // the writer's, at the moment that is to be seen
		for _, device := range revoked {
			if tryConnect(ctx, s.through(device, 0)) == nil {
				t.Error("a revoked device was let in while the files were written")
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	s.checkCountsSoon(t, time.Now(), s.through(s.deviceOf(fresh, "acme:newcomer"), 0), s.through(dropout, 0))
	conn := must(tls.Dial("tcp", s.Devices, s.clientTLS(s.device("acme:witness"), 0)))(t)
	defer conn.Close()
	if !conn.ConnectionState().PeerCertificates[0].Equal(s.pki.Server.Leaf) {
		t.Error("the renewed server certificate is not in use")
	}
	if good() < 10 {
		t.Errorf("the good device got in %d times only: this shows little", good())
	}
}

// ticketCounter counts the tickets that a client offers.
type ticketCounter struct {
	tls.ClientSessionCache
	offered atomic.Int64
}

// Get implements tls.ClientSessionCache.
func (c *ticketCounter) Get(key string) (*tls.ClientSessionState, bool) {
	session, ok := c.ClientSessionCache.Get(key)
	if ok && session != nil {
		c.offered.Add(1)
	}
	return session, ok
}

// TestRevokedDeviceWithTicketIsRefused revokes a device that holds session tickets:
// a resumed handshake sends no certificate, and must be refused all the same.
func TestRevokedDeviceWithTicketIsRefused(t *testing.T) {
	t.Parallel()
	for _, tlsVersion := range tlsVersions {
		t.Run(tls.VersionName(tlsVersion), func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, broker)
			device := s.device("acme:lamp")
			tickets := &ticketCounter{ClientSessionCache: tls.NewLRUClientSessionCache(8)}
			config := s.clientTLS(device, tlsVersion)
			config.ClientSessionCache = tickets
			dial := stack.Through(s.Devices, config)
			ctx := within(t, stepTime)
			for range 2 {
				if err := tryConnect(ctx, dial); err != nil {
					t.Fatal(err)
				}
			}
			resumed := func(r stack.Record) bool { return r.Has("resumed", "true") }
			if _, err := s.WaitRecord(within(t, stepTime), "a resumed session", resumed); err != nil {
				t.Fatalf("tickets are off, this shows nothing: %v", err)
			}

			s.pki.Revoke(device.Leaf)
			if err := s.folder.Rewrite(s.pki.Set(), nil); err != nil {
				t.Fatal(err)
			}
			written := time.Now()
			var offered int64
			var err error
			eventually(t, stepTime, "the revoked device is refused", func() bool {
				offered = tickets.offered.Load()
				err = tryConnect(ctx, dial)
				return stack.AlertOf(err) != 0 // there is none if the revocation comes at the end of a handshake
			})
			s.checkUsedSoon(t, written)
			if stack.AlertOf(err) != stack.AlertBadCertificate {
				t.Errorf("the device was refused with %v, want an alert", err)
			}
			if tickets.offered.Load() == offered {
				t.Error("the refused handshake offered no ticket: this shows nothing about resumption")
			}
		})
	}
}

// TestEmptiedFileOfCAsEndsNothing empties the second of two files, and has vernegate read it at once.
func TestEmptiedFileOfCAsEndsNothing(t *testing.T) {
	t.Parallel()
	s, second := prepareFixture(t), certtest.NewCA("second")
	path := filepath.Join(t.TempDir(), "second.crt")
	if err := os.WriteFile(path, second.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	s.startBefore(t, startFakeBroker(t).Addr, "VERNEGATE_TLS_CA", s.folder.Env()["VERNEGATE_TLS_CA"]+","+path)
	device := s.through(s.deviceOf(second, "acme:lamp"), 0)
	c := connect(t, device, stack.Options{Version: stack.V5, ClientID: unique()})
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.signal(t, syscall.SIGHUP)
	must(s.WaitRecord(within(t, stepTime), "the refusal of the file", func(r stack.Record) bool {
		return strings.Contains(fmt.Sprint(r["err"]), "CA file "+path+" holds no certificate")
	}))(t)
	connect(t, device, stack.Options{Version: stack.V5, ClientID: unique()})
	select {
	case <-c.Dropped():
		t.Error("the session of a device of this CA has ended")
	default:
	}
}

// startUnwatched starts the vernegate of a prepared fixture where the kernel hands out
// no inotify instance, so that no change of a file can be noticed.
func (s *fixture) startUnwatched(t *testing.T, env ...string) {
	t.Helper()
	const noInotify = "echo 0 >/proc/sys/user/max_inotify_instances && exec \"$@\""
	wrapper := []string{"unshare", "--user", "--map-root-user", "sh", "-c", noInotify, "sh"}
	if err := stack.RunTool(within(t, stepTime), wrapper[0], append(wrapper[1:], "true")...); err != nil {
		t.Skipf("this machine does not let a test take inotify away from a program: %v", err)
	}
	s.Vernegate = must(stack.StartVernegate(within(t, stepTime), program, s.env(broker, env...), wrapper...))(t)
	t.Cleanup(func() { endWell(t, s.Vernegate) })
}

func TestPollingAloneWorks(t *testing.T) {
	t.Parallel()
	s := prepareFixture(t)
	s.startUnwatched(t, "VERNEGATE_TRUST_REFRESH_INTERVAL", "300ms")
	s.checkRevocations(t, func() {})
}

func TestHangupReloads(t *testing.T) {
	t.Parallel()
	s := prepareFixture(t)
	s.startUnwatched(t, "VERNEGATE_TRUST_REFRESH_INTERVAL", "1h")
	s.checkRevocations(t, func() {
		if err := s.Signal(syscall.SIGHUP); err != nil {
			t.Error(err)
		}
	})
}

// checkRevocations revokes one device after the other and expects each to count
// within the usual time once after is done. There are several because the first may
// be caught by the last look of the start.
func (s *fixture) checkRevocations(t *testing.T, after func()) {
	t.Helper()
	ctx := within(t, stepTime)
	for range 3 {
		device := s.device("acme:lamp")
		if err := tryConnect(ctx, s.through(device, 0)); err != nil {
			t.Fatal(err)
		}
		s.pki.Revoke(device.Leaf)
		if err := s.folder.Rewrite(s.pki.Set(), nil); err != nil {
			t.Fatal(err)
		}
		after()
		eventually(t, countsWithin, "the revocation counts", func() bool {
			return tryConnect(ctx, s.through(device, 0)) != nil
		})
	}
}

// TestBrokenFileChangesNothing breaks one file after the other: devices are served
// with what was good, one line per broken state names the file, and the metrics
// tell; a good file ends it.
func TestBrokenFileChangesNothing(t *testing.T) {
	t.Parallel()
	s := newFixture(t, broker, "VERNEGATE_TRUST_REFRESH_INTERVAL", "200ms")
	revoked := s.device("acme:revoked")
	s.pki.Revoke(revoked.Leaf)
	if err := s.folder.Rename(s.pki.Set()); err != nil {
		t.Fatal(err)
	}
	ctx := within(t, stepTime)
	eventually(t, stepTime, "the revocation counts", func() bool {
		return tryConnect(ctx, s.through(revoked, 0)) != nil
	})
	watchGood(t, s.through(s.device("acme:lamp"), 0))

	for _, name := range []string{"bundle.crt", "server.crt", "server.key", "ca.crl"} {
		path := filepath.Join(string(s.folder), name)
		whole := must(os.ReadFile(path))(t)
		replace(t, path, whole[:len(whole)/2])
		s.checkComplaint(t, name)
		if tryConnect(ctx, s.through(revoked, 0)) == nil {
			t.Errorf("%s is broken and a revoked device was let in", name)
		}
		replace(t, path, whole)
		eventually(t, stepTime, "the metrics say that all is well", func() bool { return s.refusing(t) == 0 })
	}
}

// replace replaces one file in one step.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// refusing is 1 while the metrics say that the files are no good, else 0.
func (s *fixture) refusing(t *testing.T) float64 {
	t.Helper()
	return must(s.Metrics(within(t, stepTime)))(t).Sum("vernegate_trust_files_refused")
}

// checkComplaint expects one line about the broken file, however often it is read.
func (s *fixture) checkComplaint(t *testing.T, name string) {
	t.Helper()
	complaint := func(r stack.Record) bool {
		text, _ := r["err"].(string)
		return r.Has("level", "ERROR") && strings.Contains(text, name)
	}
	if _, err := s.WaitRecord(within(t, stepTime), "the broken "+name, complaint); err != nil {
		t.Fatal(err)
	}
	looks := func() float64 {
		metrics := must(s.Metrics(within(t, stepTime)))(t)
		return metrics.Sum("vernegate_trust_looks_total", `result="refused"`)
	}
	first := looks()
	eventually(t, stepTime, "the file is read again and again", func() bool { return looks() >= first+4 })
	if s.refusing(t) != 1 {
		t.Errorf("%s is broken and the metrics do not say so", name)
	}
	if n := len(s.Records(complaint)); n != 1 {
		t.Errorf("%d lines about one broken %s, want one", n, name)
	}
}
