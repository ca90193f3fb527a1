// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
)

// A floodClient has a session with traffic in both directions, as fast as possible: PUBLISHes with
// QoS 0 of many sizes, most of them larger than a TLS record. It reads packet by
// packet until its stream ends, and then closes as clients do. What is on its way to
// it is bounded: a client that could not take what has been sent before the end of
// its session is another story.
type floodClient struct {
	version  stack.Version
	id       string // client id, and the topic of all its messages
	will     *stack.Message
	flood    [][]byte // what it sends and receives
	wire     *stack.Wire
	window   chan struct{} // room for each message that is on its way to it
	received atomic.Int64  // PUBLISHes that came from the broker

	over  chan struct{} // closed when the stream has ended; then the rest is there
	ended time.Time
	last  []byte // what came behind the last PUBLISH
	err   error  // io.EOF for an orderly end between two packets
}

// newFloodClient connects a device with a will, and starts the traffic.
func newFloodClient(t *testing.T, v *brokerCase, dial stack.Dial, version stack.Version) *floodClient {
	t.Helper()
	const onTheWay = 8
	k := &floodClient{version: version, id: unique(), window: make(chan struct{}, onTheWay), over: make(chan struct{})}
	k.will = &stack.Message{Topic: k.id + "/will", Payload: "gone", QoS: 1}
	k.flood = floodOf(version, k.id)
	k.wire = must(stack.DialWire(within(t, time.Minute), dial))(t)
	if err := k.wire.Send(connectPacket{version: version, clientID: k.id, will: k.will}.bytes()); err != nil {
		t.Fatal(err)
	}
	stream := packetReader{bufio.NewReader(k.wire)}
	if connack := must(stream.next())(t); connack[0] != 0x20 || connack[3] != 0 {
		t.Fatalf("the broker answered % X, want a CONNACK that accepts", connack)
	}
	if err := k.wire.Send(subscribePacket(version, k.id)); err != nil {
		t.Fatal(err)
	}
	if suback := must(stream.next())(t); suback[0] != 0x90 {
		t.Fatalf("the broker answered % X, want a SUBACK", suback)
	}

	var talking sync.WaitGroup
	if v.brokerSide == nil { // the broker delivers what the client publishes
		talking.Go(func() { k.floodItself(k.wire) })
	} else {
		talking.Go(func() { flood(k.wire, k.flood) })
		talking.Go(func() { k.floodItself(v.brokerSide(k)) })
	}
	talking.Go(func() { k.listen(stream) })
	t.Cleanup(func() {
		k.wire.Close()
		talking.Wait()
	})
	k.await(t, 20)
	return k
}

// flood publishes to a topic until w takes no more, the same messages again and again.
func flood(w io.Writer, messages [][]byte) {
	for {
		for _, packet := range messages {
			if _, err := w.Write(packet); err != nil {
				return
			}
		}
	}
}

// floodItself has its flood come to it through w, within the window.
func (k *floodClient) floodItself(w io.Writer) {
	for i := 0; ; i++ {
		select {
		case k.window <- struct{}{}:
		case <-k.over:
			return
		}
		if _, err := w.Write(k.flood[i%len(k.flood)]); err != nil {
			return
		}
	}
}

// floodOf makes PUBLISHes with QoS 0 of many sizes, from one byte of payload to a
// hundred thousand.
func floodOf(version stack.Version, topic string) (messages [][]byte) {
	for i, size := 0, 1; i < 32; i, size = i+1, size*7%100_003+1 {
		payload := strings.Repeat(string(rune('0'+i)), size)
		messages = append(messages, publishing{version: version, topic: topic, payload: payload}.bytes())
	}
	return messages
}

// listen reads until the stream ends or something comes that is not of the flood.
// What then comes is the last: nothing may follow it.
func (k *floodClient) listen(stream packetReader) {
	defer k.wire.Close()
	defer close(k.over)
	for {
		packet, err := stream.next()
		if err == nil && k.isFlood(packet) {
			k.received.Add(1)
			<-k.window
			continue
		}
		if err == nil {
			k.last = packet
			_, err = stream.ReadByte()
		}
		if err == nil {
			err = errors.New("there is more behind the last packet")
		}
		k.err, k.ended = err, time.Now()
		return
	}
}

// isFlood reports whether a packet is one of the flood, whole.
func (k *floodClient) isFlood(packet []byte) bool {
	return slices.ContainsFunc(k.flood, func(message []byte) bool { return bytes.Equal(packet, message) })
}

// send sends something between two packets of the flood.
func (k *floodClient) send(t *testing.T, packet []byte) {
	t.Helper()
	if err := k.wire.Send(packet); err != nil {
		t.Errorf("%v: sending % X: %v", k.version, packet, err)
	}
}

// await waits until n more messages have come.
func (k *floodClient) await(t *testing.T, n int64) {
	t.Helper()
	n += k.received.Load()
	eventually(t, stepTime, "traffic runs", func() bool {
		select {
		case <-k.over:
			t.Fatalf("%v: the session ended too early: last packet % X, %v", k.version, k.last, k.err)
		default:
		}
		return k.received.Load() >= n
	})
}

// checkEnded waits for the end of the session. It must be an orderly one between two
// packets, and a 5.0 client must have received the DISCONNECT to the byte; before 5.0
// there is no such packet. Returned is when the end had come.
func (k *floodClient) checkEnded(t *testing.T, disconnect []byte) time.Time {
	t.Helper()
	select {
	case <-k.over:
	case <-within(t, stepTime).Done():
		t.Fatalf("%v: the session goes on", k.version)
	}
	if k.version != stack.V5 {
		disconnect = nil
	}
	if !bytes.Equal(k.last, disconnect) || !errors.Is(k.err, io.EOF) {
		t.Errorf("%v: the last packet is % X and then %v, want % X and an orderly end", k.version, k.last, k.err, disconnect)
	}
	return k.ended
}
