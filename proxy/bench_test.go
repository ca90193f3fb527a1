// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"crypto/tls"
	"io"
	"testing"
	"time"

	"github.com/vernegate/vernegate/proxy"
)

// echoBroker accepts every CONNECT and sends back whatever follows.
func echoBroker(b testing.TB) func(*proxy.Config) {
	b.Helper()
	broker := startBroker(b)
	go func() {
		for c := range broker.conns {
			go func() {
				defer func() { _ = c.Close() }()
				if _, err := io.CopyN(io.Discard, c, int64(len(connect311Owned))); err != nil {
					return
				}
				_, _ = c.Write(connack311)
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return brokers(broker)
}

// What one whole connection costs, both ends of it: TCP, TLS, CONNECT, CONNACK, the end.
func BenchmarkConnection(b *testing.B) {
	for _, bench := range []struct {
		name    string
		version uint16
		resume  bool
	}{
		{"TLS1.3", tls.VersionTLS13, false},
		{"TLS1.3-resumed", tls.VersionTLS13, true},
		{"TLS1.2", tls.VersionTLS12, false},
		{"TLS1.2-resumed", tls.VersionTLS12, true},
	} {
		b.Run(bench.name, func(b *testing.B) {
			g := startGate(b, echoBroker(b))
			config := clientConfig(testPKI().device)
			config.MinVersion, config.MaxVersion = bench.version, bench.version
			if bench.resume {
				config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			}
			connack := make([]byte, len(connack311))
			b.ReportAllocs()
			for b.Loop() {
				c, err := tls.Dial("tcp", g.addr, config)
				if err != nil {
					b.Fatal(err)
				}
				write(b, c, connect311)
				if _, err := io.ReadFull(c, connack); err != nil {
					b.Fatal(err)
				}
				_ = c.Close()
			}
		})
	}
}

// publish is a PUBLISH of QoS 0 that takes size bytes, of which three are its remaining length.
func publish(size int) []byte {
	rest := size - 4
	header := []byte{0x30, byte(rest) | 0x80, byte(rest>>7) | 0x80, byte(rest >> 14), 0, 1, 't'}
	return append(header, make([]byte, size-len(header))...)
}

// One message in flight: what waiting and waking cost.
func BenchmarkRoundTrip(b *testing.B) {
	g := startGate(b, echoBroker(b))
	client := g.device(connect311)
	wantBytes(b, client, connack311)
	message := publish(64)
	b.ReportAllocs()
	for b.Loop() {
		write(b, client, message)
		if _, err := io.ReadFull(client, message); err != nil {
			b.Fatal(err)
		}
	}
}

// How much goes through both ways, in records of 16 KiB.
func BenchmarkThroughput(b *testing.B) {
	g := startGate(b, echoBroker(b))
	client := g.device(connect311)
	wantBytes(b, client, connack311)
	chunk := publish(64 << 10)
	throughput(b, client, client, chunk, chunk)
}

// throughput measures packets that the broker sends back, sent as they are on the wire.
func throughput(b *testing.B, in io.Reader, out io.Writer, packet, onWire []byte) {
	b.Helper()
	b.SetBytes(int64(len(packet)))
	b.ReportAllocs()
	done := make(chan error)
	n := int64(b.N) * int64(len(packet))
	b.ResetTimer()
	go func() {
		_, err := io.CopyN(io.Discard, in, n)
		done <- err
	}()
	for range b.N {
		write(b, out, onWire)
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// How much goes to the broker and back by WebSocket, in frames of 64 KiB.
func BenchmarkThroughputByWebSocket(b *testing.B) {
	g := startWebSocketGate(b, echoBroker(b))
	client := g.dialWebSocket(testPKI().device)
	client.within(time.Hour)
	write(b, client, connect311)
	wantBytes(b, client, connack311)
	message := publish(64 << 10)
	throughput(b, client, client.Conn, message, maskedFrame(binaryFrame, message))
}

// One message in flight by WebSocket.
func BenchmarkRoundTripByWebSocket(b *testing.B) {
	g := startWebSocketGate(b, echoBroker(b))
	client := g.dialWebSocket(testPKI().device)
	client.within(time.Hour)
	write(b, client, connect311)
	wantBytes(b, client, connack311)
	message := publish(64)
	b.ReportAllocs()
	for b.Loop() {
		write(b, client, message)
		if _, err := io.ReadFull(client, message); err != nil {
			b.Fatal(err)
		}
	}
}
