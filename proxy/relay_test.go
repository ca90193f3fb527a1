// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/vernegate/vernegate/proxy"
)

func TestUsernameBecomesTheOwner(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ sent, forwarded, connack []byte }{
		"none in 3.1.1":     {connect311, connect311Owned, connack311},
		"impostor in 3.1.1": {[]byte("\x10\x15\x00\x04MQTT\x04\x82\x00\x3c\x00\x02c1\x00\x05admin"), connect311Owned, connack311},
		"none in 3.1":       {connect31, []byte("\x10\x1c\x00\x06MQIsdp\x03\x82\x00\x3c\x00\x02c1\x00\x0aadmin:dev1"), connack311},
		"none in 5.0":       {connect5, []byte("\x10\x1b\x00\x04MQTT\x05\x82\x00\x3c\x00\x00\x02c1\x00\x0aadmin:dev1"), connack5},
		"password without username in 5.0": {
			[]byte("\x10\x13\x00\x04MQTT\x05\x42\x00\x3c\x00\x00\x02c1\x00\x02pw"),
			[]byte("\x10\x1f\x00\x04MQTT\x05\xc2\x00\x3c\x00\x00\x02c1\x00\x0aadmin:dev1\x00\x02pw"), connack5,
		},
		"bridge": {
			[]byte("\x10\x0e\x00\x04MQTT\x84\x02\x00\x3c\x00\x02c1"),
			[]byte("\x10\x1a\x00\x04MQTT\x84\x82\x00\x3c\x00\x02c1\x00\x0aadmin:dev1"), connack311,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startGate(t, brokers(b))
			client := g.device(test.sent)
			b.greet(test.forwarded, test.connack)
			wantBytes(t, client, test.connack)
		})
	}
}

func TestServiceOnTheServiceListener(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGateFor(t, proxy.Services, func(c *proxy.Config) { brokers(b)(c); c.Owner = owned("v2k-bridge") })
	client := g.device(connect311)
	b.greet([]byte("\x10\x1a\x00\x04MQTT\x04\x82\x00\x3c\x00\x02c1\x00\x0av2k-bridge"), connack311)
	wantBytes(t, client, connack311)
}

// VerneMQ ignores what it gets together with a CONNECT until more bytes come, so that these must wait.
func TestPipelinedBytesWaitForTheConnack(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	client := g.device(append(connect311, pingreq...))
	backend := b.accept()
	wantBytes(t, backend, connect311Owned)
	wantNothing(t, backend)
	write(t, backend, connack311)
	wantBytes(t, backend, pingreq)
	wantBytes(t, client, connack311)
}

// wantNothing wants no byte for a moment. It can only err towards passing, never towards failing.
func wantNothing(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %d bytes and %v, want none", n, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
}

func TestWhatTheBrokerSendsBehindItsConnackArrives(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	client := g.device(connect311)
	b.greet(connect311Owned, append(connack311, pingresp...))
	wantBytes(t, client, append(connack311, pingresp...))
}

func TestRefusalOfTheBrokerIsPassedOn(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	client := g.device(connect311)
	_ = b.greet(connect311Owned, []byte("\x20\x02\x00\x05")).Close()
	wantBytes(t, client, []byte("\x20\x02\x00\x05"))
	wantEOF(t, client)
	if line := g.wantEnd(proxy.BackendClosed); line["connack"] != 5.0 {
		t.Errorf("got connack %v in the log, want 5", line["connack"])
	}
}

func TestEnhancedAuthenticationIsRelayed(t *testing.T) {
	t.Parallel()
	auth := []byte("\xf0\x09\x18\x07\x15\x00\x04TEST")
	b := startBroker(t)
	g := startGate(t, brokers(b))
	client := g.device([]byte("\x10\x16\x00\x04MQTT\x05\x02\x00\x3c\x07\x15\x00\x04TEST\x00\x02c1"))
	backend := b.greet([]byte("\x10\x22\x00\x04MQTT\x05\x82\x00\x3c\x07\x15\x00\x04TEST\x00\x02c1\x00\x0aadmin:dev1"), auth)
	wantBytes(t, client, auth)
	write(t, client, auth)
	wantBytes(t, backend, auth)
	write(t, backend, connack5)
	wantBytes(t, client, connack5)
}

func TestSessionIsLoggedAndCounted(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	client, backend := session(g, b)
	sessions := func() float64 {
		return counter(t, g.metrics, "vernegate_sessions", map[string]string{"listener": "devices"})
	}
	await(t, "the session to be counted", func() bool { return sessions() == 1 })
	write(t, client, disconnect)
	_ = client.Close()
	wantBytes(t, backend, disconnect)
	wantEOF(t, backend)
	_ = backend.Close()

	line := g.wantEnd(proxy.ClientClosed)
	for key, want := range map[string]any{
		"owner": "admin:dev1", "mqtt": "3.1.1", "client_id": "c1", "backend": b.addr(), "connack": 0.0,
		"bytes_up": 2.0, "bytes_down": 4.0, "tls": "1.3", "resumed": false, "subject": "CN=admin:dev1",
		"fingerprint": fingerprint(testPKI().device), "serial": testPKI().device.Leaf.SerialNumber.Text(16),
	} {
		if line[key] != want {
			t.Errorf("got %s %v, want %v", key, line[key], want)
		}
	}
	if n := sessions(); n != 0 {
		t.Errorf("got %v sessions after the end, want 0", n)
	}
}

// Both directions at once, more than all buffers on the way hold, in pieces of odd sizes: byte for byte.
func TestTrafficIsUnchanged(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	b := startBroker(t)
	g := startGate(t, brokers(b))
	client, backend := session(g, b)

	streams := []struct {
		from io.Writer
		to   io.Reader
	}{{client, backend}, {backend, client}}
	sums := make(chan [2][32]byte)
	for i, stream := range streams {
		sent := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{byte(i)}).Read(sent)
		go func() {
			for rest := sent; len(rest) > 0; {
				n := min(1+rand.IntN(70_000), len(rest))
				if _, err := stream.from.Write(rest[:n]); err != nil {
					t.Error(err)
					break
				}
				rest = rest[n:]
			}
		}()
		go func() {
			got := make([]byte, size)
			if _, err := io.ReadFull(stream.to, got); err != nil {
				t.Error(err)
			}
			sums <- [2][32]byte{sha256.Sum256(sent), sha256.Sum256(got)}
		}()
	}
	for range streams {
		if sum := <-sums; sum[0] != sum[1] {
			t.Error("the bytes that arrived are not those that were sent")
		}
	}
}

// A client that sends a lot and leaves: everything it sent reaches a broker that reads slowly, before the FIN.
func TestNothingIsLostWhenTheClientLeaves(t *testing.T) {
	t.Parallel()
	sent := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	b := startBroker(t)
	g := startGate(t, brokers(b))
	client, backend := session(g, b)
	go func() {
		_, _ = client.Write(sent)
		_ = client.Close()
	}()
	got, err := io.ReadAll(slowly{backend})
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("got %d bytes and %v, want all %d", len(got), err, len(sent))
	}
}

// A broker that sends a lot and closes with RST, as VerneMQ does: the client still gets what had arrived.
func TestNothingIsLostWhenTheBrokerLeaves(t *testing.T) {
	t.Parallel()
	sent := bytes.Repeat([]byte("0123456789abcdef"), 2<<10)
	b := startBroker(t)
	g := startGate(t, brokers(b))
	client, backend := session(g, b)
	write(t, backend, sent)
	got := make([]byte, 1)
	if _, err := io.ReadFull(client, got); err != nil { // the gate has begun to read
		t.Fatal(err)
	}
	await(t, "the gate to take all bytes", func() bool { return unsent(t, backend.(*net.TCPConn)) == 0 })
	_ = backend.(*net.TCPConn).SetLinger(0)
	_ = backend.Close()
	rest, err := io.ReadAll(client)
	if got = append(got, rest...); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("got %d bytes and %v, want all %d and an orderly end", len(got), err, len(sent))
	}
	g.wantEnd(proxy.BackendClosed)
}

// The broker's last words, a DISCONNECT, reach a client that is sending at that moment.
func TestLastWordsReachAClientThatSends(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	client, backend := session(g, b)
	go func() {
		for range 1000 {
			if _, err := client.Write(bytes.Repeat(pingreq, 500)); err != nil {
				return
			}
		}
	}()
	wantBytes(t, backend, pingreq)
	write(t, backend, disconnect)
	_ = backend.Close() // with unread bytes: RST
	wantBytes(t, client, disconnect)
}

// A client that goes on sending, and comes to reading only seconds after its session was ended, still gets all
// that was written to it: not even what it sends makes the kernel throw that away.
func TestLastWordsReachAClientThatSendsAndReadsLate(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	client, backend := session5(g, b, testPKI().device)
	_ = client.NetConn().(*net.TCPConn).SetReadBuffer(32 << 10)
	words := bytes.Repeat(pingresp, 64<<10)
	write(t, backend, words)
	await(t, "the gate to read all bytes", func() bool {
		down := map[string]string{"listener": "devices", "direction": "down"}
		return counter(t, g.metrics, "vernegate_relayed_bytes_total", down) >= float64(len(words))
	})
	go func() { _, _ = io.Copy(io.Discard, backend); _ = backend.Close() }()
	go func() {
		for {
			if _, err := client.Write(pingreq); err != nil {
				return
			}
		}
	}()
	g.Drain(t.Context(), 0)
	<-time.After(2500 * time.Millisecond)
	got, err := io.ReadAll(client)
	if want := append(words, 0xe0, 1, 0x8b); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes and %v, want all %d", len(got), err, len(want))
	}
}

// A reader that stops stops its writer too: the gate takes in no more than a bounded number of bytes.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	for _, direction := range []string{"up", "down"} {
		t.Run(direction, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startGate(t, brokers(b))
			client, backend := session(g, b)
			from := net.Conn(client)
			if direction == "down" {
				from = backend
			}
			// The kernel's buffers on the way take some megabytes; a gate without back-pressure takes all.
			const tooMuch = 256 << 20
			chunk := make([]byte, 64<<10)
			sent := 0
			_ = from.SetWriteDeadline(time.Now().Add(2 * time.Second))
			for sent < tooMuch {
				n, err := from.Write(chunk)
				sent += n
				if err != nil {
					break
				}
			}
			if sent >= tooMuch {
				t.Errorf("%d bytes were taken in though nobody read them", sent)
			}
		})
	}
}

// A client that ends its direction still gets what the broker has to say to that.
func TestHalfClose(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	client, backend := session(g, b)
	write(t, client, pingreq)
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	wantBytes(t, backend, pingreq)
	wantEOF(t, backend)
	write(t, backend, pingresp)
	_ = backend.Close()
	wantBytes(t, client, pingresp)
	wantEOF(t, client)
	g.wantEnd(proxy.ClientClosed)
}

func TestCutClientEndsTheBrokersSide(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	client, backend := session(g, b)
	raw := client.NetConn().(*net.TCPConn)
	_ = raw.SetLinger(0)
	_ = raw.Close()
	wantEOF(t, backend)
	_ = backend.Close()
	g.wantEnd(proxy.ClientClosed)
}

// Records that arrive in pieces, split anywhere, with the reads that would block in between.
func TestRecordsInPieces(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	raw, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	client := tls.Client(dribble{raw}, clientConfig(testPKI().device))
	defer func() { _ = client.Close() }()
	_ = client.SetDeadline(time.Now().Add(patience))
	write(t, client, connect311)
	backend := b.greet(connect311Owned, connack311)
	wantBytes(t, client, connack311)
	for range 20 {
		write(t, client, pingreq)
		wantBytes(t, backend, pingreq)
		write(t, backend, pingresp)
		wantBytes(t, client, pingresp)
	}
}

// dribble writes byte by byte, each a segment of its own.
type dribble struct{ net.Conn }

func (d dribble) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := d.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// slowly reads little at a time.
type slowly struct{ io.Reader }

func (s slowly) Read(p []byte) (int, error) { return s.Reader.Read(p[:min(len(p), 1000)]) }

// unsent is how many bytes the peer's kernel has not acknowledged yet.
func unsent(t *testing.T, c *net.TCPConn) int {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := raw.Control(func(fd uintptr) { n, err = outq(int(fd)) }); err != nil {
		t.Fatal(err)
	}
	if err != nil && !errors.Is(err, syscall.ENOTTY) {
		t.Fatal(err)
	}
	return n
}
