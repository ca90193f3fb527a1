// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

var (
	versions    = []stack.Version{stack.V31, stack.V311, stack.V5}
	tlsVersions = []uint16{tls.VersionTLS12, tls.VersionTLS13}
)

// A run is one performance of a scenario: over one way to the broker, with one
// version, with names that no other run has, and with a transcript of everything a
// client could notice.
type run struct {
	t       *testing.T
	dial    stack.Dial
	version stack.Version
	name    string // begins client ids and topics
	seen    []string
}

// scenarios is what clients do. Each writes down what it sees; through vernegate
// that must be what it sees without.
var scenarios = map[string]func(r *run){
	"qos 0":                  func(r *run) { r.deliver(0) },
	"qos 1":                  func(r *run) { r.deliver(1) },
	"qos 2":                  func(r *run) { r.deliver(2) },
	"retained":               (*run).retained,
	"will after a cut":       (*run).willAfterCut,
	"no will after goodbye":  (*run).noWillAfterDisconnect,
	"persistent session":     (*run).persistentSession,
	"clean session":          (*run).cleanSession,
	"takeover by the client": (*run).takeover,
}

func TestSameThroughAsDirect(t *testing.T) {
	t.Parallel()
	s := newFixture(t, broker)
	compareAll(t, s.device("acme:lamp"), s.through)
}

// compareAll compares every scenario, in every version of MQTT and TLS.
func compareAll(t *testing.T, device *certtest.Cert, through func(*certtest.Cert, uint16) stack.Dial) {
	t.Helper()
	for _, v := range versions {
		for _, tlsVersion := range tlsVersions {
			for name, scenario := range scenarios {
				t.Run(fmt.Sprintf("%v %s/%s", v, tls.VersionName(tlsVersion), name), func(t *testing.T) {
					t.Parallel()
					compare(t, v, through(device, tlsVersion), scenario)
				})
			}
		}
	}
}

func TestEveryKindOfDeviceCertificateIsServed(t *testing.T) {
	t.Parallel()
	s := newFixture(t, broker)
	plants := s.pki.Root.Intermediate("plants")
	plantFloor := plants.Intermediate("floor 1", certtest.RSA())
	devices := map[string]*certtest.Cert{
		"ECDSA":                   s.device("acme:ecdsa"),
		"RSA":                     s.device("acme:rsa", certtest.RSA()),
		"ECDSA, one intermediate": s.deviceOf(plants, "acme:plant"),
		"RSA, two intermediates":  s.deviceOf(plantFloor, "acme:floor", certtest.RSA()),
	}
	for name, device := range devices {
		for _, tlsVersion := range tlsVersions {
			t.Run(name+"/"+tls.VersionName(tlsVersion), func(t *testing.T) {
				t.Parallel()
				compare(t, stack.V311, s.through(device, tlsVersion), scenarios["qos 1"])
				compare(t, stack.V5, s.byWebSocket(device, tlsVersion), scenarios["qos 1"])
			})
		}
	}
}

// compare performs the scenario directly and through vernegate, and compares what
// was seen.
func compare(t *testing.T, v stack.Version, through stack.Dial, scenario func(*run)) {
	t.Helper()
	direct := &run{t: t, dial: stack.Direct(broker), version: v, name: unique()}
	scenario(direct)
	gated := &run{t: t, dial: through, version: v, name: unique()}
	scenario(gated)
	if !slices.Equal(gated.seen, direct.seen) {
		t.Errorf("through vernegate:\n%s\ndirect:\n%s", strings.Join(gated.seen, "\n"), strings.Join(direct.seen, "\n"))
	}
	if len(direct.seen) == 0 {
		t.Error("the scenario saw nothing: it compares nothing")
	}
}

// note writes a line of the transcript, without what differs between runs anyway.
func (r *run) note(format string, args ...any) {
	r.seen = append(r.seen, strings.ReplaceAll(fmt.Sprintf(format, args...), r.name, "…"))
}

// connect connects a client with the run's names.
func (r *run) connect(id string, o stack.Options) *stack.Client {
	r.t.Helper()
	o.Version, o.ClientID = r.version, r.name+id
	c := connect(r.t, r.dial, o)
	r.note("%s connected, session present %v", id, c.SessionPresent)
	return c
}

func (r *run) subscribe(c *stack.Client, qos byte) {
	r.t.Helper()
	granted := must(c.Subscribe(within(r.t, 20*time.Second), r.name+"/#", qos))(r.t)
	r.note("subscribed with QoS %d, granted 0x%02X", qos, granted)
}

func (r *run) publish(c *stack.Client, m stack.Message) {
	r.t.Helper()
	m.Topic = r.name + "/" + m.Topic
	if err := c.Publish(within(r.t, 30*time.Second), m); err != nil {
		r.t.Fatalf("publishing to %s: %v", m.Topic, err)
	}
}

func (r *run) receive(c *stack.Client) {
	r.t.Helper()
	m := must(c.Receive(within(r.t, 30*time.Second)))(r.t)
	r.note("received %s, QoS %d, retain %v, %d bytes, SHA-256 %x",
		m.Topic, m.QoS, m.Retain, len(m.Payload), sha256.Sum256([]byte(m.Payload)))
}

// deliver sends messages of every size from one client to another and back.
func (r *run) deliver(qos byte) {
	a, b := r.connect("a", stack.Options{}), r.connect("b", stack.Options{})
	r.subscribe(b, qos)
	for _, size := range []int{0, 1, 127, 16 << 10, 1 << 20} {
		r.publish(a, stack.Message{Topic: "there", QoS: qos, Payload: strings.Repeat("~", size)})
		r.receive(b)
	}
	r.subscribe(a, qos)
	r.publish(b, stack.Message{Topic: "back", QoS: qos, Payload: "pong"})
	r.receive(a)
	a.Disconnect()
	b.Disconnect()
}

// retained leaves a message behind, finds it, and takes it away again.
func (r *run) retained() {
	a := r.connect("a", stack.Options{})
	r.publish(a, stack.Message{Topic: "state", QoS: 1, Payload: "on", Retain: true})
	b := r.connect("b", stack.Options{})
	r.subscribe(b, 1)
	r.receive(b)
	r.publish(a, stack.Message{Topic: "state", QoS: 1, Retain: true})
	r.receive(b)
	late := r.connect("c", stack.Options{})
	r.subscribe(late, 1)
	r.publish(a, stack.Message{Topic: "marker", QoS: 1})
	r.receive(late) // the marker, and nothing before it
}

// willAfterCut loses a connection: its will is published.
func (r *run) willAfterCut() {
	watcher := r.connect("w", stack.Options{})
	r.subscribe(watcher, 2)
	for qos := byte(0); qos <= 2; qos++ {
		will := stack.Message{Topic: r.name + "/will", Payload: "gone", QoS: qos}
		r.connect(fmt.Sprint(qos), stack.Options{Will: &will}).Cut()
		r.receive(watcher)
	}
}

// noWillAfterDisconnect says goodbye: no will. DISCONNECT goes out behind the CONNACK,
// since VerneMQ does not read what comes together with CONNECT until more follows. The
// connection's end is awaited, for only then has the broker read the DISCONNECT.
func (r *run) noWillAfterDisconnect() {
	watcher := r.connect("w", stack.Options{})
	r.subscribe(watcher, 1)
	will := stack.Message{Topic: r.name + "/will", Payload: "gone"}
	w := dialWire(r.t, r.dial)
	hello := connectPacket{version: r.version, clientID: r.name + "d", will: &will}.bytes()
	if err := w.Send(hello); err != nil {
		r.t.Fatal(err)
	}
	connack := must(w.ReadN(len(accepted(r.version))))(r.t)
	if err := w.Send(disconnectPacket); err != nil {
		r.t.Fatal(err)
	}
	r.note("answer to CONNECT: % X, to DISCONNECT: % X", connack, must(w.ReadToEnd())(r.t))
	r.publish(watcher, stack.Message{Topic: "marker", QoS: 1})
	r.receive(watcher) // the marker, and nothing before it
}

// persistentSession is away while messages come, and gets them on its return.
func (r *run) persistentSession() {
	a := r.connect("a", stack.Options{Persistent: true})
	r.subscribe(a, 2)
	a.Disconnect()
	b := r.connect("b", stack.Options{})
	r.publish(b, stack.Message{Topic: "missed", QoS: 1, Payload: "one"})
	r.publish(b, stack.Message{Topic: "missed", QoS: 2, Payload: strings.Repeat("two", 1<<18)})
	again := r.connect("a", stack.Options{Persistent: true})
	r.receive(again)
	r.receive(again)
	again.Disconnect()
	r.connect("a", stack.Options{}).Disconnect() // leaves no session behind
}

// cleanSession returns to find nothing.
func (r *run) cleanSession() {
	a := r.connect("a", stack.Options{})
	r.subscribe(a, 1)
	a.Disconnect()
	again := r.connect("a", stack.Options{})
	r.publish(again, stack.Message{Topic: "missed", QoS: 1})
	r.subscribe(again, 1)
	r.publish(again, stack.Message{Topic: "marker", QoS: 1})
	r.receive(again) // the marker, and nothing before it
}

// takeover connects with a client id that is connected: the first connection ends.
func (r *run) takeover() {
	first := r.connect("a", stack.Options{})
	second := r.connect("a", stack.Options{})
	select {
	case <-first.Dropped():
		r.note("the first connection ended")
	case <-within(r.t, 10*time.Second).Done():
		r.t.Fatal("the first connection outlives the takeover of its client id")
	}
	r.subscribe(second, 0)
	r.publish(second, stack.Message{Topic: "alive"})
	r.receive(second)
}
