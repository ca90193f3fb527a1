// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
)

// beside starts another vernegate of the same fixture: the same files, owners and broker.
func (s *fixture) beside(t *testing.T, env ...string) *fixture {
	t.Helper()
	other := &fixture{pki: s.pki, folder: s.folder, acl: s.acl}
	other.startBefore(t, broker, env...)
	return other
}

// TestDrainUnderLoad has devices carry messages both ways through one vernegate, and
// stops it as a deployment does: they move to another one, and no message is lost.
func TestDrainUnderLoad(t *testing.T) {
	t.Parallel()
	const devices, delay, over = 40, 2 * time.Second, 10 * time.Second // a busy machine needs them to look at the drain before its end
	s := newFixture(t, broker, "VERNEGATE_DRAIN_DELAY", delay.String(), "VERNEGATE_DRAIN_TIMEOUT", over.String())
	next := s.beside(t)
	loadTest := newLoadTest(within(t, 2*time.Minute), t, devices, s, next)
	loadTest.await(t, 3*window)

	began := time.Now()
	s.signal(t, syscall.SIGTERM)
	eventually(t, stepTime, "readiness goes", func() bool { return !s.ready(t) })
	unready := time.Now()
	newcomers := 0
	for ; time.Since(began) < delay/2; newcomers++ {
		if err := tryConnect(within(t, stepTime), s.through(s.device("acme:newcomer"), 0)); err != nil {
			t.Fatalf("a device that comes within the delay is refused: %v", err)
		}
	}
	eventually(t, stepTime, "the metrics count the drained", func() bool { return s.drained(t) >= devices/2 })
	if s.ready(t) {
		t.Error("vernegate is ready again while it drains")
	}
	s.checkDrained(t)
	t.Logf("readiness went %v after SIGTERM, %d newcomers were let in, the end came after %v", unready.Sub(began), newcomers, time.Since(began))
	loadTest.await(t, window)
	loadTest.finish(t)

	times := loadTest.checkDisconnections(t, began.Add(delay), []byte{0xE0, 1, 0x8B})
	loadTest.checkDelivery(t)
	slices.Sort(times)
	t.Logf("closes since the end of the delay:\n%s", histogram(times, over/10))
	if times[0] < 0 || unready.After(began.Add(delay+times[0])) {
		t.Errorf("the first session was closed %v after SIGTERM, readiness was gone after %v; want the delay of %v, and readiness first",
			delay+times[0], unready.Sub(began), delay)
	}
	if early := len(slices.DeleteFunc(slices.Clone(times), func(d time.Duration) bool { return d > over/2 })); early < devices/4 || early > 3*devices/4 {
		t.Errorf("%d of %d sessions were closed in the first half of the drain, want about half of them", early, devices)
	}
	logged := len(s.Records(func(r stack.Record) bool { return r.Has("reason", "shutdown") }))
	if logged != devices {
		t.Errorf("%d sessions were logged as drained, want %d", logged, devices)
	}
}

// ready asks /readyz.
func (s *fixture) ready(t *testing.T) bool {
	t.Helper()
	return must(s.Status(within(t, stepTime), "/readyz"))(t) == http.StatusOK
}

// drained is how many sessions the metrics count as ended by the drain.
func (s *fixture) drained(t *testing.T) float64 {
	t.Helper()
	return must(s.Metrics(within(t, stepTime)))(t).Sum("vernegate_connections_ended_total", `reason="shutdown"`)
}

// TestSecondSignalCutsADrainShort sends SIGTERM twice to a vernegate that has a session and much
// time to drain it.
func TestSecondSignalCutsADrainShort(t *testing.T) {
	t.Parallel()
	for name, env := range map[string][]string{
		"in the delay": {"VERNEGATE_DRAIN_DELAY", "10m"},
		"in the drain": {"VERNEGATE_DRAIN_TIMEOUT", "10m"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := prepareFixture(t)
			s.Vernegate = must(stack.StartVernegate(within(t, stepTime), program, s.env(broker, env...)))(t)
			t.Cleanup(s.Kill)
			lives := []*stack.Wire{s.live(t, s.device("acme:lamp")), s.live(t, s.device("acme:door"))}
			s.signal(t, syscall.SIGTERM)
			eventually(t, stepTime, "readiness goes", func() bool { return !s.ready(t) })
			select {
			case <-s.Done():
				t.Fatal("the first signal ended vernegate at once")
			default:
			}
			s.signal(t, syscall.SIGTERM)
			if code := must(s.Wait(within(t, stepTime)))(t); code != exitKilled {
				t.Errorf("vernegate ended with exit code %d, want %d: killed by the second signal", code, exitKilled)
			}
			for _, w := range lives {
				w.Close()
			}
		})
	}
}

// TestDrainSendsClientsElsewhere drains with a Server Reference: 5.0 clients learn it.
func TestDrainSendsClientsElsewhere(t *testing.T) {
	t.Parallel()
	const reference = "gate2.example.org:8883"
	s := newFixture(t, broker, "VERNEGATE_SERVER_REFERENCE", reference)
	wires := make(map[stack.Version]*stack.Wire)
	for _, v := range versions {
		wires[v] = dialWire(t, s.through(s.device("acme:lamp"), 0))
		greet(t, wires[v], v)
	}
	s.signal(t, syscall.SIGTERM)
	for v, w := range wires {
		var want []byte
		if v == stack.V5 {
			properties := appendString([]byte{0x1C}, reference)
			want = packet(0xE0, append([]byte{0x9C, byte(len(properties))}, properties...))
		}
		if got, err := w.ReadToEnd(); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: got % X and %v, want % X and an orderly end", v, got, err, want)
		}
	}
	s.checkDrained(t)
}

// TestWillsOfTheDrained drains two 5.0 devices whose wills have a delay. The will of
// the one that comes back in time is not published, that of the other is.
func TestWillsOfTheDrained(t *testing.T) {
	t.Parallel()
	s := newFixture(t, broker)
	next := s.beside(t)
	device, name := s.device("acme:lamp"), unique()
	watcher := connect(t, stack.Direct(broker), stack.Options{Version: stack.V311, ClientID: unique()})
	must(watcher.Subscribe(within(t, stepTime), name+"/#", 1))(t)

	hello := func(id string, delay byte) []byte {
		return connectPacket{
			version: stack.V5, clientID: name + id, persistent: true, properties: sessionExpiry,
			will:           &stack.Message{Topic: name + "/" + id, Payload: "gone", QoS: 1},
			willProperties: []byte{0x18, 0, 0, 0, delay},
		}.bytes()
	}
	back, away := hello("back", 6), hello("away", 8)
	wires := []*stack.Wire{dialWire(t, s.through(device, 0)), dialWire(t, s.through(device, 0))}
	for i, packet := range [][]byte{back, away} {
		greetWith(t, wires[i], packet)
	}
	s.signal(t, syscall.SIGTERM)
	for _, w := range wires {
		must(w.ReadToEnd())(t)
	}
	greetWith(t, dialWire(t, next.through(device, 0)), back)
	s.checkDrained(t)
	if m := must(watcher.Receive(within(t, stepTime)))(t); m.Topic != name+"/away" {
		t.Errorf("the will of %s was published, want only that of the device that is away", m.Topic)
	}
}
