// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/vernegate/vernegate/bench/load"
	"github.com/vernegate/vernegate/bench/peer"
)

// An effort is how long and how large the loads are.
type effort struct {
	rounds         int
	tries          int           // for a row, as long as others disturb it
	warmUp         time.Duration // before each span that is measured
	span           time.Duration // of loads that keep a proxy busy
	echo           time.Duration // of sessions that send now and then
	atOnce         int           // devices that connect at the same time
	fleet          int           // devices that connect again and again
	activeSessions int           // sessions that send messages
	subscribers    int           // sessions that get large messages
	idle           int           // sessions that are silent; less where there are too few descriptors
	settle         time.Duration // before memory is read
	forget         time.Duration // from the end of the sessions to when memory is read again
	primitive      time.Duration // for measuring each cryptographic primitive
	profile        time.Duration // of each profile; whole seconds
	steps          []int         // how many sessions there are at the points of a curve
	full           int           // sessions of a process, at most
	crls           []int         // sizes of CRLs
	swaps          int           // of CRLs, while sessions send messages
	cacheDevices   int           // more of them than one cache holds, and fewer than the other
	crowd          int           // sessions of a crowd
	crowdRate      int           // messages a second that they send
	crowdHold      time.Duration // how long they do
	crowdRevoked   int           // of them
	crowdDrain     time.Duration // of a vernegate that is replaced
}

// thorough is for figures, brief for whether it all still runs.
var (
	thorough = effort{
		rounds: 3, tries: 3, warmUp: 300 * time.Millisecond, span: 2 * time.Second, echo: 3 * time.Second, atOnce: 4, fleet: 256,
		activeSessions: 1000, subscribers: 50, idle: 9000, settle: 3 * time.Second, forget: time.Minute,
		primitive: 300 * time.Millisecond, profile: 20 * time.Second, steps: []int{100, 300, 1000, 3000, 9000, 18000, 27000}, full: 9000,
		crls: []int{0, 10_000, 1_000_000}, swaps: 5, cacheDevices: 2000,
		crowd: 100_000, crowdRate: 3333, crowdHold: 10 * time.Minute, crowdRevoked: 1000, crowdDrain: 10 * time.Second,
	}
	brief = effort{
		rounds: 1, tries: 1, warmUp: 20 * time.Millisecond, span: 100 * time.Millisecond, echo: 100 * time.Millisecond, atOnce: 4, fleet: 8,
		activeSessions: 20, subscribers: 5, idle: 50, settle: 50 * time.Millisecond, forget: 50 * time.Millisecond,
		primitive: time.Millisecond, profile: time.Second, steps: []int{10, 50, 100}, full: 50,
		crls: []int{0, 1000}, swaps: 1, cacheDevices: 50,
		crowd: 100, crowdRate: 100, crowdHold: time.Second, crowdRevoked: 5, crowdDrain: time.Second,
	}
)

const (
	messageSize  = 64       // bytes of a payload, as a sensor sends
	largeSize    = 64 << 10 // of a payload, as an update has
	primeSize    = 16 << 10 // a record
	perSession   = 10       // messages a second of an active session
	bulkSessions = 4        // sessions that send or get as much as goes
)

// A figure is what a table has a row for. All are the better the smaller they are.
type figure struct {
	name   string
	unit   string
	factor float64 // from what is measured, which is in seconds, bytes or their quotients, to the unit
}

// A row is figures that are measured together.
type row struct {
	key     string // for the flag
	files   func(*testbed) peer.Files
	figures []figure
	measure func(context.Context, *trial) ([]float64, error) // one value for each figure
}

const (
	micro = 1e6  // s in µs
	mega  = 1e-6 // bytes in MB
	kilo  = 1e-3 // bytes in kB
	giga  = 1e9  // per byte in per GB
)

func ecdsaFiles(s *testbed) peer.Files { return s.ecdsa }
func rsaFiles(s *testbed) peer.Files   { return s.rsa }

// rows are what is measured in each round; idle sessions are measured by themselves.
var rows = []row{
	{"tls13", ecdsaFiles, connection("TLS 1.3, full handshake"), connects(tls.VersionTLS13, false)},
	{"resumed", ecdsaFiles, connection("TLS 1.3, resumed"), connects(tls.VersionTLS13, true)},
	{"tls12", ecdsaFiles, connection("TLS 1.2, full handshake"), connects(tls.VersionTLS12, false)},
	{"rsa13", rsaFiles, connection("TLS 1.3, full, RSA-2048"), connects(tls.VersionTLS13, false)},
	{"rsa12", rsaFiles, connection("TLS 1.2, full, RSA-2048"), connects(tls.VersionTLS12, false)},
	{"echo", ecdsaFiles, []figure{
		{"1000 sessions × 10 messages/s, a message", "µs", micro},
		{"… round trip, median", elapsed, micro},
		{"… round trip, 99th percentile", elapsed, micro},
	}, echo},
	{"pingpong", ecdsaFiles, one("one message in flight, a message", "µs", micro), pingPong},
	{"up", ecdsaFiles, one("bulk, clients to broker, a GB", "s", giga), bulkUp},
	{"down", ecdsaFiles, one("bulk, broker to clients, a GB", "s", giga), bulkDown},
	{"fan", ecdsaFiles, one("broker to 1000 sessions, 64 B, a message", "µs", micro), fan},
	{"largefan", ecdsaFiles, one("broker to 50 sessions, 64 KiB, a GB", "s", giga), largeFan},
}

func one(name, unit string, factor float64) []figure { return []figure{{name, unit, factor}} }

// connection is the figures of whole connections.
func connection(name string) []figure {
	return []figure{
		{name, "µs", micro},
		{name + ", until CONNACK, 99th percentile", elapsed, micro},
	}
}

// connects measures whole connections: TCP, TLS, CONNECT, CONNACK and the end.
func connects(version uint16, resume bool) func(context.Context, *trial) ([]float64, error) {
	return func(ctx context.Context, t *trial) ([]float64, error) {
		f := t.fleet(t.effort.fleet)
		f.Version, f.Resume = version, resume
		sessions, err := f.Open(0, t.effort.fleet) // certificate-acl is asked now, and tickets are given
		if err != nil {
			return nil, err
		}
		sessions.Close()
		c := load.NewConnectLoad(f, t.effort.atOnce)
		s, err := t.measureLoad(ctx, c.Reconnect(), t.effort.span, nil)
		took := c.Durations(t.effort.warmUp, c.Elapsed())
		return []float64{s.each(), load.Percentile(took, .99).Seconds()}, err
	}
}

// withSessions opens sessions, has f measure them, and closes them.
func (t *trial) withSessions(n int, f func(load.Sessions) ([]float64, error)) ([]float64, error) {
	sessions, err := t.fleet(n).Open(0, n)
	if err != nil {
		return nil, err
	}
	defer sessions.Close()
	return f(sessions)
}

func echo(ctx context.Context, t *trial) ([]float64, error) {
	return t.withSessions(t.effort.activeSessions, func(sessions load.Sessions) ([]float64, error) {
		c := load.NewEchoLoad(sessions, messageSize)
		s, err := t.measureLoad(ctx, c.OpenLoop(float64(perSession*len(sessions))), t.effort.echo, nil)
		to := c.Elapsed()
		took := c.Durations(t.effort.warmUp, to)
		return []float64{s.each(), load.Percentile(took, .50).Seconds(), load.Percentile(took, .99).Seconds()}, err
	})
}

func pingPong(ctx context.Context, t *trial) ([]float64, error) {
	return t.withSessions(1, func(sessions load.Sessions) ([]float64, error) {
		s, err := t.measureLoad(ctx, load.NewEchoLoad(sessions, messageSize).ClosedLoop(1), t.effort.span, nil)
		return []float64{s.each()}, err
	})
}

func bulkUp(ctx context.Context, t *trial) ([]float64, error) {
	return t.withSessions(bulkSessions, func(sessions load.Sessions) ([]float64, error) {
		s, err := t.measureLoad(ctx, sessions.Up(largeSize), t.effort.span, t.broker.Dropped)
		return []float64{s.each()}, err
	})
}

func bulkDown(ctx context.Context, t *trial) ([]float64, error) {
	return t.withSessions(bulkSessions, func(sessions load.Sessions) ([]float64, error) {
		s, err := t.measureLoad(ctx, sessions.Down(t.broker, largeSize), t.effort.span, nil)
		return []float64{s.each()}, err
	})
}

func fan(ctx context.Context, t *trial) ([]float64, error) {
	return t.withSessions(t.effort.activeSessions, func(sessions load.Sessions) ([]float64, error) {
		s, err := t.measureLoad(ctx, sessions.Fan(t.broker, messageSize), t.effort.span, nil)
		return []float64{s.each() * load.PacketSize(messageSize)}, err
	})
}

func largeFan(ctx context.Context, t *trial) ([]float64, error) {
	return t.withSessions(t.effort.subscribers, func(sessions load.Sessions) ([]float64, error) {
		s, err := t.measureLoad(ctx, sessions.Fan(t.broker, largeSize), t.effort.span, nil)
		return []float64{s.each()}, err
	})
}
