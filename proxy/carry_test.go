// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/vernegate/vernegate/proxy"
)

// As many sessions as there are processors, and so at least one beside others, do not read: theirs wait, those of
// others go on.
func TestWhoDoesNotReadHoldsUpNobody(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	type pair struct {
		client *tls.Conn
		broker net.Conn
	}
	var deaf, others []pair
	for range runtime.GOMAXPROCS(0) {
		client, broker := session(g, b)
		deaf = append(deaf, pair{client, broker})
	}
	for range 2 * runtime.GOMAXPROCS(0) {
		client, broker := session(g, b)
		others = append(others, pair{client, broker})
	}
	flood := publish(1 << 20)
	sent := make(chan int, len(deaf))
	for _, d := range deaf {
		go func() {
			n := 0
			for range 16 {
				more, err := d.broker.Write(flood)
				n += more
				if err != nil {
					break
				}
			}
			sent <- n
		}()
	}
	for range 50 {
		for _, o := range others {
			write(t, o.client, pingreq)
			wantBytes(t, o.broker, pingreq)
			write(t, o.broker, pingresp)
			wantBytes(t, o.client, pingresp)
		}
	}
	for _, d := range deaf {
		_ = d.client.SetDeadline(time.Now().Add(patience))
		got := make([]byte, len(flood))
		for range 16 {
			if _, err := io.ReadFull(d.client, got); err != nil || !bytes.Equal(got, flood) {
				t.Fatalf("got other bytes than were sent, or %v", err)
			}
		}
	}
	for range deaf {
		if n := <-sent; n != 16*len(flood) {
			t.Errorf("%d bytes were taken, want %d", n, 16*len(flood))
		}
	}
}

// A client that writes before it reads is heard out, however much there is for it to read.
func TestOneDirectionDoesNotWaitForTheOther(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	for _, direction := range []string{"up", "down"} {
		client, broker := session(g, b)
		var from, to net.Conn = client, broker
		if direction == "down" {
			from, to = broker, client
		}
		_ = to.SetWriteDeadline(time.Now().Add(time.Second))
		for flood := publish(1 << 20); ; { // until nobody takes more, since nobody reads
			if _, err := to.Write(flood); err != nil {
				break
			}
		}
		message := publish(1 << 20)
		got := make([]byte, len(message))
		go func() { _, _ = from.Write(message) }()
		if _, err := io.ReadFull(to, got); err != nil || !bytes.Equal(got, message) {
			t.Fatalf("%s: got other bytes than were sent, or %v", direction, err)
		}
		_, _ = client.Close(), broker.Close()
	}
}

// Bytes and the end that come together are both seen, whichever the gate hears of first.
func TestLastBytesComeWithTheEnd(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	for range 50 {
		client, broker := session(g, b)
		write(t, client, pingreq)
		_ = client.Close()
		wantBytes(t, broker, pingreq)
		wantEOF(t, broker)
		_ = broker.Close()

		client, broker = session(g, b)
		write(t, broker, pingresp)
		_ = broker.Close()
		wantBytes(t, client, pingresp)
		wantEOF(t, client)
		_ = client.Close()
	}
}

// TLS records that come in pieces of any size, several at once or cut anywhere, are put together.
func TestRecordsOfManySizesInPieces(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	raw, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	pieces := &cutter{Conn: raw}
	client := tls.Client(pieces, clientConfig(testPKI().device))
	t.Cleanup(func() { _ = client.Close() })
	write(t, client, connect311)
	broker := b.greet(connect311Owned, connack311)
	wantBytes(t, client, connack311)

	pieces.cut = true
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		message := publish(200 + random.IntN(60_000))
		_, _ = rand.NewChaCha8([32]byte{}).Read(message[len(message)-100:])
		write(t, client, message)
		wantBytes(t, broker, message)
	}
}

// A cutter writes in pieces of its own, on a connection that sends each at once.
type cutter struct {
	net.Conn
	cut bool
}

func (c *cutter) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		size := len(p) - n
		if c.cut {
			size = min(size, 1+rand.IntN(20_000))
		}
		var more int
		more, err = c.Conn.Write(p[n : n+size])
		n += more
		runtime.Gosched()
	}
	return n, err
}

// What waits costs no goroutine, on systems where a poller waits for it. Not parallel: it counts.
func TestSessionsThatWaitHaveNoGoroutine(t *testing.T) {
	if !proxy.Polls {
		t.Skip("here a session has two goroutines")
	}
	b := startBroker(t)
	g := startGate(t, brokers(b))
	session(g, b) // what the first one brings with it stays
	const sessions = 200
	count := func() int {
		runtime.Gosched()
		return runtime.NumGoroutine()
	}
	before := count()
	for range sessions {
		client, broker := session(g, b)
		write(t, broker, pingresp)
		wantBytes(t, client, pingresp)
	}
	await(t, "the goroutines of the handshakes to end", func() bool { return count()-before < sessions/2 })
}
