// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
)

// A storm is stormSize devices that come back at once while liveSessions others
// send a PINGREQ every livePeriod.
const (
	stormSize    = 10_000
	liveSessions = 20
	livePeriod   = 100 * time.Millisecond
)

// What a live session notices of a storm: how long its round trips take, from the
// moment when each should have begun. The storm is a process of its own, so that
// its own work is not measured. What else runs on the machine is.
func BenchmarkRoundTripDuringStorm(b *testing.B) {
	s := benchFixture(b)
	lamp := s.pki.Root.Issue("device")
	s.acl.Own(stack.Fingerprint(lamp.Leaf), "acme:lamp")
	dir := b.TempDir()
	must(s.pki.WriteDevice(dir, "lamp", lamp))(b)

	var trips []time.Duration
	for b.Loop() {
		calm := make(chan struct{})
		go func() {
			defer close(calm)
			time.Sleep(time.Second) // for the live sessions to be there
			storm := exec.Command(must(os.Executable())(b))
			storm.Env = append(os.Environ(), stormAt+"="+s.Devices, stormFiles+"="+filepath.Join(dir, "lamp"))
			if out, err := storm.CombinedOutput(); err != nil {
				b.Errorf("the storm: %v\n%s", err, out)
			}
		}()
		trips = append(trips, pingUntil(b, s.through(lamp, 0), calm)...)
	}
	slices.Sort(trips)
	for unit, share := range map[string]float64{"p50-ms": .5, "p99-ms": .99, "max-ms": 1} {
		b.ReportMetric(trips[int(share*float64(len(trips)-1))].Seconds()*1000, unit)
	}
}

// benchFixture is a fixture before a fake broker, with a log of what matters only.
func benchFixture(b *testing.B) *fixture {
	b.Helper()
	return benchFixtureWith(b)
}

// benchFixtureWith is benchFixture with more variables, in pairs.
func benchFixtureWith(b *testing.B, env ...string) *fixture {
	b.Helper()
	return startBench(b, bareFixture(b), append([]string{"VERNEGATE_HANDSHAKE_TIMEOUT", "1m"}, env...)...)
}

// bareFixture is a fixture that has no vernegate yet.
func bareFixture(b *testing.B) *fixture {
	b.Helper()
	s := &fixture{pki: stack.NewPKI(), folder: stack.Folder(b.TempDir()), acl: must(stack.StartACL())(b)}
	b.Cleanup(func() { s.acl.Close() })
	if err := s.folder.Rename(s.pki.Set()); err != nil {
		b.Fatal(err)
	}
	return s
}

// startBench starts a vernegate of a fixture before a fake broker of its own, with a log of what matters only. A fixture may
// have several.
func startBench(b *testing.B, s *fixture, env ...string) *fixture {
	b.Helper()
	fake := must(stack.StartFakeBroker())(b)
	b.Cleanup(func() { fake.Close() })
	next := *s
	all := s.env(fake.Addr, append([]string{"VERNEGATE_LOG_LEVEL", "warn"}, env...)...)
	next.Vernegate = must(stack.StartVernegate(within(b, 30*time.Second), program, all))(b)
	b.Cleanup(next.Kill)
	return &next
}

// pingUntil keeps liveSessions going until calm is closed, and returns their round trips.
func pingUntil(b *testing.B, dial stack.Dial, calm <-chan struct{}) []time.Duration {
	b.Helper()
	var (
		mu    sync.Mutex
		trips []time.Duration
		live  sync.WaitGroup
	)
	for i := range liveSessions {
		w := must(stack.DialWire(within(b, 5*time.Minute), dial))(b)
		b.Cleanup(func() { w.Close() })
		if err := w.Send(connectPacket{version: stack.V311, clientID: unique()}.bytes()); err != nil {
			b.Fatal(err)
		}
		must(w.ReadN(4))(b)
		live.Go(func() {
			due := time.Now().Add(livePeriod * time.Duration(i) / liveSessions)
			for ; !isClosed(calm); due = due.Add(livePeriod) {
				time.Sleep(time.Until(due))
				err := w.Send([]byte{0xC0, 0})
				if err == nil {
					_, err = w.ReadN(2)
				}
				if err != nil {
					b.Errorf("a live session: %v", err)
					return
				}
				mu.Lock()
				trips = append(trips, time.Since(due))
				mu.Unlock()
			}
		})
	}
	live.Wait()
	return trips
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// The environment of a process of this test that is a storm.
const (
	stormAt    = "E2E_STORM_AT"    // host:port
	stormFiles = "E2E_STORM_FILES" // a device's certificate and key, without .crt and .key
)

// storm shakes hands with addr as stormSize devices at once, waits until each
// knows that it is in, and returns the exit code: 0 if all are.
func storm(addr, files string) int {
	pair, err := tls.LoadX509KeyPair(files+".crt", files+".key")
	if err != nil {
		return fail(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true}
	errs := make(chan error, stormSize)
	for range stormSize {
		go func() { errs <- joinStorm(addr, config) }()
	}
	for range stormSize {
		if err := <-errs; err != nil {
			return fail(err)
		}
	}
	return 0
}

// joinStorm is one device. It tries again when it is turned away, as devices do:
// the storm may be more than VERNEGATE_MAX_HANDSHAKES=auto allows at a time, and
// then a device that has not sent its ClientHello yet loses its place to a newer one.
func joinStorm(addr string, config *tls.Config) error {
	const tries, pause = 30, time.Second
	var err error
	for range tries {
		if err = comeIn(addr, config); err == nil {
			return nil
		}
		time.Sleep(pause)
	}
	return err
}

// comeIn connects, and returns nil if it was let in: in TLS 1.3, only what comes
// after the handshake tells. What is not MQTT is answered with a close.
func comeIn(addr string, config *tls.Config) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	client := tls.Client(conn, config)
	if _, err := client.Write([]byte("not MQTT")); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, client)
	return err
}
